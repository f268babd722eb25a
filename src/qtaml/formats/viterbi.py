"""Viterbi's algorithm for a sliding window of words, compiled by Numba; interpreted where that cannot be imported."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtaml.formats.compiled import compiled

Floats = NDArray[np.float64]

# Words are decided in blocks, each after so many more words have been looked at: by then all paths that may win agree
# on it. Pointers for the whole stream would take gigabytes.
_BLOCK, _AHEAD = 4096, 512


@compiled
def _add_costs(cost: Floats, square: Floats, mean: Floats, twice: float, importance: float) -> None:
    for u in range(len(cost)):
        cost[u] += importance * (square[u] - twice * mean[u])


@compiled
def _add_paths(total: Floats, before: Floats, new_words: int) -> None:
    """Add to each window the cost of the best path to the state that it begins with."""
    # Spelled out for pairs, which are too short for a loop of their own.
    if new_words == 2:
        for state in range(len(before)):
            total[2 * state] += before[state]
            total[2 * state + 1] += before[state]
        return
    for state in range(len(before)):
        some = total[state * new_words : (state + 1) * new_words]
        for word in range(new_words):
            some[word] += before[state]


@compiled
def _best_paths(total: Floats, after: Floats, oldest: NDArray[np.uint8], new_words: int) -> None:
    """The best of the windows that end with each state: its cost, and its oldest word."""
    # Windows that differ in the oldest word alone lie a number of states apart: loops over neighbours, which a
    # processor's vectors take several at a time.
    for state in range(len(after)):
        after[state] = total[state]
        oldest[state] = 0
    for word in range(1, new_words):
        some = total[word * len(after) : (word + 1) * len(after)]
        for state in range(len(after)):
            less = some[state] < after[state]
            after[state] = some[state] if less else after[state]
            oldest[state] = np.uint8(word) if less else oldest[state]


@compiled
def best_stream(
    weights: Floats,
    importance: NDArray[Any],
    mean: Floats,
    square: Floats,
    bits: int,
    first_state: int,
    last_state: int,
    stuck: NDArray[np.uint8],
    held: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """The words of least sum of importance (square[u] - 2 w mean[u]) over the weights w and their windows u.

    Args:
        weights: shape (words, weights of a word).
        importance: of each weight, of the same shape; 0 for one that does not count. Of any kind of numbers.
        mean: expected value read for each weight of a word and each window, shape (weights of a word, windows).
        square: expected square of it, of the same shape.
        bits: new bits of a word.
        first_state: the words before the first one: the upper bits of the window, moved down; -1 if they are free.
        last_state: the last words, likewise; in a closed stream they are those before the first one.
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
    if first_state >= 0:
        before[:] = np.inf
        before[first_state] = 0.0
    oldest = np.zeros((min(count, _BLOCK + _AHEAD), states), np.uint8)
    words, first = np.empty(count, np.uint8), 0
    for place in range(count):
        cost[:] = 0.0
        for j in range(shared):
            if importance[place, j] > 0.0:
                _add_costs(cost, square[j], mean[j], 2.0 * weights[place, j], importance[place, j])
        _add_paths(cost, before, new_words)
        _best_paths(cost, after, oldest[place - first], new_words)
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
    now = last_state if last_state >= 0 else int(np.argmin(before))
    for place in range(count - 1, first - 1, -1):
        words[place] = now & (new_words - 1)
        now = int(oldest[place - first, now]) * alike + (now >> bits)
    return words
