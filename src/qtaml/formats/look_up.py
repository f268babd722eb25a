"""Entries of a table for the words that were read: compiled by Numba, in NumPy where that cannot be imported."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.signedinteger]
Places = NDArray[np.int64]
Words = NDArray[np.uint8] | NDArray[np.uint16]


def look_up(words: Words, table: Ints, values: Ints, starts: Places, stops: Places) -> int:
    """Overwrite `values` with the entries of a table for the words of some runs.

    Args:
        words: of all places.
        table: an entry for every word of that dtype: integers, with the bits of numbers of any dtype of that size.
        values: of the dtype of `table`, one for each word; those outside the runs stay.
        starts: where the runs start.
        stops: where they stop.

    Returns:
        The bits that any of the words has.

    Example:
        >>> words, values = np.array([3, 0, 1], np.uint8), np.full(3, -1)
        >>> look_up(words, np.arange(256) * 10, values, np.array([0, 2]), np.array([1, 3])), values.tolist()
        (3, [30, -1, 10])
    """
    return int(_kernel()(words, table, values, starts, stops))


@cache
def _kernel() -> Callable[..., int]:
    try:
        from qtaml.sampling.numba_kernels import compiled
    except ImportError:
        return _in_numpy
    return compiled(_by_word)


def _by_word(words: Words, table: Ints, values: Ints, starts: Places, stops: Places) -> int:
    """For Numba: two loops, each of which becomes vector instructions."""
    seen = np.uint64(0)
    for run in range(starts.size):
        before, after = words[starts[run] : stops[run]], values[starts[run] : stops[run]]
        for i in range(before.size):
            after[i] = table[before[i]]
        for i in range(before.size):
            seen |= np.uint64(before[i])
    return int(seen)


def _in_numpy(words: Words, table: Ints, values: Ints, starts: Places, stops: Places) -> int:
    seen = 0
    for start, stop in zip(starts, stops, strict=True):
        # A mode other than "raise" writes straight into `values`.
        np.take(table, words[start:stop], out=values[start:stop], mode="clip")
        seen |= int(np.bitwise_or.reduce(words[start:stop]))
    return seen
