"""Error probabilities as the kernels take them: binary digits, binomial tails of the rest, and look-up tables.

A probability p up to a half is m/256 + (1 - m/256) q. Eight random binary digits of a bit make an error of probability
m/256; the rest q is drawn as events: a binomial number of the bits of a block, at distinct uniform places. Small p are
all events. The draws of a bit position depend on its own p only, so protecting a bit does not change the errors of the
others. Probabilities above a half are drawn as those of no error, and inverted.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

# All numbers here but the mark UNDECIDED are part of what a seed means: with others the same seed gives other errors,
# of the same law.

# Bytes of a block, or words of a multi-level memory: a block has streams of its own, so that threads can share the
# blocks of a tensor without changing its errors. A power of 2 up to 2^15, since places of events are masked out of 16
# random bits, and the NumPy kernel keeps 2^16 - 1 as a mark.
BLOCK = 1 << 14
# Streams of a block that run side by side; a compiler turns them into vector instructions.
LANES = 64
# Of which the first `LANES` draw digits, the next 32 the events of each stored bit (2) and bit position (16).
STREAMS_OF_A_BLOCK = 128
# Steps of a generator between its seed and the first number used, as the author of SFC64 advises.
WARM_UP = 18
# Binary digits of p drawn for every bit. Each more would cost as much again, and halve the events: 8 leave q <= 1/128.
DIGITS = 8
# Equal parts of [0, 1) for which a table has the label read: all but those, at most 15 in 1024, that hold a border.
SLOTS = 1 << 10
# Marks a slot that a border between labels cuts; labels are at most 15.
UNDECIDED = 255

# From here on p takes digits. On ten million words of 8 bits they cost 2.5 ms whatever p, and an event 2 ns: about
# equal at p = 1/64.
_FEWEST_DIGITS_PAY = 1 / 64
# Tails are compared with uniform numbers of 128 bits, which do not resolve smaller ones.
_SMALLEST_TAIL = 2.0**-127

Floats = NDArray[np.float64]


class FlipRecipe(NamedTuple):
    """Independent bit errors. "Side" 0 is for stored zeros, 1 for stored ones; only 0 is used where p01 equals p10.

    Attributes:
        element: bytes of a word.
        dense: whether there are digits, or bits to invert.
        asymmetric: whether the sides differ.
        digits: for each side, which bits of 64 have a one at each binary digit of m, least significant first.
        inverts: for each side, which bits of 64 are wrong unless the draw says so.
        event_bits: bit position of each kind of event.
        event_sides: side of each kind of event.
        starts: index of the first tail of each kind of event, then the number of all tails.
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
    """Errors of cells of 256 classes: 256 p = whole + rest, split so that a random byte decides nearly all cells.

    A cell is wrong where its byte lies below `whole`, and with probability `rest` where it equals it. Both are indexed
    by stored bit, bit position and class: shape (2, 8 x element, 256).
    """

    element: int
    asymmetric: bool
    whole: NDArray[np.uint8]
    rest: Floats


class TransitionRecipe(NamedTuple):
    """Inverse distribution functions of the label read, for cells that hold several bits each.

    Attributes:
        shifts: lowest bit position of each cell of a word.
        widths: number of bits of each cell.
        slots: label read in each of `SLOTS` parts of [0, 1), for each cell and stored label, or `UNDECIDED`.
        labels: labels in the order in which they share [0, 1): the stored one is the last.
        bounds: upper end of the share of each of `labels`, in slots.
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
    """The m and q of p = m/256 + (1 - m/256) q: m = floor(256 p), or 0 for p below 1/64, cheaper as events alone.

    Example:
        >>> split_digits(0.25), split_digits(0.001)
        ((64, 0.0), (0, 0.001))
    """
    m = int(p * 256) if p >= _FEWEST_DIGITS_PAY else 0
    # Both differences are exact; the quotient is rounded once.
    return m, (p - m / 256) / (1 - m / 256)


@lru_cache(maxsize=1024)
def binomial_tails(trials: int, q: float) -> Floats:
    """P(Binomial(trials, q) >= k) for k = 1, 2, ..., as far as it exceeds 2**-127.

    Example:
        >>> binomial_tails(2, 0.5).tolist()
        [0.75, 0.25]
    """
    if q == 0:
        return np.empty(0)
    # Beyond 13 standard deviations a normal tail is below 2**-127; one more, and 60 for the skew of small means.
    most = min(trials, int(trials * q + 14 * (trials * q) ** 0.5 + 60))
    count = np.arange(1, most + 1)
    # The incomplete beta function, not sums of the law: the far tail keeps its relative precision.
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
    # 256 does not fit in a byte: p = 1 is 255 with a rest of 1, which every tie loses.
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
    """64 bits that repeat the bits of a word of 8 or 16."""
    word = sum(1 << i for i, is_set in enumerate(positions) if is_set)
    return sum(word << start for start in range(0, 64, 8 if len(positions) <= 8 else 16))
