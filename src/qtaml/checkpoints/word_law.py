"""The exact law of a word that is read with errors: what it is off by on average, and how much that varies."""

from typing import NamedTuple

import numpy as np

from qtaml.checkpoints.fields import Field, Floats, Integers
from qtaml.formats import FLOAT_FORMATS, Nonfinite
from qtaml.formats.float_formats import read_nonfinite

Rates = tuple[tuple[float, float], ...]
"""(p01, p10) of each bit of a word, bit 0 first."""


class Moments(NamedTuple):
    """What is read in the place of some numbers.

    Attributes:
        stored: the numbers.
        drift: mean error.
        variance: variance of what is read.
    """

    stored: Floats
    drift: Floats
    variance: Floats

    @property
    def mean(self) -> Floats:
        """Mean of what is read."""
        return self.stored + self.drift

    @property
    def square(self) -> Floats:
        """Mean square of what is read."""
        return np.asarray(self.variance + self.mean**2)

    @property
    def error(self) -> Floats:
        """Expected squared error."""
        return np.asarray(self.variance + self.drift**2)


def value_of(field: Field, words: Integers, rule: Nonfinite, variants: Integers | int = 0) -> Floats:
    """Values of words of a field.

    Args:
        field: the field.
        words: of any shape.
        rule: what is read where a float word is no finite number.
        variants: which of its meanings each word has.
    """
    if field.levels is None:
        form = FLOAT_FORMATS[field.meaning]
        values = form.values(words, rule)
        if not field.divides:
            return values
        with np.errstate(divide="ignore"):
            return read_nonfinite(1 / values, form.largest, rule)
    return np.asarray(field.levels[variants, words])


def values_of_weights(field: Field, words: Integers, rule: Nonfinite) -> Floats:
    """What the words of a field are for each weight, shape (units, words) to (units, weights)."""
    return value_of(field, words[:, field.word_of], rule, 0 if field.variant_of is None else field.variant_of)


def finite_words(field: Field, words: Integers, rule: Nonfinite) -> Integers:
    """Words after the rule for those that are no finite number."""
    if field.levels is not None or rule == "keep":
        return words
    form = FLOAT_FORMATS[field.meaning]
    exponent = form.last_exponent << form.mantissa_bits
    # All values of millions of words take long, and no others than these can be NaN or infinity.
    last = words & exponent == exponent
    values = form.values(words[last])
    if np.isfinite(values).all():
        return words
    # Where the last exponent is reserved, infinity is the next word after the largest number.
    largest, sign = (exponent - 1 if rule == "clamp" else 0), 1 << form.bits - 1
    infinite = np.where(np.isneginf(values), largest | sign, largest)
    found = words.copy()
    found[last] = np.where(np.isfinite(values), words[last], np.where(np.isnan(values), 0, infinite))
    return found


def drift_and_variance(levels: Floats, rates: Rates) -> tuple[Floats, Floats]:
    """Mean error and variance of the value read, for every stored word, whose bits fail independently.

    One bit after the other is averaged over by the law of total variance, so nothing cancels: bits x 2**bits steps.

    Args:
        levels: value of each word, shape (variants, 2**bits).
        rates: of its bits.

    Returns:
        (drift, variance), each of the shape of `levels`.

    Source:
        theory.md 1.2; `formats.error_moments` has higher moments too.

    Example:
        >>> drift, variance = drift_and_variance(np.array([[0.0, 1.0]]), ((0.25, 0.5),))
        >>> drift.tolist(), variance.tolist()
        ([[0.25, -0.5]], [[0.1875, 0.25]])
    """
    mean, drift, variance = levels, np.zeros_like(levels), np.zeros_like(levels)
    for bit, (rise, fall) in enumerate(rates):
        if not rise and not fall:
            continue
        shape = (len(levels), -1, 2, 2**bit)
        rate = np.array([rise, fall])[:, None]
        m, v = mean.reshape(shape), variance.reshape(shape)
        away = m[:, :, ::-1] - m
        step = (rate * away).reshape(levels.shape)
        variance = ((1 - rate) * v + rate * v[:, :, ::-1] + rate * (1 - rate) * away**2).reshape(levels.shape)
        mean, drift = mean + step, drift + step
    return drift, variance
