"""The label of each weight, scaled, in one pass: compiled by Numba; where that cannot be imported, torch finds them."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

# Up to so many boundaries all are counted: loops without branches, 16 of them no dearer than a guess that is checked.
_FEW = 16
# Starts of the search for each boundary: with 4 the guess of evenly spaced levels is right or next to it.
_STARTS = 4
# Weights that are worked on at once, so that what lies between two loops stays in the first cache.
_BLOCK = 512


class Decision(NamedTuple):
    """Which label a weight gets, in units of the scale.

    Attributes:
        boundaries: ascending, between the intervals of weights.
        labels: of each interval, uint8 or uint16.
        starts: where a search begins, for equal steps from the first boundary to the last; empty where there are few.
        steps: starts for each unit.
    """

    boundaries: Floats
    labels: NDArray[Any]
    starts: Places
    steps: float

    @staticmethod
    def of(boundaries: Floats, labels: NDArray[Any]) -> "Decision":
        """The decision with its search prepared."""
        count = len(boundaries)
        if count <= _FEW or not boundaries[-1] > boundaries[0]:
            return Decision(boundaries, labels, np.empty(0, np.int64), 0.0)
        edges = np.linspace(boundaries[0], boundaries[-1], _STARTS * count + 1)
        starts = np.searchsorted(boundaries, (edges[1:] + edges[:-1]) / 2)
        return Decision(boundaries, labels, starts, _STARTS * count / (boundaries[-1] - boundaries[0]))


Encode = Callable[..., None]


@cache
def kernel() -> Encode | None:
    """The compiled loop, or None without Numba.

    It is called as `(weights, divisors, row, group, factor, *decision, starts, stops, words)`: weights flat, float32 or
    float64; divisors, one, or one for each row of `row` weights, or for each `group` of weights along a row (0: none);
    factor on what is divided; runs of weights from `starts` to before `stops`; words to write to. A weight on a
    boundary goes to either side in turn, by its place among the weights of the runs.
    """
    try:
        from qtaml.sampling.numba_kernels import compiled
    except ImportError:
        return None
    return compiled(_encode)


def _encode(
    weights: NDArray[np.floating],
    divisors: Floats,
    row: int,
    group: int,
    factor: float,
    boundaries: Floats,
    labels: NDArray[Any],
    starts_of_search: Places,
    steps: float,
    starts: Places,
    stops: Places,
    words: NDArray[Any],
) -> None:
    """For Numba: see `kernel`."""
    count = boundaries.size
    values, index = np.empty(_BLOCK, np.float64), np.empty(_BLOCK, np.int64)
    groups = (row + group - 1) // group if group else 1
    passed = 0
    for run in range(starts.size):
        first = starts[run]
        while first < stops[run]:
            last = min(first + _BLOCK, stops[run])
            divisor = divisors[0]
            if divisors.size > 1:
                place, inside = first // row, first % row
                end = first - inside + row
                if group:
                    place = place * groups + inside // group
                    end = min(end, first - inside % group + group)
                divisor, last = divisors[place], min(last, end)
            size = last - first
            for i in range(size):
                values[i] = weights[first + i] / divisor * factor
                index[i] = 0
            if starts_of_search.size == 0:
                for k in range(count):
                    boundary = boundaries[k]
                    for i in range(size):
                        # Not "above": NaN is beyond all boundaries, as in torch.bucketize.
                        index[i] += not values[i] <= boundary
            else:
                for i in range(size):
                    value = values[i]
                    found = count
                    guess = (value - boundaries[0]) * steps
                    if guess < starts_of_search.size:
                        found = starts_of_search[int(guess)] if guess > 0.0 else 0
                    while found > 0 and value <= boundaries[found - 1]:
                        found -= 1
                    while found < count and value > boundaries[found]:
                        found += 1
                    index[i] = found
            for i in range(size):
                found = index[i]
                if found < count and values[i] == boundaries[found]:
                    found += (passed + i) % 2
                words[first + i] = labels[found]
            passed += size
            first = last
