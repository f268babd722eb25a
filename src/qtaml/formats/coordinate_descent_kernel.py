"""The loops of coordinate descent, compiled by Numba; interpreted where that cannot be imported."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtaml.formats.compiled import compiled
from qtaml.formats.viterbi import best_stream

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]

# Words of a stream that are looked at beyond those that are chosen: by then all paths that may win agree on them.
_AHEAD = 64


@compiled
def _wanted(row: int, column: int, across: Singles, along: Singles, errors: Singles, moved: Singles) -> float:
    """The error of a weight that would be best beside all others; arguments as for `settle_words`."""
    own = along[column, column]
    if across.size == 0:
        return float(errors[row, column] - moved[row, column] / own)
    pull = np.dot(across[row], moved[column][: len(across)])
    return float(errors[row, column] - pull / (across[row, row] * own))


@compiled
def _move(
    row: int, column: int, error: float, across: Singles, along: Singles, errors: Singles, moved: Singles
) -> None:
    """Set the error of a weight; arguments as for `settle_words`."""
    by = np.float32(error) - errors[row, column]
    if by == 0.0:
        return
    errors[row, column] += by
    share = along[column]
    if across.size == 0:
        changed = moved[row]
        for other in range(len(share)):
            changed[other] += by * share[other]
        return
    for other in range(len(share)):
        moved[other, row] += by * share[other]


@compiled
def settle_words(
    weights: Singles,
    scales: Floats,
    across: Singles,
    along: Singles,
    errors: Singles,
    moved: Singles,
    kinds: NDArray[np.int16],
    boundaries: Floats,
    counts: Integers,
    intervals: Integers,
    levels: Floats,
    labels: NDArray[Any],
) -> None:
    """Choose the label of each weight for the errors of all others as they are, one after the other.

    Args:
        weights: shape (rows, columns).
        scales: what levels are in units of, of the same shape, above 0.
        across: how errors of rows act together, shape (rows, rows); (0, 0) for rows by themselves, and alike.
        along: how errors of columns do, shape (columns, columns).
        errors: weights less expected values read, shape (rows, columns); overwritten.
        moved: errors times `along`, of the same shape for rows by themselves, and transposed otherwise; overwritten.
        kinds: which decision each weight is rounded by, shape (rows, columns); -1 for one whose word stays.
        boundaries: as for `round_lines`, and the three that follow.
        counts: as there.
        intervals: as there.
        levels: as there.
        labels: written: of each weight that is rounded.
    """
    # In the order of `moved`, which lies in one line of memory for all that are chosen after each other.
    for line in range(moved.shape[0]):
        for place in range(len(across) if across.size else moved.shape[1]):
            row, column = (place, line) if across.size else (line, place)
            kind = kinds[row, column]
            if kind >= 0:
                wanted = _wanted(row, column, across, along, errors, moved)
                scale = scales[row, column]
                relative = (weights[row, column] - wanted) / scale
                label = intervals[kind, np.searchsorted(boundaries[kind, : counts[kind]], relative)]
                labels[row, column] = label
                _move(row, column, weights[row, column] - levels[kind, label] * scale, across, along, errors, moved)


@compiled
def settle_stream(
    weights: Singles,
    scales: Floats,
    across: Singles,
    along: Singles,
    errors: Singles,
    moved: Singles,
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    counted: NDArray[np.bool_],
    mean: Floats,
    square: Floats,
    bits: int,
    state: int,
    stuck: NDArray[np.uint8],
    held: NDArray[np.uint8],
    together: int,
    words: NDArray[np.uint8],
) -> None:
    """The same for the words of a trellis, some neighbours in the stream at a time, which hardly act together.

    Args:
        weights: as for `settle_words`, and the five that follow.
        scales: as there.
        across: as there.
        along: as there.
        errors: as there.
        moved: as there.
        rows: of each weight in the order of the stream, shape (words, weights of a word).
        columns: of each weight, of the same shape.
        counted: whether a weight counts; where others are does not matter.
        mean: as for `best_stream`.
        square: as there.
        bits: new bits of a word.
        state: the words before the first one, which the last ones are too.
        stuck: as for `best_stream`.
        held: as there.
        together: how many words are chosen at a time.
        words: written, shape (words,).
    """
    count, shared = rows.shape
    size = mean.shape[1]
    before, start = state, 0
    while start < count:
        stop = min(start + together + _AHEAD, count)
        decided = count if stop == count else start + together
        targets, importance = np.zeros((stop - start, shared)), np.zeros((stop - start, shared))
        for word in range(start, stop):
            for j in range(shared):
                if counted[word, j]:
                    row, column = rows[word, j], columns[word, j]
                    scale = scales[row, column]
                    own = along[column, column] * (across[row, row] if across.size else np.float32(1.0))
                    wanted = _wanted(row, column, across, along, errors, moved)
                    targets[word - start, j] = (weights[row, column] - wanted) / scale
                    importance[word - start, j] = own * scale * scale
        last = state if stop == count else -1
        found = best_stream(targets, importance, mean, square, bits, before, last, stuck[start:stop], held[start:stop])
        window = before
        for word in range(start, decided):
            words[word] = found[word - start]
            window = (window << bits | np.int64(found[word - start])) & (size - 1)
            for j in range(shared):
                if counted[word, j]:
                    row, column = rows[word, j], columns[word, j]
                    error = weights[row, column] - mean[j, window] * scales[row, column]
                    _move(row, column, error, across, along, errors, moved)
        before = window & ((size >> bits) - 1)
        start = decided
