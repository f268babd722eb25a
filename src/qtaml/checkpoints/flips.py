"""What a flipped bit of a field does to the squared error of the weights that are made of its word."""

from collections.abc import Iterator, Mapping

import numpy as np

from qtaml.checkpoints.checkpoint_file import CheckpointTensor
from qtaml.checkpoints.fields import Bytes, Field, Floats, Integers
from qtaml.checkpoints.unit_format import UnitFormat, combined
from qtaml.checkpoints.unit_law import influence
from qtaml.checkpoints.word_law import Moments, Rates, moments_of, value_of
from qtaml.errors import ModelError
from qtaml.formats import Nonfinite

# Above this rate of a bit the line through what is read at that rate, and at 1, would be extended too far.
_LARGE = 0.5


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
    unit: UnitFormat, words: Mapping[str, Integers], rule: Nonfinite, rates: Mapping[str, Rates]
) -> Iterator[tuple[Field, list[Floats]]]:
    """What the flip of each bit adds to the expected squared error of each weight, beside other errors.

    The squared error is linear in each error rate, since bits fail independently: that of a plan is the one without
    errors of the bit, plus its rate times this.

    Args:
        unit: the format.
        words: of each field, shape (units, words).
        rule: what is read where a word is no finite number.
        rates: error rates of all bits; that of the bit itself does not matter.

    Yields:
        Each field, and for each of its bits an array of shape (units, weights).

    Source:
        theory.md 6.11.
    """
    fields = moments_of_fields(unit, words, rule, rates)
    for field in unit.fields:
        shared, own = influence(unit.value, fields, field.name), rates[field.name]
        changes = (_change(field, words[field.name], rule, own, bit, fields[field.name]) for bit in range(field.bits))
        yield field, [np.asarray(shared.square * square + 2 * shared.residual * drift) for square, drift in changes]


def _change(
    field: Field, words: Integers, rule: Nonfinite, rates: Rates, bit: int, usual: Moments
) -> tuple[Floats, Floats]:
    """What E[e^2] and E[e] of the words of a field gain if a bit is always read wrong instead of never."""

    def with_rate(rate: float) -> Moments:
        return moments_of(field, words, rule, (*rates[:bit], (rate, rate), *rates[bit + 1 :]))

    wrong = with_rate(1.0)
    if max(rates[bit]) > _LARGE:
        right = with_rate(0.0)
        return wrong.error - right.error, wrong.drift - right.drift
    # Both are linear in the rate, so that what is read at the bit's own rate tells what is read at none.
    left = 1 - np.array(rates[bit])[words[:, field.word_of] >> bit & 1]
    return (wrong.error - usual.error) / left, (wrong.drift - usual.drift) / left


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
