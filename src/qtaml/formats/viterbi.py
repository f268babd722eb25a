"""Viterbi's algorithm for a sliding window of words, compiled by Numba; interpreted where that cannot be imported."""

import numpy as np
from numpy.typing import NDArray

from qtaml.formats.compiled import compiled

Floats = NDArray[np.float64]

# Words are decided in blocks, each after so many more words have been looked at: by then all paths that may win agree
# on it. Pointers for the whole stream would take gigabytes.
_BLOCK, _AHEAD = 4096, 512


@compiled
def best_stream(
    weights: Floats,
    counted: NDArray[np.bool_],
    mean: Floats,
    square: Floats,
    bits: int,
    state: int,
    stuck: NDArray[np.uint8],
    held: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """The words of least sum of costs, square[u] - 2 w mean[u], over the weights w and their windows u.

    Args:
        weights: shape (words, weights of a word).
        counted: whether a weight counts, of the same shape.
        mean: expected value read for each weight of a word and each window, shape (weights of a word, windows).
        square: expected square of it, of the same shape.
        bits: new bits of a word.
        state: the words before the first one and, since the stream is closed, the last ones: the upper bits of the
            window, moved down; -1 if both are free.
        stuck: bits of each word that are read as they are held, whatever is written, shape (words,).
        held: what these bits are read as.

    Returns:
        Shape (words,).
    """
    count, shared = weights.shape
    size, new_words = mean.shape[1], 1 << bits
    states = size >> bits
    # A state is the last words of a window; those with the same words but for the oldest have the same successors.
    alike = states >> bits
    before, after, cost = np.zeros(states), np.zeros(states), np.empty(size)
    if state >= 0:
        before[:] = np.inf
        before[state] = 0.0
    oldest = np.zeros((min(count, _BLOCK + _AHEAD), states), np.uint8)
    words, first = np.empty(count, np.uint8), 0
    for place in range(count):
        cost[:] = 0.0
        for j in range(shared):
            if counted[place, j]:
                twice = 2.0 * weights[place, j]
                for u in range(size):
                    cost[u] += square[j, u] - twice * mean[j, u]
        pointers = oldest[place - first]
        for base in range(alike):
            for word in range(new_words):
                now = base * new_words + word
                best, winner = before[base] + cost[now], 0
                for old in range(1, new_words):
                    other = before[old * alike + base] + cost[old * states + now]
                    if other < best:
                        best, winner = other, old
                after[now], pointers[now] = best, winner
        if stuck[place]:
            for now in range(states):
                if (now ^ held[place]) & stuck[place]:
                    after[now] = np.inf
        before, after = after, before
        if place - first + 1 == len(oldest) and place + 1 < count:
            now = int(np.argmin(before))
            for row in range(len(oldest) - 1, -1, -1):
                if row < _BLOCK:
                    words[first + row] = now & (new_words - 1)
                now = int(oldest[row, now]) * alike + (now >> bits)
            for row in range(_AHEAD):
                oldest[row] = oldest[_BLOCK + row]
            first += _BLOCK
    now = state if state >= 0 else int(np.argmin(before))
    for place in range(count - 1, first - 1, -1):
        words[place] = now & (new_words - 1)
        now = int(oldest[place - first, now]) * alike + (now >> bits)
    return words
