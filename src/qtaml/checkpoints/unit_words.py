"""Words and values of some units of a tensor, and sums over the weights that share a word."""

from collections.abc import Mapping

import numpy as np

from qtaml.checkpoints.fields import Bytes, Field, Floats, Integers
from qtaml.checkpoints.unit_format import UnitFormat, combined
from qtaml.checkpoints.word_law import values_of_weights
from qtaml.errors import ModelError


def stored_values(name: str, unit: UnitFormat, words: Mapping[str, Integers]) -> Floats:
    """The weights of some units, float64 of shape (units, weights).

    Args:
        name: of the tensor, for messages.
        unit: the format.
        words: of each field, shape (units, words).

    Raises:
        ModelError: if one is no finite number.
    """
    fields = {field.name: values_of_weights(field, words[field.name], "keep") for field in unit.fields}
    with np.errstate(all="ignore"):
        stored = combined(unit.value, fields)
    if not np.isfinite(stored).all():
        raise ModelError(f"{name} holds weights that are no finite numbers")
    return stored


def words_of(unit: UnitFormat, parts: tuple[Bytes, ...]) -> dict[str, Integers]:
    """Words of each field for each unit; those of a part that all units share are repeated."""
    count = max(len(part) for part in parts)
    return {name: np.broadcast_to(found, (count, found.shape[1])) for name, found in unit.words(parts).items()}


def of_words(field: Field, of_weights: Floats) -> Floats:
    """Sum over the weights that are made of each word, shape (units, weights) to (units, words)."""
    units, count = len(of_weights), field.words_of_unit
    if field.words_of_unit == of_weights.shape[1] and (field.word_of == np.arange(count)).all():
        return of_weights
    place = np.arange(units)[:, None] * count + field.word_of
    return np.asarray(np.bincount(place.ravel(), of_weights.ravel(), units * count), np.float64).reshape(units, count)
