"""Which label is stored for a weight: the one that costs the least expected squared error when read."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def least_error_regions(mean: Floats, variance: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The intervals of weights for which each label is the best one to store.

    The expected squared error of storing label u for a weight w is (mean_u - w)**2 + variance_u. Without the w**2 that
    all share these are straight lines in w, and the best labels are those on their lower envelope.

    Args:
        mean: expected value read for each stored label, shape (labels,).
        variance: its variance, of the same shape.

    Returns:
        (boundaries, labels): ascending boundaries between neighbouring intervals, and the label of each interval, one
        more of them. A label that is best nowhere is not among them.

    Source:
        theory.md 6.1, step (i).

    Example:
        >>> boundaries, labels = least_error_regions(np.array([0.0, 1.0, 2.0]), np.array([0.0, 9.0, 0.0]))
        >>> boundaries.tolist(), labels.tolist()
        ([1.0], [0, 2])
    """
    # Of labels with the same mean the one of least variance counts.
    order = np.lexsort((variance, mean))
    order = order[np.concatenate([[True], np.diff(mean[order]) > 0])]
    height = mean**2 + variance
    kept: list[int] = []
    boundaries: list[float] = []
    for label in order.tolist():
        while kept:
            boundary = (height[label] - height[kept[-1]]) / (mean[label] - mean[kept[-1]]) / 2
            if not boundaries or boundary > boundaries[-1]:
                boundaries.append(float(boundary))
                break
            kept.pop()
            boundaries.pop()
        kept.append(label)
    return np.array(boundaries), np.array(kept)
