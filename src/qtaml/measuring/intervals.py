"""Confidence intervals of a mean over reads, and over reads and test samples together."""

import math
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from qtaml.measuring.estimate import Estimate
from qtaml.measuring.mean_intervals import (
    UNBOUNDED,
    Bounds,
    Ends,
    Numbers,
    all_equal,
    joined,
    mean_interval,
    spread_of_mean,
    spread_of_reads,
    unseen_interval,
)
from qtaml.measuring.share_intervals import reads_share_interval, samples_share_interval

Interval = tuple[float, float]


def reads_interval(
    values: Numbers,
    confidence: float,
    *,
    bounds: Bounds = UNBOUNDED,
    answers: int | None = None,
    reads_differ: bool = True,
) -> Ends:
    """Interval of the mean over reads, for other reads on these test samples.

    Args:
        values: the metric of each read, shape (..., reads), at least two.
        confidence: coverage, such as 0.95.
        bounds: least and greatest possible value.
        answers: of how many right or wrong answers each value is the share; None if it is not one.
        reads_differ: whether errors are possible at all; if not, equal values have an interval of no width.

    Returns:
        (low, high).

    Source:
        theory.md 1.8.

    Example:
        >>> low, high = reads_interval(np.array([1.0, 2.0, 3.0]), 0.95)
        >>> round(float(low), 3), round(float(high), 3)
        (-0.484, 4.484)
    """
    mean, equal = values.mean(-1), all_equal(values)
    if answers is not None:
        low, high = reads_share_interval(values, answers, confidence)
        return np.where(equal & (not reads_differ), mean, low), np.where(equal & (not reads_differ), mean, high)
    low, high = joined(mean, [mean_interval(mean, spread_of_mean(values), confidence, bounds)], bounds)
    if not reads_differ:
        return low, high
    unseen = unseen_interval(mean, values.shape[-1], confidence, bounds)
    return np.where(equal, unseen[0], low), np.where(equal, unseen[1], high)


def networks_interval(values: NDArray[np.float64], confidence: float = 0.95) -> Estimate:
    """Interval of a mean over trained networks, for other trainings and other reads, on these test samples.

    Each network's mean over its reads is one observation of Student's t. Should a few networks agree by chance more
    closely than their reads allow, the variance of the reads counts instead. For one network it is Student's over its
    reads.

    Args:
        values: the metric of each read, shape (networks, reads), at least two reads.
        confidence: coverage, such as 0.95.

    Returns:
        Mean and interval.

    Example:
        >>> estimate = networks_interval(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
        >>> estimate.value, round(estimate.low, 3)
        (2.0, -0.484)
    """
    networks, reads = values.shape
    mean = float(values.mean())
    if networks == 1:
        return Estimate(mean, *_students_interval(values[0], confidence), "reads")
    of_reads = float(values.var(1, ddof=1).mean()) / reads
    # Never below the variance of the reads: of two or three networks the means may agree by chance.
    variance = max(float(values.mean(1).var(ddof=1)), of_reads) / networks
    return Estimate(mean, *_t_interval(mean, math.sqrt(variance), networks - 1, confidence), "trainings and reads")


def trainings_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Interval of a mean over trained networks of one number each, by Student's t; of no width for a single network.

    Args:
        values: one for each trained network, at least one.
        confidence: coverage, such as 0.95.

    Returns:
        Mean and interval.

    Example:
        >>> round(trainings_interval([1.0, 2.0, 3.0]).low, 3)
        -0.484
    """
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    if len(array) == 1:
        return Estimate(mean, mean, mean, "one training")
    return Estimate(mean, *_students_interval(array, confidence), "trainings")


def positive_interval(values: Sequence[float]) -> Estimate:
    """`trainings_interval` of a number that cannot be below 0.

    Example:
        >>> positive_interval([0.1, 1.0]).low
        0.0
    """
    return trainings_interval(values).within(0.0, math.inf)


def samples_interval(scores: Numbers, confidence: float, *, proportion: bool, bounds: Bounds = UNBOUNDED) -> Estimate:
    """Interval of the mean over test samples of one network, for other samples.

    Args:
        scores: score of each sample, shape (samples,), at least two.
        confidence: coverage, such as 0.95.
        proportion: the scores are 0 or 1; the interval is then Clopper and Pearson's.
        bounds: least and greatest possible score.

    Returns:
        Mean and interval.

    Source:
        theory.md 1.8.

    Example:
        >>> f"{samples_interval(np.ones(100), 0.95, proportion=True):.3f}"
        '1.000 [0.964, 1.000]'
    """
    low, high = _samples_part(scores, confidence, proportion=proportion, bounds=bounds)
    mean = scores.mean()
    low, high = joined(mean, [(low, high)], bounds)
    return Estimate(float(mean), float(low), float(high), "test samples")


def crossed_interval(
    scores: Numbers, confidence: float, *, proportion: bool, bounds: Bounds = UNBOUNDED, reads_differ: bool = True
) -> Ends:
    """Interval of the mean over reads and test samples, for other reads of other samples.

    Reads and samples are crossed (each read sees every sample). The error of the mean is that of the samples, which
    holds the interaction of both, and what the reads add to it; the intervals of the two are joined. For proportions
    the interval over samples is the exact binomial one at the effective sample size, which stays honest when every
    score is 1.

    Args:
        scores: score of each sample in each read, shape (..., reads, samples), at least two of each.
        confidence: coverage, such as 0.95.
        proportion: the scores are 0 or 1.
        bounds: least and greatest possible score.
        reads_differ: whether errors are possible at all.

    Returns:
        (low, high).

    Source:
        theory.md 1.8; Searle, Casella, McCulloch, Variance Components, 1992, two-way crossed random model.

    Example:
        >>> low, high = crossed_interval(np.ones((30, 100)), 0.95, proportion=True)
        >>> round(float(low), 3), float(high)
        (0.964, 1.0)
    """
    bounds = (0.0, 1.0) if proportion else bounds
    by_read = scores.mean(-1)
    mean = by_read.mean(-1)
    of_samples = _samples_part(scores.mean(-2), confidence, proportion=proportion, bounds=bounds)
    low, high = mean_interval(mean, spread_of_reads(scores), confidence, bounds)
    if reads_differ and not proportion:
        equal, unseen = all_equal(by_read), unseen_interval(mean, by_read.shape[-1], confidence, bounds)
        low, high = np.where(equal, unseen[0], low), np.where(equal, unseen[1], high)
    return joined(mean, [of_samples, (low, high)], bounds)


def _samples_part(by_sample: Numbers, confidence: float, *, proportion: bool, bounds: Bounds) -> Ends:
    if proportion:
        return samples_share_interval(by_sample, confidence)
    mean, equal = by_sample.mean(-1), all_equal(by_sample)
    low, high = mean_interval(mean, spread_of_mean(by_sample), confidence, bounds)
    unseen = unseen_interval(mean, by_sample.shape[-1], confidence, bounds)
    return np.where(equal, unseen[0], low), np.where(equal, unseen[1], high)


def _students_interval(values: Numbers, confidence: float) -> Interval:
    """Student's: m +- t x s / sqrt(n)."""
    error = values.std(ddof=1) / math.sqrt(len(values))
    return _t_interval(float(values.mean()), float(error), len(values) - 1, confidence)


def _t_interval(mean: float, error: float, freedom: float, confidence: float) -> Interval:
    half = float(scipy.stats.t.ppf(0.5 + confidence / 2, freedom)) * error
    return mean - half, mean + half
