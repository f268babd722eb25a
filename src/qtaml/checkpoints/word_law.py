"""The exact law of a word that is read with errors: what it is off by on average, and how much that varies."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtaml.checkpoints.fields import Field, Floats, Integers, Rule
from qtaml.errors import ArgumentError

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


def finite(levels: Floats, rule: Rule) -> Floats:
    """Levels with the reader's rule for words that are no finite number.

    Args:
        levels: values, NaN and infinity among them.
        rule: "clamp": infinity is read as the largest number of its sign, and NaN as 0; "zero": both as 0; "keep".
    """
    if rule == "keep":
        return levels
    largest = np.abs(levels[np.isfinite(levels)]).max(initial=0.0) if rule == "clamp" else 0.0
    return np.nan_to_num(levels, nan=0.0, posinf=largest, neginf=-largest)


def value_of(field: Field, words: Integers, rule: Rule) -> Floats:
    """Value of each weight from the words of a field, shape (units, words) to (units, weights)."""
    if field.levels is None:
        values = finite_singles(words, rule)
        return values[:, field.word_of]
    return ruled_levels(field, rule)[_rows(field), words[:, field.word_of]]


def moments_of(field: Field, words: Integers, rule: Rule, rates: Rates) -> Moments:
    """What is read in the place of the words of a field, for each weight of its units.

    Args:
        field: the field.
        words: shape (units, words).
        rule: what is read where a word is no finite number.
        rates: of its bits.

    Returns:
        Of shape (units, weights).
    """
    if field.levels is None:
        raise ArgumentError("words of 32 bits have no law yet")
    drift, variance = _moments(field, rule, rates)
    place = _rows(field), words[:, field.word_of]
    return Moments(ruled_levels(field, rule)[place], drift[place], variance[place])


def finite_singles(words: Integers, rule: Rule) -> Floats:
    """Values of FP32 words, with the rule for those that are no finite number."""
    values = words.astype(np.uint32).view(np.float32).astype(np.float64)
    if rule == "keep":
        return values
    largest = float(np.finfo(np.float32).max) if rule == "clamp" else 0.0
    return np.nan_to_num(values, nan=0.0, posinf=largest, neginf=-largest)


@lru_cache(maxsize=256)
def ruled_levels(field: Field, rule: Rule) -> Floats:
    """Levels of a field under a rule."""
    assert field.levels is not None
    return finite(field.levels, rule)


# Tensors of one type and plan share their tables; one of 16 bits takes a megabyte.
@lru_cache(maxsize=512)
def _moments(field: Field, rule: Rule, rates: Rates) -> tuple[Floats, Floats]:
    return drift_and_variance(ruled_levels(field, rule), rates)


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


def _rows(field: Field) -> NDArray[np.int64] | int:
    return 0 if field.variant_of is None else field.variant_of
