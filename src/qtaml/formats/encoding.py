"""Which label each weight gets, in one compiled pass; where Numba cannot be imported, torch finds them."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Encode = Callable[..., None]

# Up to so many boundaries a weight is told its label by the cell that it lies in, of so many for their reach: most
# cells hold no boundary.
_FEW, _CELLS = 16, 8192
# Cells below the first boundary, as in `encoding_kernel`.
_BELOW = 2
# Of a cell: by so much a weight in float32, divided, scaled and placed, is off at most, four times over.
_OFF = 0.01
# Starts of a search for each boundary.
_STARTS = 4
# Boundaries that may lie between two starts of equal steps; of float words thousands would lie around 0.
_CROWDED = 32
# Bits of the mantissa of a float64.
_MANTISSA = 52
# Of a step: so far evenly spaced boundaries may be from where they should be. `encoding_kernel` looks again at weights
# that are nearer to one than a thousand times that.
_EVEN = 1e-10


class Decision(NamedTuple):
    """Which label a weight gets, in units of the scale.

    Attributes:
        boundaries: ascending, between the intervals of weights.
        labels: of each interval, uint8 or uint16.
        cells: where there are few boundaries, else empty: labels of cells of equal width, from two of them below
            the first boundary on, the first and last of which have no end; one that is no label where a boundary is in
            the cell or next to it, and that one once more.
        starts: where a search begins; empty where there are few boundaries, evenly spaced or equal ones. For equal
            steps from the first boundary to the last; or, with a shift, for the sizes of numbers by exponent and
            leading bits of the mantissa, as those of float words: below 0 by descending size, then from 0 up by
            ascending size.
        steps: starts, evenly spaced boundaries or cells for each unit; with a shift, the bits of the smallest size;
            0 where all boundaries are one.
        shift: bits of a float64 below those that tell one size from the next; 0 for equal steps.
    """

    boundaries: Floats
    labels: NDArray[Any]
    cells: NDArray[Any]
    starts: Places
    steps: float
    shift: int

    @staticmethod
    def of(boundaries: Floats, labels: NDArray[Any]) -> "Decision":
        """The decision with its search prepared."""
        count, none, no_cells = len(boundaries), np.empty(0, np.int64), labels[:0]
        if count <= _FEW:
            return Decision(boundaries, labels, *_in_cells(boundaries, labels), 0)
        reach = float(boundaries[-1] - boundaries[0])
        if not reach > 0:
            return Decision(boundaries, labels, no_cells, none, 0.0, 0)
        steps = (count - 1) / reach
        if np.abs((boundaries - boundaries[0]) * steps - np.arange(count)).max() < _EVEN:
            return Decision(boundaries, labels, no_cells, none, steps, 0)
        edges = np.linspace(boundaries[0], boundaries[-1], _STARTS * count + 1)
        if np.diff(np.searchsorted(boundaries, edges)).max() > _CROWDED:
            return Decision(boundaries, labels, no_cells, *_by_size(boundaries))
        starts = np.searchsorted(boundaries, (edges[1:] + edges[:-1]) / 2)
        return Decision(boundaries, labels, no_cells, starts, _STARTS * count / reach, 0)


def _in_cells(boundaries: Floats, labels: NDArray[Any]) -> tuple[NDArray[Any], Places, float]:
    """Cells, no starts, and cells for each unit."""
    away = np.abs(boundaries).max(initial=0.0)
    # Cells as wide as what float32 tells apart at the farthest boundary would all be unclear.
    steps = _CELLS / (max(away, boundaries[-1] - boundaries[0]) or 1.0) if len(boundaries) else 1.0
    places = (boundaries - boundaries[:1]) * steps + _BELOW
    number = int(places.max(initial=0.0)) + _BELOW
    cells = labels[np.searchsorted(places, np.arange(number))]
    unclear = np.setdiff1d(np.arange(len(labels) + 1, dtype=labels.dtype), labels)[0]
    for place in places:
        cells[int(place - _OFF) : int(place + _OFF) + 1] = unclear
    return np.append(cells, unclear), np.empty(0, np.int64), float(steps)


def _by_size(boundaries: Floats) -> tuple[Places, float, int]:
    """Starts by exponent and leading bits of the mantissa, the bits of the smallest size, and their shift."""
    sizes = np.abs(boundaries[boundaries != 0])
    octaves = int(np.log2(sizes.max()) - np.log2(sizes.min())) + 1
    # As many starts as boundaries, at least.
    shift = _MANTISSA - math.ceil(math.log2(max(len(boundaries) / octaves, 1)))
    least, most = (int(size) for size in np.array([sizes.min(), sizes.max()]).view(np.int64) >> shift)
    middles = ((np.arange(least, most + 1) << shift) + (1 << shift - 1)).view(np.float64)
    starts = np.searchsorted(boundaries, np.concatenate([-middles[::-1], middles]))
    return starts, float(least), shift


@cache
def kernel() -> Encode | None:
    """`encoding_kernel.encode`, or None without Numba."""
    try:
        from qtaml.formats.encoding_kernel import encode
    except ImportError:
        return None
    return encode
