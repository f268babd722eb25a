"""Trellises: the stream of words of the weights that share a format, and the words of least error for them.

The word of weight j lies at place j, like any other word. The stream visits the places in steps of `stride`, the golden
section of their number, around and around: the word before place j in the stream is at place j - stride. So weights
that share bits lie far apart in the tensor, and their errors do not add up in one output; words of one window lie far
apart in the memory, and are not hit by one cluster of errors.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.formats.bit_levels import BitLevels
from qtaml.formats.weak_bits import WeakBits

Floats = NDArray[np.float64]

_GOLDEN = (5**0.5 - 1) / 2
_JOINT = 256
"""Words on either side of the joint of a closed stream, from which the state there is chosen."""


def stride(words: int) -> int:
    """Steps of the stream: the number nearest to the golden section of the places, and coprime to their number.

    Example:
        >>> [stride(words) for words in (2, 3, 10, 1000)]
        [1, 2, 7, 619]
    """
    step = max(round(words * _GOLDEN), 1)
    while math.gcd(step, words) > 1:
        step += 1
    return step


def windows(words: torch.Tensor, levels: BitLevels) -> torch.Tensor:
    """The window of each weight, int16, of the shape of `words`.

    Args:
        words: of the stream, a place for each weight; the first `places / weights_per_word`, rounded up, count.
        levels: of the trellis.

    Raises:
        ArgumentError: if there are fewer words than a window has, or one has more bits.
    """
    weights, shared = words.numel(), levels.weights_per_word
    own = words.reshape(-1)[: -(-weights // shared)].to(torch.int16)
    _check_length(own.numel(), levels)
    if int(own.max()) >> levels.bits:
        raise ArgumentError(f"words of a trellis must be below {1 << levels.bits}, got {int(own.max())}")
    found, step = own.clone(), stride(own.numel())
    for back in range(1, levels.window):
        found |= torch.roll(own, back * step) << levels.bits * back
    top = levels.bits * levels.window
    return torch.cat([found | (place << top) for place in range(shared)])[:weights].reshape(words.shape)


def encode(
    weights: torch.Tensor, mean: Floats, square: Floats, levels: BitLevels, weak: WeakBits | None = None
) -> torch.Tensor:
    """The closed stream of words of least expected squared error: Viterbi's algorithm.

    Args:
        weights: in units of the full scale, any shape.
        mean: expected value read for each stored window.
        square: expected square of it.
        levels: of the trellis.
        weak: what weak cells do to the words; the words chosen are those that are read.

    Returns:
        Words, uint8, of the shape of `weights`; 0 at places that hold none.

    Raises:
        ArgumentError: if there are fewer words than a window has.

    Source:
        theory.md 6.8.
    """
    # Compiled with Numba, which takes long to import.
    from qtaml.formats.viterbi import best_stream

    places = in_order(weights.numel(), levels)
    count, order = len(places), places[:, 0]
    _check_length(count, levels)
    # The last word may have a weight less: it gets one whose errors cost nothing.
    importance = (places >= 0).astype(np.uint8)
    values = weights.detach().reshape(-1).double().cpu().numpy()[places]
    shared = levels.weights_per_word
    lines = mean.reshape(shared, -1), square.reshape(shared, -1)
    stuck = np.zeros(count, np.uint8) if weak is None else _of_words(weak.stuck, order) & (2**levels.bits - 1)
    held = stuck if weak is None else _of_words(weak.zeros, order) & stuck

    def best(some: NDArray[np.int64], state: int) -> NDArray[np.uint8]:
        ends = state, state
        return best_stream(values[some], importance[some], *lines, levels.bits, *ends, stuck[some], held[some])

    side = min(_JOINT, count)
    joint = best(np.arange(-side, side) % count, -1)
    words = np.zeros(weights.numel(), np.uint8)
    words[order] = best(np.arange(count), state_after(joint[:side], levels))
    return torch.from_numpy(words).to(weights.device).reshape(weights.shape)


def in_order(weights: int, levels: BitLevels) -> NDArray[np.int64]:
    """Places of so many weights in the order of their stream, shape (words, weights of a word); -1 for none.

    The word of each is at the first of its places.
    """
    count = levels.words(weights)
    order = np.arange(count, dtype=np.int64) * stride(count) % count
    places = order[:, None] + count * np.arange(levels.weights_per_word)
    return np.where(places < weights, places, -1)


def state_after(words: NDArray[np.uint8], levels: BitLevels) -> int:
    """The state after some words of the stream: all of a window but its newest word."""
    state = 0
    for word in words[len(words) - (levels.window - 1) :]:
        state = state << levels.bits | int(word)
    return state


def _of_words(words: torch.Tensor, order: NDArray[np.int64]) -> NDArray[np.uint8]:
    return words.reshape(-1).cpu().numpy()[order].astype(np.uint8)


def _check_length(words: int, levels: BitLevels) -> None:
    if words < levels.window:
        raise ArgumentError(f"a trellis must have at least the {levels.window} words of its window, got {words}")
