"""When a few scores hold so much of a mean that an interval may be too narrow, in words."""

import numpy as np
from numpy.typing import NDArray

from qtaml.measuring.mean_intervals import Bounds, Numbers

FEWEST_SAMPLES = 100
"""Test samples below which the mean of scores without bounds is taken with caution (docs/coverage.md)."""
FEWEST_READS = 20
"""The same for reads."""
_EFFECTIVE_SAMPLES = 30
_EFFECTIVE_READS = 5


def caution_of(scores: Numbers, bounds: Bounds, *, reads_differ: bool = True) -> str:
    """Why an interval of the mean of scores may be too narrow; empty if nothing says so.

    Of scores with two bounds nothing is said: their intervals hold the truth as often as they say. Scores without may
    have most of their mean in samples that are rare, and then a few samples do not show it.

    Args:
        scores: shape (reads, samples), one of each at least; a size of 1 says nothing of that dimension.
        bounds: least and greatest possible score.
        reads_differ: whether errors are possible at all.

    Source:
        theory.md 1.8.

    Example:
        >>> caution_of(np.ones((30, 200)), (0.0, np.inf)), caution_of(np.ones((5, 20)), (0.0, 1.0))
        ('', '')
        >>> print(caution_of(np.ones((30, 40)), (0.0, np.inf)))
        40 test samples of a score without bounds (take 100 or more): the interval may be too narrow
    """
    if np.isfinite(bounds).all():
        return ""
    reads, samples = scores.shape
    found = []
    if samples > 1:
        found.append(_of(scores.mean(0), "test samples", bounds, FEWEST_SAMPLES, _EFFECTIVE_SAMPLES))
    if reads > 1 and reads_differ:
        found.append(_of(scores.mean(1), "reads", bounds, FEWEST_READS, _EFFECTIVE_READS))
    said = " and ".join(filter(None, found))
    return f"{said}: the interval may be too narrow" if said else ""


def effective_number(parts: Numbers) -> NDArray[np.float64]:
    """How many equal parts would be as unevenly distributed as these: `(sum x)^2 / sum x^2`, over the last dimension.

    Example:
        >>> float(effective_number(np.array([1.0, 1.0, 0.0]))), float(effective_number(np.zeros(3)))
        (2.0, 3.0)
    """
    largest = np.abs(parts).max(-1, keepdims=True)
    # In units of the largest: squares of tiny parts would be 0.
    shares = np.where(largest > 0, parts / np.where(largest > 0, largest, 1.0), 1.0)
    return np.asarray(shares.sum(-1) ** 2 / (shares**2).sum(-1))


def _of(means: Numbers, what: str, bounds: Bounds, fewest: int, effective: int) -> str:
    """What the means of samples over reads, or of reads over samples, say."""
    if len(means) < fewest:
        return f"{len(means)} {what} of a score without bounds (take {fewest} or more)"
    parts = _distances(means, bounds)
    if effective_number(parts) >= effective:
        return ""
    sums = np.cumsum(np.sort(parts)[::-1])
    half = 1 + int(np.searchsorted(sums, sums[-1] / 2))
    held = "total" if np.isfinite(bounds).any() else "spread"
    return f"{half} of {len(means):,} {what} hold half of the {held} (take more)"


def _distances(means: Numbers, bounds: Bounds) -> Numbers:
    """How far means are from their bound; from their median, where they have none."""
    low, high = bounds
    if np.isfinite(low):
        return np.maximum(means - low, 0.0)
    return np.maximum(high - means, 0.0) if np.isfinite(high) else np.abs(means - np.median(means))
