"""Look-up of the words read in a table: compiled by Numba, in NumPy where that cannot be imported."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.signedinteger]
Places = NDArray[np.int64]
Words = NDArray[np.uint8] | NDArray[np.uint16]


def look_up(words: Words, table: Ints, values: Ints, starts: Places, stops: Places) -> int:
    """Set `values[i] = table[words[i]]` for all i of some runs.

    Args:
        words: words of the whole tensor.
        table: an entry for every value of the dtype of `words`, as integers with the bits of floating numbers.
        values: of the dtype of `table`, one for each word; those outside the runs stay.
        starts: first index of each run.
        stops: index after the last of each run.

    Returns:
        Bitwise or of the words of the runs: a bit above those of the format betrays a word that is no label.

    Example:
        >>> words, values = np.array([3, 0, 1], np.uint8), np.full(3, -1)
        >>> look_up(words, np.arange(256) * 10, values, np.array([0, 2]), np.array([1, 3])), values.tolist()
        (3, [30, -1, 10])
    """
    return int(_kernel()(words, table, values, starts, stops))


@cache
def scaled_look_up() -> Callable[..., int] | None:
    """`look_up` with a factor for each row or group: `values[i] = table[words[i]] * factor`. None without Numba.

    It is called as `(words, table, factors, row, group, values, starts, stops)`: table of float64, an entry for every
    value of the dtype of `words`; factors, one for each row of `row` weights, or for each `group` of weights along a
    row (0: none); values float32 or float64. It returns what `look_up` does.
    """
    try:
        from qtaml.sampling.numba_kernels import compiled
    except ImportError:
        return None
    return compiled(_by_word_scaled)


@cache
def _kernel() -> Callable[..., int]:
    try:
        from qtaml.sampling.numba_kernels import compiled
    except ImportError:
        return _in_numpy
    return compiled(_by_word)


def _by_word(words: Words, table: Ints, values: Ints, starts: Places, stops: Places) -> int:
    """For Numba: two loops, each of which becomes vector instructions."""
    # Typed: Numba unifies a signed 0 and unsigned words to float64, which has no bitwise or.
    seen = np.uint64(0)
    for run in range(starts.size):
        before, after = words[starts[run] : stops[run]], values[starts[run] : stops[run]]
        for i in range(before.size):
            after[i] = table[before[i]]
        for i in range(before.size):
            seen |= np.uint64(before[i])
    return int(seen)


def _by_word_scaled(
    words: Words,
    table: NDArray[np.float64],
    factors: NDArray[np.float64],
    row: int,
    group: int,
    values: NDArray[np.floating[Any]],
    starts: Places,
    stops: Places,
) -> int:
    """For Numba: see `scaled_look_up`."""
    seen = np.uint64(0)
    groups = (row + group - 1) // group if group else 1
    for run in range(starts.size):
        first = starts[run]
        while first < stops[run]:
            place, inside = first // row, first % row
            last = min(stops[run], first - inside + row)
            if group:
                place = place * groups + inside // group
                last = min(last, first - inside % group + group)
            factor = factors[place]
            before, after = words[first:last], values[first:last]
            for i in range(before.size):
                after[i] = table[before[i]] * factor
            for i in range(before.size):
                seen |= np.uint64(before[i])
            first = last
    return int(seen)


def _in_numpy(words: Words, table: Ints, values: Ints, starts: Places, stops: Places) -> int:
    seen = 0
    for start, stop in zip(starts, stops, strict=True):
        # In the mode "raise" np.take fills a buffer of its own first; "clip" writes straight into `values`. Nothing is
        # clipped, since the table has an entry for every word.
        np.take(table, words[start:stop], out=values[start:stop], mode="clip")
        seen |= int(np.bitwise_or.reduce(words[start:stop]))
    return seen
