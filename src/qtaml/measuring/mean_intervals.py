"""Intervals of the mean of a few numbers, from their variance, skewness and tails, and how intervals are joined."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Ends = tuple[Numbers, Numbers]
Bounds = tuple[float, float]
"""The least and the greatest value that a metric can have; infinite where there is none."""

UNBOUNDED: Bounds = (-np.inf, np.inf)

_FEWEST_FOR_KURTOSIS = 4


class Spread(NamedTuple):
    """What numbers drawn independently say of the error of their mean; each of the shape of the mean.

    Attributes:
        variance: variance of the mean.
        skewness: skewness of the mean.
        freedom: degrees of freedom of the variance, for normal numbers.
        tailed_freedom: the same for numbers with tails as heavy as these; at most `freedom`.
    """

    variance: Numbers
    skewness: Numbers
    freedom: Numbers
    tailed_freedom: Numbers


def spread_of_mean(values: Numbers) -> Spread:
    """The error of a mean over the last dimension, of at least two numbers.

    Source:
        theory.md 1.8.

    Example:
        >>> spread = spread_of_mean(np.array([1.0, 2.0, 3.0]))
        >>> round(float(spread.variance), 4), float(spread.skewness), float(spread.freedom)
        (0.3333, 0.0, 2.0)
    """
    count = values.shape[-1]
    deviations = values - values.mean(-1, keepdims=True)
    # In units of the largest: fourth powers of tiny deviations would be 0. Those of equal numbers are only rounding.
    unit = np.where(all_equal(values), 0.0, np.abs(deviations).max(-1))
    shares = deviations / np.where(unit > 0, unit, 1.0)[..., None]
    square = np.where(unit > 0, (shares**2).mean(-1), 1.0)
    variance = square * unit**2 / (count - 1)
    # The biased skewness, which is the smaller one: of few numbers the unbiased one is mostly noise.
    skewness = (shares**3).mean(-1) / square**1.5 / np.sqrt(count)
    freedom = np.full(variance.shape, count - 1.0)
    if count < _FEWEST_FOR_KURTOSIS:
        return Spread(variance, skewness, freedom, freedom)
    kurtosis = (shares**4).mean(-1) / square**2 - 3
    unbiased = (count - 1) / ((count - 2) * (count - 3)) * ((count + 1) * kurtosis + 6)
    tailed = 2 / (np.where(unit > 0, np.maximum(unbiased, 0.0), 0.0) / count + 2 / (count - 1))
    return Spread(variance, skewness, freedom, tailed)


def spread_of_reads(scores: Numbers) -> Spread:
    """The error of the mean from reads alone: what they add to that from samples, which holds the interaction of both.

    Args:
        scores: shape (..., reads, samples), at least two of each.

    Source:
        theory.md 1.8.
    """
    reads, samples = scores.shape[-2:]
    # Around the mean, so that what is left after the means of rows and columns does not drown in rounding.
    around = scores - scores.mean((-1, -2), keepdims=True)
    by_read, by_sample = around.mean(-1), around.mean(-2)
    rest = (
        np.einsum("...rs,...rs->...", around, around) - samples * (by_read**2).sum(-1) - reads * (by_sample**2).sum(-1)
    )
    interaction = rest / ((reads - 1) * (samples - 1)) / (reads * samples)
    spread = spread_of_mean(scores.mean(-1))
    # By chance the reads may differ less than their interaction with samples makes them differ.
    return spread._replace(variance=np.maximum(spread.variance - np.maximum(interaction, 0.0), 0.0))


def mean_interval(mean: Numbers, spread: Spread, confidence: float, bounds: Bounds) -> Ends:
    """Interval of a mean of numbers that may be skewed and have heavy tails; of no width where they do not vary.

    The wider end, on each side, of Student's interval (of the logarithm of the distance from a bound, where there is
    one) and of Hall's, which takes the skewness out of Student's t by a cubic transformation.

    Args:
        mean: any shape.
        spread: its error, of the same shape.
        confidence: coverage, such as 0.95.
        bounds: least and greatest possible value.

    Source:
        theory.md 1.8.

    Example:
        >>> values = np.array([1.0, 2.0, 3.0])
        >>> low, high = mean_interval(values.mean(), spread_of_mean(values), 0.95, (0.0, np.inf))
        >>> round(float(low), 3), round(float(high), 3)
        (-0.484, 6.926)
    """
    tail = 0.5 + confidence / 2
    error: Numbers = np.sqrt(spread.variance)
    low, high = _student(mean, _quantile(spread.freedom, tail) * error, bounds)
    quantile = _quantile(spread.tailed_freedom, tail)
    return (
        np.minimum(low, mean - error * _halls_t(quantile, spread.skewness)),
        np.maximum(high, mean - error * _halls_t(-quantile, spread.skewness)),
    )


def joined(mean: Numbers, parts: Sequence[tuple[Numbers | float, Numbers | float]], bounds: Bounds) -> Ends:
    """Interval of a number whose error is a sum of independent ones, each with an interval: distances add as squares.

    Source:
        theory.md 1.8; Zou and Donner, Statistics in Medicine 27, 2008 (method of variance estimates recovery).

    Example:
        >>> [float(end) for end in joined(np.array(5.0), [(2.0, 8.0), (1.0, 6.0)], (0.0, 6.0))]
        [0.0, 6.0]
    """
    below = np.sqrt(sum((mean - low) ** 2 for low, _ in parts))
    above = np.sqrt(sum((high - mean) ** 2 for _, high in parts))
    return np.maximum(mean - below, bounds[0]), np.minimum(mean + above, bounds[1])


def unseen_interval(mean: Numbers, trials: int, confidence: float, bounds: Bounds) -> Ends:
    """Interval of a mean where all trials gave the same number, from how often, at most, they may give another one.

    That is Clopper and Pearson's upper end for none of so many trials. What the other numbers are nobody has seen:
    they may lie anywhere within the bounds.

    Source:
        theory.md 1.8.

    Example:
        >>> low, high = unseen_interval(np.array(1.0), 30, 0.95, (0.0, 1.0))
        >>> round(float(low), 3), float(high)
        (0.884, 1.0)
    """
    share = 1 - ((1 - confidence) / 2) ** (1 / trials)
    return mean - share * (mean - bounds[0]), mean + share * (bounds[1] - mean)


def all_equal(values: Numbers) -> NDArray[np.bool_]:
    """Whether the numbers along the last dimension are all the same."""
    return np.asarray((values == values[..., :1]).all(-1))


def _quantile(freedom: Numbers, tail: float) -> Numbers:
    """Quantile of Student's t; `scipy.stats` says the same, many times as slowly."""
    return np.asarray(scipy.special.stdtrit(freedom, tail), dtype=np.float64)


