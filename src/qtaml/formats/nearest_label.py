"""Which label is stored for a weight: the one that costs the least expected squared error when read."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def least_error_regions(mean: Floats, square: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The intervals of weights for which each label is the best one to store.

    The expected squared error of storing label u for a weight w is square_u - 2 w mean_u + w**2. Without the w**2 that
    all share these are straight lines in w, and the best labels are those on their lower envelope.

    Args:
        mean: expected value read for each stored label, shape (labels,).
        square: expected square of the value read, of the same shape.

    Returns:
        (thresholds, labels): ascending thresholds between neighbouring intervals, and the label of each interval, one
        more of them. A label that is best nowhere is not among them.

    Source:
        theory.md 6.1, step (i).

    Example:
        >>> thresholds, labels = least_error_regions(np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 4.0]))
        >>> thresholds.tolist(), labels.tolist()
        ([1.0], [0, 2])
    """
    order = np.lexsort((square, mean))
    means, squares = mean[order].tolist(), square[order].tolist()
    kept: list[int] = []
    thresholds: list[float] = []
    for index, (slope, height) in enumerate(zip(means, squares, strict=True)):
        # Of labels of one mean the first, of the least square, counts.
        if kept and slope == means[kept[-1]]:
            continue
        crossing = -np.inf
        while kept:
            crossing = (height - squares[kept[-1]]) / (2 * (slope - means[kept[-1]]))
            if not thresholds or crossing > thresholds[-1]:
                break
            kept.pop()
            thresholds.pop()
        if kept:
            thresholds.append(crossing)
        kept.append(index)
    return np.array(thresholds), order[kept]
