"""What a flipped bit of a field does to the squared error of the weights that are made of its word."""

from collections.abc import Mapping

import numpy as np

from qtaml.checkpoints.checkpoint_file import CheckpointTensor
from qtaml.checkpoints.fields import Bytes, Field, Floats, Integers
from qtaml.checkpoints.unit_format import UnitFormat, combined
from qtaml.checkpoints.unit_law import Influence, influence
from qtaml.checkpoints.word_law import Moments, Rates, moments_of, value_of
from qtaml.errors import ModelError
from qtaml.formats import Nonfinite


def moments_of_fields(
    unit: UnitFormat, words: Mapping[str, Integers], rule: Nonfinite, rates: Mapping[str, Rates]
) -> dict[str, Moments]:
    """What is read in the place of the words of each field, for each weight: shape (units, weights)."""
    return {field.name: moments_of(field, words[field.name], rule, rates[field.name]) for field in unit.fields}


def stored_values(tensor: CheckpointTensor, words: Mapping[str, Integers]) -> Floats:
    """The weights of some units, float64 of shape (units, weights).

    Raises:
        ModelError: if one is no finite number.
    """
    unit = tensor.format
    fields = {field.name: value_of(field, words[field.name], "keep") for field in unit.fields}
    with np.errstate(all="ignore"):
        stored = combined(unit.value, fields)
    if not np.isfinite(stored).all():
        raise ModelError(f"{tensor.name} holds weights that are no finite numbers")
    return stored


def no_errors(unit: UnitFormat) -> dict[str, Rates]:
    """Error rates of 0 for each bit of each field."""
    return {field.name: ((0.0, 0.0),) * field.bits for field in unit.fields}


def effects_of_flips(
    unit: UnitFormat, words: Mapping[str, Integers], rule: Nonfinite, rates: Mapping[str, Rates], name: str
) -> list[Floats]:
    """What the flip of each bit of a field adds to the expected squared error of each weight, beside other errors.

    The squared error is linear in each error rate, since bits fail independently: that of a plan is the one without
    errors of the bit, plus its rate times this.

    Args:
        unit: the format.
        words: of each field, shape (units, words).
        rule: what is read where a word is no finite number.
        rates: error rates of all bits; that of the bit itself does not matter.
        name: the field.

    Returns:
        For each bit, of shape (units, weights).

    Source:
        theory.md 6.11.
    """
    field = unit.by_name[name]
    shared = influence(unit.value, moments_of_fields(unit, words, rule, rates), name)
    return [_effect(field, words[name], rule, rates[name], bit, shared) for bit in range(field.bits)]


def _effect(field: Field, words: Integers, rule: Nonfinite, rates: Rates, bit: int, shared: Influence) -> Floats:
    right, flipped = (
        moments_of(field, words, rule, (*rates[:bit], (rate, rate), *rates[bit + 1 :])) for rate in (0.0, 1.0)
    )
    square, drift = flipped.error - right.error, flipped.drift - right.drift
    return np.asarray(shared.square * square + 2 * shared.residual * drift)


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
