"""Intervals of a share of right answers: Clopper and Pearson's, at as many independent answers as say as much."""

import numpy as np
import scipy

from qtaml.measuring.mean_intervals import Ends, Numbers, spread_of_mean

_UNSEEN = 0.5
"""Answers of the rarer kind, tied as much as can be, that are added where the data say how much answers are tied."""


def binomial_interval(
    mean: Numbers | float, trials: Numbers | float, confidence: float, *, step: Numbers | float = 1.0
) -> Ends:
    """Clopper and Pearson's interval of a proportion, from quantiles of the beta distribution.

    Args:
        mean: the observed proportion, in [0, 1].
        trials: the number of trials, above 0; it need not be whole.
        confidence: coverage, such as 0.95.
        step: by how much neighbouring numbers of hits differ, in [0, 1]: 1 where they are counted. At 0, for a share
            that may have any value, the interval is that of Jeffreys.

    Example:
        >>> [round(float(end), 4) for end in binomial_interval(0.1, 100, 0.95)]
        [0.049, 0.1762]
    """
    tail, hits = (1 - confidence) / 2, np.asarray(mean * trials)
    misses = trials - hits
    outer, inner = (1 + step) / 2, (1 - step) / 2
    # The beta distribution has no parameter 0: without hits the lower end is 0, without misses the upper is 1.
    low = scipy.special.betaincinv(np.where(hits > 0, hits + inner, 1.0), misses + outer, tail)
    high = scipy.special.betaincinv(hits + outer, np.where(misses > 0, misses + inner, 1.0), 1 - tail)
    return np.where(hits > 0, low, 0.0), np.where(misses > 0, high, 1.0)


def samples_share_interval(shares: Numbers, confidence: float) -> Ends:
    """Interval of a share of right answers, for other samples.

    Args:
        shares: for each sample, how many of its answers are right, shape (..., samples). Where each is 0 or 1, the
            interval is Clopper and Pearson's.
        confidence: coverage, such as 0.95.

    Source:
        theory.md 1.8; Korn and Graubard, Survey Methodology 24, 1998.

    Example:
        >>> [round(float(end), 3) for end in samples_share_interval(np.ones(100), 0.95)]
        [0.964, 1.0]
    """
    samples, mean = shares.shape[-1], shares.mean(-1)
    seen = ((shares - mean[..., None]) ** 2).sum(-1)
    effect = _effect(seen, samples * mean * (1 - mean), mean)
    return binomial_interval(mean, samples / effect, confidence, step=effect)


def reads_share_interval(shares: Numbers, samples: int, confidence: float) -> Ends:
    """Interval of a share of right answers, for other reads of these very samples.

    Args:
        shares: for each read, how many of the samples are right, shape (..., reads), at least two.
        samples: how many there are.
        confidence: coverage, such as 0.95.

    Source:
        theory.md 1.8; Korn and Graubard, Survey Methodology 24, 1998.

    Example:
        >>> [round(float(end), 4) for end in reads_share_interval(np.ones(30), 100, 0.95)]
        [0.9988, 1.0]
    """
    mean, reads = shares.mean(-1), spread_of_mean(shares)
    answers = samples * shares.shape[-1]
    seen = reads.variance * answers**2
    effect = _effect(seen, answers * mean * (1 - mean), mean)
    tail = 0.5 + confidence / 2
    # The binomial interval takes its variance as known; t over normal quantiles lowers the number for one that is not.
    # Of reads that were all alike nothing is taken from the data.
    quantile = np.where(seen > 0, scipy.special.stdtrit(reads.tailed_freedom, tail), scipy.special.ndtri(tail))
    few_degrees = (scipy.special.ndtri(tail) / quantile) ** 2
    return binomial_interval(mean, answers / effect * few_degrees, confidence, step=np.minimum(effect, 1.0))


def _effect(seen: Numbers, alone: Numbers, mean: Numbers) -> Numbers:
    """Variance of the number of right answers over that of answers which are not tied, both with unseen ones added."""
    unseen = _UNSEEN * np.maximum(mean, 1 - mean) ** 2
    return np.asarray((seen + unseen) / (alone + unseen))
