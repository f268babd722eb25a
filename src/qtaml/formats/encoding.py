"""Which label each weight gets, in one compiled pass; where Numba cannot be imported, torch finds them."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Encode = Callable[..., None]

# Up to so many boundaries all are counted: loops without branches, 16 of them no dearer than a guess that is checked.
_FEW = 16
# Starts of a search for each boundary.
_STARTS = 4
# Boundaries that a start may have to pass: a search by halves takes as long as a dozen or two.
_CROWDED = 32
# Of a step: so far evenly spaced boundaries may be from where they should be. `encoding_kernel` looks again at weights
# that are nearer to one than a thousand times that.
_EVEN = 1e-10


class Decision(NamedTuple):
    """Which label a weight gets, in units of the scale.

    Attributes:
        boundaries: ascending, between the intervals of weights.
        labels: of each interval, uint8 or uint16.
        starts: where a search begins, for equal steps from the first boundary to the last; empty where there are few
            boundaries, evenly spaced ones, or very uneven ones.
        steps: starts, or evenly spaced boundaries, for each unit; 0 where there are few, negative where they are so
            uneven, as those of float words, that all have to be searched by halves.
    """

    boundaries: Floats
    labels: NDArray[Any]
    starts: Places
    steps: float

    @staticmethod
    def of(boundaries: Floats, labels: NDArray[Any]) -> "Decision":
        """The decision with its search prepared."""
        count, none = len(boundaries), np.empty(0, np.int64)
        reach = float(boundaries[-1] - boundaries[0]) if count > _FEW else 0.0
        if not reach > 0:
            return Decision(boundaries, labels, none, 0.0)
        steps = (count - 1) / reach
        if np.abs((boundaries - boundaries[0]) * steps - np.arange(count)).max() < _EVEN:
            return Decision(boundaries, labels, none, steps)
        edges = np.linspace(boundaries[0], boundaries[-1], _STARTS * count + 1)
        if np.diff(np.searchsorted(boundaries, edges)).max() > _CROWDED:
            return Decision(boundaries, labels, none, -1.0)
        starts = np.searchsorted(boundaries, (edges[1:] + edges[:-1]) / 2)
        return Decision(boundaries, labels, starts, _STARTS * count / reach)


@cache
def kernel() -> Encode | None:
    """`encoding_kernel.encode`, or None without Numba."""
    try:
        from qtaml.formats.encoding_kernel import encode
    except ImportError:
        return None
    return encode
