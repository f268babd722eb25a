"""The loops of encoding, compiled by Numba: scale, look for the interval, write its label.

Blocks of a few hundred weights go through several loops each, most of which become vector instructions; ties and what
lies near a boundary, which are rare, are looked at again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtaml.sampling.numba_kernels import compiled

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_BLOCK = 512
# Of a step between boundaries: rounding puts no weight so far off.
_NEAR = 1e-7
# Cells below the first boundary, as in `encoding`.
_BELOW = np.float32(2.0)
# The bits of a float64 without its sign.
_SIZE = np.int64(2**63 - 1)


@compiled
def encode(
    weights: NDArray[np.floating[Any]],
    divisors: Floats,
    row: int,
    group: int,
    factor: float,
    words: NDArray[Any],
    boundaries: Floats,
    labels: NDArray[Any],
    cells: NDArray[Any],
    starts_of_search: Places,
    steps: float,
    shift: int,
    starts: Places,
    stops: Places,
) -> None:
    """Write the label of each weight of some runs.

    Args:
        weights: flat, float32 or float64.
        divisors: what they are divided by: one number, or one for each row, or each group along a row.
        row: weights of a row.
        group: weights of a group; 0 where there are none.
        factor: on what is divided.
        words: to be written to. A weight on a boundary goes to either side in turn, by its place in the runs.
        boundaries: as in `Decision`, as the five that follow.
        labels: as there.
        cells: as there.
        starts_of_search: as there.
        steps: as there.
        shift: as there.
        starts: first index of each run.
        stops: index after the last of each run.
    """
    values, index = np.empty(_BLOCK, np.float64), np.empty(_BLOCK, np.int64)
    narrow, places, again = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.uint16), np.empty(1, np.int64)
    lowest = boundaries[0] if boundaries.size else 0.0
    few = cells.size > 0
    quick = few and _middling(steps) and _middling(divisors.min()) and _middling(divisors.max())
    passed = 0
    for run in range(starts.size):
        first = starts[run]
        while first < stops[run]:
            size = min(_BLOCK, stops[run] - first)
            written = words[first : first + size]
            if quick:
                _divided(weights, first, size, divisors, row, group, factor, narrow)
                number = _looked_up(narrow, size, lowest, steps, cells, places, written, index)
                for k in range(number):
                    place = index[k]
                    _divided(weights, first + place, 1, divisors, row, group, factor, values)
                    again[0] = 0
                    _settle(values, 1, boundaries, again, passed + place)
                    written[place] = labels[again[0]]
                passed += size
                first += size
                continue
            _divided(weights, first, size, divisors, row, group, factor, values)
            if few or steps == 0.0:
                index[:] = 0
                near = True
            elif shift:
                near = _sized(values.view(np.int64), size, starts_of_search, int(steps), shift, index)
            elif starts_of_search.size == 0:
                near = _rounded(values, size, boundaries, steps, index)
            else:
                near = _started(values, size, boundaries, starts_of_search, steps, index)
            if near:
                _settle(values, size, boundaries, index, passed)
            for i in range(size):
                written[i] = labels[index[i]]
            passed += size
            first += size


@compiled
def largest(bits: NDArray[np.signedinteger], size: int, row: int, group: int, found: NDArray[np.signedinteger]) -> None:
    """The largest magnitude of the weights that share a scale; that of NaN is above all others.

    Args:
        bits: of flat float weights, as whole numbers of their width: without the sign they order magnitudes, and unlike
            floats become vector instructions.
        size: all bits but the sign, of their dtype.
        row: weights of a row, or of the tensor.
        group: as for `encode`.
        found: to be written to, one for each scale.
    """
    span, place = group if group else row, 0
    for start in range(0, bits.size, row):
        for first in range(start, start + row, span):
            own, most = bits[first : min(first + span, start + row)], size * 0
            for i in range(own.size):
                most = max(most, own[i] & size)
            found[place] = most
            place += 1


@compiled
def _middling(value: float) -> bool:
    """Whether a scale leaves float32 enough room on either side, for weights and products."""
    return 1e-15 < value < 1e15


@compiled
def _divided(
    weights: NDArray[np.floating[Any]],
    first: int,
    size: int,
    divisors: Floats,
    row: int,
    group: int,
    factor: float,
    values: NDArray[np.floating[Any]],
) -> None:
    """Weights in units of their scales, in the dtype of `values`; arguments as for `encode`."""
    span = group if group else row
    inside = first % row
    place = first // row * ((row + span - 1) // span) + inside // span
    # Left of the row and of the group: no division for each group, which costs as much as ten weights.
    of_row, of_span = row - inside, span - inside % span
    begin = 0
    while begin < size:
        end, divisor = size, values.dtype.type(divisors[0])
        if divisors.size > 1:
            end = begin + min(size - begin, of_row, of_span)
            divisor = values.dtype.type(divisors[place])
            of_row, of_span = of_row - (end - begin), of_span - (end - begin)
            if of_row == 0 or of_span == 0:
                place, of_span = place + 1, span
                of_row = of_row if of_row else row
        # Cut out: an index that could be negative, counted from the end, allows no vector instructions (1.9 to 0.1 ns).
        before, after = weights[first + begin : first + end], values[begin:end]
        for i in range(after.size):
            after[i] = before[i] / divisor
        begin = end
    if factor != 1.0:
        for i in range(size):
            values[i] *= factor


@compiled
def _looked_up(
    values: NDArray[np.float32],
    size: int,
    lowest: float,
    steps: float,
    cells: NDArray[Any],
    places: NDArray[np.uint16],
    written: NDArray[Any],
    unclear: Places,
) -> int:
    """Labels by cells, as in `Decision`; how many cells do not tell, and in `unclear` of which weights."""
    first, each, last = np.float32(lowest), np.float32(steps), np.float32(cells.size - 2)
    for i in range(size):
        place = (values[i] - first) * each + _BELOW
        # In this order NaN is beyond all boundaries, as in torch.bucketize.
        place = place if place <= last else last
        places[i] = np.uint16(np.int32(place if place > np.float32(0) else np.float32(0)))
    number, none = 0, cells[-1]
    for i in range(size):
        label = cells[places[i]]
        written[i] = label
        unclear[number] = i
        number += int(label == none)
    return number


@compiled
def _rounded(values: Floats, size: int, boundaries: Floats, steps: float, index: Places) -> bool:
    """Intervals between evenly spaced boundaries by rounding; whether a value lies too near to one for that."""
    first, count = boundaries[0], float(boundaries.size)
    near = 0
    for i in range(size):
        place = (values[i] - first) * steps
        above = np.ceil(place)
        # NaN compares as false, and so is near.
        near |= not (above - place > _NEAR and above - place < 1.0 - _NEAR)
        index[i] = np.int64(min(max(above, 0.0), count))
    return near != 0


@compiled
def _started(values: Floats, size: int, boundaries: Floats, starts: Places, steps: float, index: Places) -> bool:
    """Where to begin the search for each value; all of them have to be settled."""
    first, last = boundaries[0], float(starts.size - 1)
    for i in range(size):
        index[i] = np.int64(min(max((values[i] - first) * steps, 0.0), last))
    for i in range(size):
        index[i] = starts[index[i]]
    return True


@compiled
def _sized(bits: Places, size: int, starts: Places, least: int, shift: int, index: Places) -> bool:
    """Where to begin the search for each value, by the bits of its size; all of them have to be settled."""
    half = starts.size // 2
    for i in range(size):
        place = min(max(((bits[i] & _SIZE) >> shift) - least, 0), half - 1)
        index[i] = half - 1 - place if bits[i] < 0 else half + place
    for i in range(size):
        index[i] = starts[index[i]]
    return True


@compiled
def _settle(values: Floats, size: int, boundaries: Floats, index: Places, passed: int) -> None:
    """The exact interval of each value, from one that is near it; ties go to either side in turn."""
    count = boundaries.size
    for i in range(size):
        value, found = values[i], min(max(index[i], 0), count)
        if value != value:
            found = count
        while found > 0 and value <= boundaries[found - 1]:
            found -= 1
        while found < count and value > boundaries[found]:
            found += 1
        if found < count and value == boundaries[found]:
            found += (passed + i) % 2
        index[i] = found
