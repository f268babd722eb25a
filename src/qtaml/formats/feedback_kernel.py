"""The loop of rounding with feedback, compiled by Numba; interpreted where that cannot be imported."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtaml.formats.compiled import compiled

Singles = NDArray[np.float32]


@compiled
def round_lines(
    targets: Singles,
    exact: Singles,
    scales: NDArray[np.float64],
    kinds: NDArray[np.int16],
    boundaries: NDArray[np.float64],
    counts: NDArray[np.int64],
    intervals: NDArray[np.int64],
    levels: NDArray[np.float64],
    between: Singles,
    along: Singles,
    labels: NDArray[Any],
    errors: Singles,
) -> None:
    """Round lines of weights one after the other, and each weight of a line; those that follow make up for its error.

    Args:
        targets: weights, with what earlier lines feed to them, shape (lines, weights of a line); overwritten.
        exact: the weights, of the same shape.
        scales: what levels are in units of, of the same shape.
        kinds: which decision each weight is rounded by, of the same shape; -1 for one that is read exactly.
        boundaries: ascending, of each decision, shape (decisions, most boundaries).
        counts: number of boundaries of each.
        intervals: label of each interval between them, shape (decisions, most boundaries + 1).
        levels: expected value read of each label, shape (decisions, most labels).
        between: share of the error of a line that each later one makes up for, shape (lines, lines); (0, 0) for none.
        along: the same of the weights of a line; (0, 0) for none.
        labels: written: of each weight that is rounded.
        errors: written: weight less expected value read.
    """
    lines, width = targets.shape
    for line in range(lines):
        target, error = targets[line], errors[line]
        for other in range(line if between.size else 0):
            share, earlier = between[other, line], errors[other]
            for place in range(width):
                target[place] += share * earlier[place]
        for place in range(width):
            error[place] = target[place]
        for place in range(width):
            kind, scale = kinds[line, place], scales[line, place]
            read = np.float64(exact[line, place])
            if kind >= 0:
                # An all-zero tensor or row has scale 0: any label reads back as 0.
                relative = np.float64(target[place]) / scale if scale > 0 else 0.0
                label = intervals[kind, np.searchsorted(boundaries[kind, : counts[kind]], relative)]
                labels[line, place] = label
                read = levels[kind, label] * scale
            # The line is asked for what was fed to it: in it counts what is left of that.
            left = np.float32(error[place] - read)
            error[place] = np.float32(exact[line, place] - read)
            if along.size:
                share_of = along[place]
                for later in range(place + 1, width):
                    target[later] += left * share_of[later]
