"""Error probabilities as the kernels take them: binary digits, what these leave over, and tables.

A probability p up to a half is m/256 + (1 - m/256) q. Eight random binary digits of a bit make an error of probability
m/256; the q that is left is drawn as events: how many of the bits of a block, by its binomial law, and which ones.
Small p are all events. What a bit position draws depends on nothing but its own p, so errors of the other bits do not
change where one is protected. Probabilities above a half are drawn as those of no error.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

BLOCK = 1 << 14
"""Words of 8 bits whose random numbers belong together: it starts streams of its own."""
LANES = 64
"""Streams of a block that run side by side; a compiler turns them into vector instructions."""
STREAMS_OF_A_BLOCK = 128
"""Of which `LANES` draw digits, the others the events of each bit position and stored bit."""
WARM_UP = 18
"""Steps of a generator between its seed and the first number used, as the author of SFC64 advises."""
DIGITS = 8
SLOTS = 1 << 10
"""Equal parts of [0, 1) for which a table tells the label read."""
UNDECIDED = 255

_FEWEST_DIGITS_PAY = 1 / 64
_SMALLEST_TAIL = 2.0**-127

Floats = NDArray[np.float64]


class FlipRecipe(NamedTuple):
    """Independent bit errors. "Side" 0 is for stored zeros, 1 for stored ones; only 0 is used where they are alike.

    Attributes:
        element: bytes of a word.
        dense: whether there are digits, or bits to invert.
        asymmetric: whether the sides differ.
        digits: for each side, which bits of 64 have a one at each binary digit of m, least significant first.
        inverts: for each side, which bits of 64 are wrong unless the draw says so.
        event_bits: bit position of each kind of event.
        event_sides: and its side.
        starts: where the tails of each kind of event start, and where the last ones end.
        tails: probability of at least 1, 2, ... events in a block.
    """

    element: int
    dense: bool
    asymmetric: bool
    digits: NDArray[np.uint64]
    inverts: NDArray[np.uint64]
    event_bits: NDArray[np.int64]
    event_sides: NDArray[np.int64]
    starts: NDArray[np.int64]
    tails: Floats


class StaticRecipe(NamedTuple):
    """Errors of cells of 256 classes: wrong where a random byte lies below `whole`, and with `rest` where it equals it.

    Both are indexed by stored bit, bit position and class: shape (2, 8 x element, 256).
    """

    element: int
    asymmetric: bool
    whole: NDArray[np.uint8]
    rest: Floats


class TransitionRecipe(NamedTuple):
    """Labels read of cells that hold several bits each.

    Attributes:
        shifts: where each cell of a word starts.
        widths: its number of bits.
        slots: label read in each of `SLOTS` parts of [0, 1), for each cell and stored label, or `UNDECIDED`.
        labels: labels in the order in which they share [0, 1): the stored one is the last.
        bounds: where the share of each ends, in slots.
    """

    shifts: NDArray[np.int64]
    widths: NDArray[np.int64]
    slots: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    bounds: Floats


@lru_cache(maxsize=1024)
def flip_recipe(p01: tuple[float, ...], p10: tuple[float, ...]) -> FlipRecipe:
    """The recipe of independent bit errors.

    Args:
        p01: probability of reading 1 where 0 is stored, in [0, 1], bit 0 first.
        p10: probability of reading 0 where 1 is stored.
    """
    element = 1 if len(p01) <= 8 else 2
    asymmetric = p01 != p10
    digits, inverts = np.zeros((2, DIGITS), dtype=np.uint64), np.zeros(2, dtype=np.uint64)
    bits, sides, tails = [], [], []
    for side, rates in enumerate((p01, p10) if asymmetric else (p01,)):
        inverts[side] = _repeated([p > 0.5 for p in rates])
        split = [split_digits(min(p, 1 - p)) for p in rates]
        for place in range(DIGITS):
            digits[side, place] = _repeated([bool(m >> place & 1) for m, _ in split])
        for bit, (_, q) in enumerate(split):
            tail = binomial_tails(BLOCK // element, q)
            if len(tail):
                bits.append(bit)
                sides.append(side)
                tails.append(tail)
    return FlipRecipe(
        element,
        bool(digits.any() or inverts.any()),
        asymmetric,
        digits,
        inverts,
        np.array(bits, dtype=np.int64),
        np.array(sides, dtype=np.int64),
        np.cumsum([0, *map(len, tails)], dtype=np.int64),
        np.concatenate([*tails, np.empty(0)]),
    )


def split_digits(p: float) -> tuple[int, float]:
    """The m and q of p = m/256 + (1 - m/256) q; m is 0 for small p, which are cheaper as events alone.

    Example:
        >>> split_digits(0.25), split_digits(0.001)
        ((64, 0.0), (0, 0.001))
    """
    m = int(p * 256) if p >= _FEWEST_DIGITS_PAY else 0
    # Both differences are exact; the quotient is rounded once.
    return m, (p - m / 256) / (1 - m / 256)


@lru_cache(maxsize=1024)
def binomial_tails(trials: int, q: float) -> Floats:
    """Probability of at least 1, 2, ... successes in `trials`, as far as it exceeds 2**-127.

    Example:
        >>> binomial_tails(2, 0.5).tolist()
        [0.75, 0.25]
    """
    if q == 0:
        return np.empty(0)
    most = min(trials, int(trials * q + 14 * (trials * q) ** 0.5 + 60))
    count = np.arange(1, most + 1)
    tails = np.asarray(special.betainc(count, trials - count + 1, q), dtype=np.float64)
    return tails[tails > _SMALLEST_TAIL]


def static_recipe(p01: Sequence[Sequence[float]], p10: Sequence[Sequence[float]]) -> StaticRecipe:
    """The recipe of cells of several classes.

    Args:
        p01: for each bit position, bit 0 first, the probability of reading 1 where 0 is stored, for each class; 2, 4,
            8, ... or 256 classes.
        p10: likewise of reading 0 where 1 is stored.
    """
    rates = np.array([p01, p10], dtype=np.float64)
    element = 1 if rates.shape[1] <= 8 else 2
    scaled = np.zeros((2, 8 * element, 256))
    scaled[:, : rates.shape[1]] = 256 * np.repeat(rates, 256 // rates.shape[2], axis=2)
    whole = np.minimum(np.floor(scaled), 255)
    return StaticRecipe(element, not np.array_equal(p01, p10), whole.astype(np.uint8), scaled - whole)


@lru_cache(maxsize=64)
def transition_recipe(groups: tuple[tuple[tuple[float, ...], ...], ...]) -> TransitionRecipe:
    """The recipe of cells that hold several bits.

    Args:
        groups: for each cell, from bit 0 up, the probability of reading each label (inner) given the stored one;
            1, 2, 3 or 4 bits each.
    """
    widths = [len(group).bit_length() - 1 for group in groups]
    slots = np.zeros((len(groups), 16, SLOTS), dtype=np.uint8)
    labels, bounds = np.zeros((len(groups), 16, 16), dtype=np.uint8), np.zeros((len(groups), 16, 16))
    starts = np.arange(SLOTS) / SLOTS
    for cell, group in enumerate(groups):
        for stored, row in enumerate(group):
            # The stored label takes what the others leave, so that the rare ones keep their digits.
            order = [label for label in range(len(row)) if label != stored] + [stored]
            ends = np.append(np.minimum(np.cumsum([row[label] for label in order[:-1]]), 1.0), 1.0)
            first = np.searchsorted(ends, starts, side="right")
            last = np.searchsorted(ends, starts + 1 / SLOTS, side="left")
            slots[cell, stored] = np.where(first == last, np.array(order)[first], UNDECIDED)
            labels[cell, stored, : len(order)] = order
            bounds[cell, stored, : len(order)] = ends * SLOTS
    shifts = np.cumsum([0, *widths[:-1]], dtype=np.int64)
    return TransitionRecipe(shifts, np.array(widths, dtype=np.int64), slots, labels, bounds)


def _repeated(positions: Sequence[bool]) -> int:
    """The bits of one word in each word of 64 bits."""
    word = sum(1 << i for i, is_set in enumerate(positions) if is_set)
    return sum(word << start for start in range(0, 64, 8 if len(positions) <= 8 else 16))
