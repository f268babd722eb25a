"""Confidence intervals of a mean over reads, and over reads and test samples together."""

import math
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from qtaml.measuring.estimate import Estimate

Interval = tuple[float, float]


def reads_interval(values: NDArray[np.float64], confidence: float) -> Interval:
    """Interval of the mean over reads, on these test samples: m +- t x s / sqrt(n).

    Args:
        values: the metric of each read, shape (reads,), at least two.
        confidence: coverage, such as 0.95.

    Returns:
        (low, high) by Student's t.

    Example:
        >>> low, high = reads_interval(np.array([1.0, 2.0, 3.0]), 0.95)
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    error = values.std(ddof=1) / math.sqrt(len(values))
    return _t_interval(float(values.mean()), float(error), len(values) - 1, confidence)


def networks_interval(values: NDArray[np.float64], confidence: float = 0.95) -> Estimate:
    """Interval of a mean over trained networks, for other trainings and other reads, on these test samples.

    Each network's mean over its reads is one observation of Student's t. Should a few networks agree by chance more
    closely than their reads allow, the variance of the reads counts instead. For one network it is `reads_interval`.

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
        return Estimate(mean, *reads_interval(values[0], confidence), "reads")
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
    return Estimate(mean, *reads_interval(array, confidence), "trainings")


def positive_interval(values: Sequence[float]) -> Estimate:
    """`trainings_interval` of a number that cannot be below 0.

    Example:
        >>> positive_interval([0.1, 1.0]).low
        0.0
    """
    return trainings_interval(values).within(0.0, math.inf)


def samples_interval(scores: NDArray[np.float64], confidence: float, *, proportion: bool) -> Estimate:
    """Interval of the mean over test samples of one network, for other samples.

    Args:
        scores: score of each sample, shape (samples,), at least two.
        confidence: coverage, such as 0.95.
        proportion: the scores are 0 or 1; the interval is then Clopper and Pearson's.

    Returns:
        Mean and interval, else by Student's t.

    Example:
        >>> f"{samples_interval(np.ones(100), 0.95, proportion=True):.3f}"
        '1.000 [0.964, 1.000]'
    """
    mean = float(scores.mean())
    if proportion:
        return Estimate(mean, *binomial_interval(mean, len(scores), confidence), "test samples")
    return Estimate(mean, *reads_interval(scores, confidence), "test samples")


def crossed_interval(scores: NDArray[np.float64], confidence: float, *, proportion: bool) -> Interval:
    """Interval of the mean over reads and test samples, for other reads of other samples.

    Reads and samples are crossed (each read sees every sample). The variance of the grand mean is
    s_R**2 / R + s_S**2 / S - s_I**2 / (R S): the variances of the means of reads and of samples, minus the interaction
    that both contain. For proportions the interval is the exact binomial one at the effective sample size, lowered for
    few degrees of freedom (Korn and Graubard 1998), which stays honest when every score is 1.

    Args:
        scores: score of each sample in each read, shape (reads, samples), at least two of each.
        confidence: coverage, such as 0.95.
        proportion: the scores are 0 or 1.

    Returns:
        (low, high).

    Source:
        Searle, Casella, McCulloch, Variance Components, 1992, two-way crossed random model; Korn and Graubard, Survey
        Methodology 24, 1998; degrees of freedom by Satterthwaite.

    Example:
        >>> low, high = crossed_interval(np.ones((30, 100)), 0.95, proportion=True)
        >>> round(low, 3), high
        (0.963, 1.0)
    """
    reads, samples = scores.shape
    mean, by_read, by_sample = float(scores.mean()), scores.mean(1), scores.mean(0)
    between_reads = float(by_read.var(ddof=1)) / reads
    between_samples = float(by_sample.var(ddof=1)) / samples
    interaction = scores - by_read[:, None] - by_sample + mean
    both = float((interaction**2).sum()) / ((reads - 1) * (samples - 1)) / (reads * samples)
    # The difference may fall below either part, or below 0, where few reads or samples say little of the interaction.
    variance = max(between_reads + between_samples - both, between_reads, between_samples)
    squares = between_reads**2 / (reads - 1) + between_samples**2 / (samples - 1)
    # Without any spread, all that is left is the number of samples.
    freedom = variance**2 / squares if squares > 0 else float(samples - 1)
    if not proportion:
        return _t_interval(mean, math.sqrt(variance), freedom, confidence)
    # Independent trials that would have the same variance.
    effective = mean * (1 - mean) / variance if variance > 0 else float(samples)
    tail = 0.5 + confidence / 2
    # The binomial interval takes its variance as known; t over normal quantiles lowers the size for one that is not.
    few_degrees = float(scipy.stats.norm.ppf(tail) / scipy.stats.t.ppf(tail, freedom)) ** 2
    return binomial_interval(mean, effective * few_degrees, confidence)


def binomial_interval(mean: float, trials: float, confidence: float) -> Interval:
    """Clopper and Pearson's interval of a proportion, from quantiles of the beta distribution.

    Args:
        mean: the observed proportion, in [0, 1].
        trials: the number of trials, above 0; it need not be whole.
        confidence: coverage, such as 0.95.

    Example:
        >>> [round(end, 4) for end in binomial_interval(0.1, 100, 0.95)]
        [0.049, 0.1762]
    """
    tail, hits = (1 - confidence) / 2, mean * trials
    # The beta distribution has no parameter 0: without hits the lower end is 0, without misses the upper is 1.
    low = float(scipy.stats.beta.ppf(tail, hits, trials - hits + 1)) if hits > 0 else 0.0
    high = float(scipy.stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def _t_interval(mean: float, error: float, freedom: float, confidence: float) -> Interval:
    half = float(scipy.stats.t.ppf(0.5 + confidence / 2, freedom)) * error
    return mean - half, mean + half
