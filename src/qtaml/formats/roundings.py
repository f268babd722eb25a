"""How weights are rounded one by one: which intervals of weights get which label, and what that is read as."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rounding(NamedTuple):
    """How the weights of one format, or of some of its blocks, are rounded.

    Attributes:
        boundaries: ascending, between intervals of weights, in units of the scale.
        labels: of each interval.
        levels: expected value read of each label, in units of the scale.
    """

    boundaries: NDArray[np.float64]
    labels: NDArray[Any]
    levels: NDArray[np.float64]


class Padded(NamedTuple):
    """Several roundings as arrays with a row for each: boundaries, their number, labels of intervals, levels."""

    boundaries: NDArray[np.float64]
    counts: NDArray[np.int64]
    intervals: NDArray[np.int64]
    levels: NDArray[np.float64]

    @staticmethod
    def of(roundings: Sequence[Rounding]) -> "Padded":
        """Filled up with infinite boundaries, and zeros."""
        counts = np.array([len(one.boundaries) for one in roundings], np.int64)
        boundaries = np.full((len(roundings), counts.max()), np.inf)
        intervals = np.zeros((len(roundings), counts.max() + 1), np.int64)
        levels = np.zeros((len(roundings), max(len(one.levels) for one in roundings)))
        for place, one in enumerate(roundings):
            boundaries[place, : counts[place]] = one.boundaries
            intervals[place, : counts[place] + 1] = one.labels
            levels[place, : len(one.levels)] = one.levels
        return Padded(boundaries, counts, intervals, levels)
