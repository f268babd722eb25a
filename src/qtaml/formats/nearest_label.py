"""The label of least expected squared error for each weight: a lower envelope of straight lines."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def least_error_regions(mean: Floats, square: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The intervals of weights in which each label has the least expected squared error.

    Storing label u for a weight w costs square_u - 2 w mean_u + w**2. Without w**2, which all labels share, these are
    straight lines in w, and the labels to store are those on their lower envelope.

    Args:
        mean: expected value read for each stored label, shape (labels,).
        square: expected square of the value read, of the same shape.

    Returns:
        (thresholds, labels): ascending thresholds between neighbouring intervals, shape (intervals - 1,), and the label
        of each interval, shape (intervals,). Labels above the envelope are left out.

    Source:
        theory.md 6.1, step (i).

    Example:
        >>> thresholds, labels = least_error_regions(np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 4.0]))
        >>> thresholds.tolist(), labels.tolist()
        ([1.0], [0, 2])
    """
    # Convex hull by one scan over ascending slopes. Python floats: one at a time they are faster than NumPy's scalars.
    order = np.lexsort((square, mean))
    means, squares = mean[order].tolist(), square[order].tolist()
    kept: list[int] = []
    thresholds: list[float] = []
    for index, (slope, height) in enumerate(zip(means, squares, strict=True)):
        # Parallel lines: the first, of the least square, is the lower one, and a crossing would divide by 0.
        if kept and slope == means[kept[-1]]:
            continue
        crossing = -np.inf
        while kept:
            crossing = (height - squares[kept[-1]]) / (2 * (slope - means[kept[-1]]))
            # Crossed no later than where it begins, the last line is nowhere below both of its neighbours.
            if not thresholds or crossing > thresholds[-1]:
                break
            kept.pop()
            thresholds.pop()
        if kept:
            thresholds.append(crossing)
        kept.append(index)
    return np.array(thresholds), order[kept]
