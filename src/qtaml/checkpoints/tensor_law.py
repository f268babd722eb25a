"""The exact error of a tensor for any plan of its bits, and what each bit has in it: asked for thousands of times."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qtaml.checkpoints.fields import Field, Floats, Integers
from qtaml.checkpoints.unit_format import UnitFormat
from qtaml.checkpoints.unit_law import influence, weight_moments
from qtaml.checkpoints.word_law import Moments, Rates, drift_and_variance, value_of
from qtaml.checkpoints.word_range import WordRange, key_places, read_in_range
from qtaml.formats import FLOAT_FORMATS, Nonfinite
from qtaml.theory.float_law import FloatWords

TABLE_BITS = 8
"""Words of up to so many bits are looked up in the moments of all of them."""
# Above this rate of a bit the line through what is read at that rate, and at 1, would be extended too far.
_LARGE = 0.5


class FieldReads(NamedTuple):
    """How the words of a field are read.

    Attributes:
        rates: (p01, p10) of each bit, bit 0 first.
        range: outside of which no word was stored, if it is known.
    """

    rates: Rates
    range: WordRange | None = None


class TensorLaw:
    """Law of the squared errors of some weights, whose words fail bit by bit.

    Args:
        unit: the format.
        words: of each field, shape (units, words).
        rule: what is read where a float word is no finite number.
        whole: what a squared error of a weight counts.
        alone: what that which errors of one field make, beside no others, counts besides; for each field.

    Attributes:
        shape: (units, weights).

    Source:
        theory.md 6.11.
    """

    def __init__(
        self,
        unit: UnitFormat,
        words: dict[str, Integers],
        rule: Nonfinite,
        *,
        whole: float = 1.0,
        alone: Sequence[float] = (),
    ) -> None:
        self._unit, self._whole = unit, whole
        self._alone = {place: counts for place, counts in enumerate(alone) if counts}
        self.fields = [_FieldLaw(field, words[field.name], rule) for field in unit.fields]
        self.shape = self.fields[0].place.shape

    def moments(self, reads: Sequence[FieldReads]) -> Moments:
        """What is read in the place of each weight, shape (units, weights)."""
        return weight_moments(self._unit.value, self._of_weights(reads))

    def error(self, reads: Sequence[FieldReads]) -> float:
        """Expected squared error, summed over the weights, as it counts."""
        own = (counts * self._error(only_errors_of(reads, place)) for place, counts in self._alone.items())
        return self._whole * self._error(reads) + sum(own)

    def _error(self, reads: Sequence[FieldReads]) -> float:
        if len(self.fields) == 1:
            (field,) = self.fields
            return float(field.counts @ field.moments(reads[0]).error)
        moments = self.moments(reads)
        return float(np.sum(moments.variance + moments.drift**2))

    def harms(self, reads: Sequence[FieldReads]) -> list[Floats]:
        """What the error gains if a bit is always read wrong instead of never, over all words that store 0, and 1.

        The error is linear in each rate: with the rates (p01, p10) of a bit it is that without errors of the bit plus
        p01 times the first plus p10 times the second.

        Returns:
            For each field, shape (bits, 2).
        """
        found = [self._whole * own for own in self._harms(reads)]
        for place, counts in self._alone.items():
            found[place] += counts * self._harms(only_errors_of(reads, place))[place]
        return found

    def _harms(self, reads: Sequence[FieldReads]) -> list[Floats]:
        of_weights = self._of_weights(reads) if len(self.fields) > 1 else {}
        found = []
        for field, own in zip(self.fields, reads, strict=True):
            square, residual = self._influence(field, of_weights)
            wrong = field.changes(own)
            change = square * wrong.error + 2 * residual * wrong.drift
            found.append(np.stack([np.where(field.ones == value, change, 0.0).sum(1) for value in (0, 1)], 1))
        return found

    def misreads(self, reads: Sequence[FieldReads], place: int) -> tuple[float, Floats]:
        """The error without errors of one field, and what it gains if words of that field are read as others.

        Args:
            reads: how its fields are read; of the field itself the range counts.
            place: of the field, of up to `TABLE_BITS` bits.

        Returns:
            (error, gains): gains summed over all weights of each stored word, shape (2**bits stored, 2**bits as the
            memory gives them, before the range).
        """
        error, gains = self._misreads(reads, place)
        error, gains = self._whole * error, self._whole * gains
        for other, counts in self._alone.items():
            if other == place:
                gains = gains + counts * self._misreads(only_errors_of(reads, place), place)[1]
            else:
                error += counts * self._error(only_errors_of(reads, other))
        return error, gains

    def _misreads(self, reads: Sequence[FieldReads], place: int) -> tuple[float, Floats]:
        field, own = self.fields[place], reads[place]
        square, residual = self._influence(field, self._of_weights(reads) if len(self.fields) > 1 else {})
        right = own._replace(rates=((0.0, 0.0),) * field.field.bits)
        return self._error([*reads[:place], right, *reads[place + 1 :]]), field.misreads(own.range, square, residual)

    def _influence(self, field: "_FieldLaw", of_weights: Mapping[str, Moments]) -> tuple[Floats, Floats]:
        """E[A**2] and E[A R] summed over the weights of each distinct word of a field; of one field it is alone."""
        if not of_weights:
            return field.counts, np.zeros(1)
        shared = influence(self._unit.value, of_weights, field.name)
        return field.of_keys(shared.square), field.of_keys(shared.residual)

    def effects(self, reads: Sequence[FieldReads]) -> Iterator[tuple[Field, list[Floats]]]:
        """What the error of each weight gains if a bit is always read wrong instead of never.

        Yields:
            Each field, and for each of its bits an array of shape (units, weights).
        """
        of_weights = self._of_weights(reads)
        for field, own in zip(self.fields, reads, strict=True):
            shared, wrong = influence(self._unit.value, of_weights, field.name), field.changes(own)
            rows = zip(wrong.error[:, field.place], wrong.drift[:, field.place], strict=True)
            effects = [np.asarray(shared.square * error + 2 * shared.residual * drift) for error, drift in rows]
            yield field.field, effects

    def _of_weights(self, reads: Sequence[FieldReads]) -> dict[str, Moments]:
        found = {}
        for field, own in zip(self.fields, reads, strict=True):
            of_keys = field.moments(own)
            found[field.name] = Moments(*(part[field.place] for part in of_keys))
        return found


def only_errors_of(reads: Sequence[FieldReads], place: int) -> list[FieldReads]:
    """Without errors in all fields but one."""
    return [
        own if number == place else own._replace(rates=((0.0, 0.0),) * len(own.rates))
        for number, own in enumerate(reads)
    ]


class _Changes(NamedTuple):
    """What E[e**2] and E[e] of each word gain if a bit is always wrong instead of never, shape (bits, keys)."""

    error: Floats
    drift: Floats


class _FieldLaw:
    """Words of a field, each distinct one once; a word that has several meanings counts as several."""

    def __init__(self, field: Field, words: Integers, rule: Nonfinite) -> None:
        self.name, self.field, self._rule = field.name, field, rule
        variant = 0 if field.variant_of is None else field.variant_of
        keys, place = np.unique(words[:, field.word_of] | variant << field.bits, return_inverse=True)
        self.place = place.reshape(len(words), -1)
        self.counts = np.bincount(place.ravel(), minlength=len(keys)).astype(np.float64)
        self._words, self._variants = keys & (1 << field.bits) - 1, keys >> field.bits
        self._stored = self._value(self._words)
        self.ones = self._words >> np.arange(field.bits)[:, None] & 1
        self._floats = None if _is_table(field) else FloatWords(self._words, FLOAT_FORMATS[field.meaning])
        self._moments: dict[FieldReads, Moments] = {}
        self._changes: dict[FieldReads, _Changes] = {}

    def of_keys(self, of_weights: Floats) -> Floats:
        """Sums over the weights that are made of each distinct word."""
        whole = np.broadcast_to(of_weights, self.place.shape)
        return np.asarray(np.bincount(self.place.ravel(), whole.ravel(), len(self.counts)), dtype=np.float64)

    def moments(self, reads: FieldReads) -> Moments:
        """What is read in the place of each distinct word."""
        if reads not in self._moments:
            # Few plans are asked for again, and those soon.
            if len(self._moments) > 64:
                self._moments.clear()
            self._moments[reads] = self._law(reads)
        return self._moments[reads]

    def changes(self, reads: FieldReads) -> _Changes:
        """What each bit does to each distinct word."""
        if reads not in self._changes:
            if len(self._changes) > 16:
                self._changes.clear()
            both = [self._change(reads, bit) for bit in range(self.field.bits)]
            self._changes[reads] = _Changes(np.stack([one[0] for one in both]), np.stack([one[1] for one in both]))
        return self._changes[reads]

    def misreads(self, allowed: WordRange | None, square: Floats, residual: Floats) -> Floats:
        """What the error gains for each stored word, and each that the memory gives for it, summed over the weights."""
        words = read_in_range(self.field, np.arange(1 << self.field.bits), allowed)
        every = np.broadcast_to(words, (len(self._words), len(words)))
        values = value_of(self.field, every, self._rule, np.broadcast_to(self._variants[:, None], every.shape))
        error = values - self._stored[:, None]
        found = np.zeros((len(words), len(words)))
        np.add.at(found, self._words, square[:, None] * error**2 + 2 * residual[:, None] * error)
        return found

    def _change(self, reads: FieldReads, bit: int) -> tuple[Floats, Floats]:
        def with_rate(rate: float) -> Moments:
            return self._law(reads._replace(rates=(*reads.rates[:bit], (rate, rate), *reads.rates[bit + 1 :])))

        wrong = with_rate(1.0)
        if max(reads.rates[bit]) > _LARGE:
            right = with_rate(0.0)
            return wrong.error - right.error, wrong.drift - right.drift
        # Both are linear in the rate, so that what is read at the bit's own rate tells what is read at none.
        usual, left = self.moments(reads), 1 - np.array(reads.rates[bit])[self.ones[bit]]
        return (wrong.error - usual.error) / left, (wrong.drift - usual.drift) / left

    def _law(self, reads: FieldReads) -> Moments:
        # A divisor is one number, held as a side value: `StorageMenu.held`.
        if self.field.divides or all(rate in (0.0, 1.0) for both in reads.rates for rate in both):
            return self._without_chance(reads)
        if self._floats is None:
            stored, drift, variance = _table_moments(self.field, self._rule, reads)
            place = self._variants, self._words
            return Moments(stored[place], drift[place], variance[place])
        p01, p10 = zip(*reads.rates, strict=True)
        exponents = None if reads.range is None else reads.range.read_as(key_places(self.field)[1]).tolist()
        mean, square = self._floats.moments(p01, p10, self._rule, exponents)
        # Both from one sum of terms that are not negative; the difference is right to the last digits of the square.
        return Moments(self._stored, mean, np.maximum(square - mean**2, 0.0))

    def _without_chance(self, reads: FieldReads) -> Moments:
        """Where each bit is always or never read wrong, one word is read."""
        rise, fall = (sum(1 << bit for bit, both in enumerate(reads.rates) if both[value]) for value in (0, 1))
        read = (self._words & ~np.int64(fall)) | (~self._words & np.int64(rise))
        value = self._value(read_in_range(self.field, read, reads.range))
        return Moments(self._stored, value - self._stored, np.zeros_like(value))

    def _value(self, words: Integers) -> Floats:
        return value_of(self.field, words, self._rule, self._variants)


def _is_table(field: Field) -> bool:
    return field.levels is not None or field.bits <= TABLE_BITS


# Tensors of one type and plan share their tables.
@lru_cache(maxsize=1024)
def _table_moments(field: Field, rule: Nonfinite, reads: FieldReads) -> tuple[Floats, Floats, Floats]:
    """Value of each word, and mean error and variance of what is read for it, shape (variants, 2**bits)."""
    words = read_in_range(field, np.arange(1 << field.bits), reads.range)
    levels = value_of(field, words, rule)[None] if field.levels is None else field.levels[:, words]
    return levels, *drift_and_variance(levels, reads.rates)