def _student(mean: Numbers, half: Numbers, bounds: Bounds) -> Ends:
    """Student's interval of the logarithm of the distance from the bounds, brought back; of the mean without bounds."""
    low, high = bounds
    if np.isinf(low) and np.isinf(high):
        return mean - half, mean + half
    above, below = np.maximum(mean - low, 0.0), np.maximum(high - mean, 0.0)
    # On a bound itself there is no logarithm, and no variance either.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if np.isinf(high):
            factor = np.exp(half / above)
            ends = low + above / factor, low + above * factor
        elif np.isinf(low):
            factor = np.exp(half / below)
            ends = high - below * factor, high - below / factor
        else:
            factor = np.exp(half * (high - low) / (above * below))
            ends = (
                low + (high - low) * above / (above + below * factor),
                high - (high - low) * below / (below + above * factor),
            )
    known = (above > 0) & (below > 0)
    return np.where(known, ends[0], mean), np.where(known, ends[1], mean)


def _halls_t(quantile: Numbers, skewness: Numbers) -> Numbers:
    """The value of Student's t whose transform, cubic and increasing, is a quantile."""
    # Below this the transform is the identity to eight digits, and its inverse would divide by 0.
    skew = np.where(np.abs(skewness) > 1e-7, skewness, 1e-7)
    return np.asarray(3 / skew * (np.cbrt(1 + skew * (quantile - skew / 6)) - 1))
