"""The cheapest label that can be read where bits are stuck, compiled by Numba; interpreted where that is missing."""

import numpy as np
from numpy.typing import NDArray

from qtaml.formats.compiled import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
def nearest(
    weights: Floats, mean: Floats, square: Floats, labels: Integers, stuck: Integers, held: Integers
) -> Integers:
    """The label u of least cost square[u] - 2 w mean[u] for each weight w, of those with the stuck bits as held.

    Args:
        weights: shape (weights,).
        mean: expected value read for each label.
        square: expected square of it.
        labels: those to choose from, ascending; of equal ones the first is taken.
        stuck: bits that are read as they are held, of the shape of the weights.
        held: what these are read as, likewise.

    Returns:
        Labels, of the shape of the weights; -1 where none can be read.
    """
    found = np.empty(len(weights), np.int64)
    for place in range(len(weights)):
        best, winner, twice = np.inf, -1, 2.0 * weights[place]
        for label in labels:
            cost = square[label] - twice * mean[label]
            if cost < best and label & stuck[place] == held[place]:
                best, winner = cost, label
        found[place] = winner
    return found
