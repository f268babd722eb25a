"""rANS, an entropy coder whose blocks start anew, compiled by Numba; interpreted where that cannot be imported."""

import numpy as np
from numpy.typing import NDArray

from qtaml.formats.compiled import compiled
from qtaml.formats.entropy_block import ROUNDING_BITS, SHARE_BITS, STATE_BYTES

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LEAST = 1 << 23
"""The state lies from here to 256 times that."""
# Prices of a bit that are tried, in units of the squared scale, each half-way between the last two.
_CHEAPEST, _DEAREST, _HALVINGS = 1e-8, 1e9, 30


@compiled
def written(labels: NDArray[np.int16], counts: Integers, starts: Integers, block: Bytes) -> bool:
    """Write the code of labels into a block of zeros, from its first byte on; return whether it fits.

    Args:
        labels: shape (weights,).
        counts: share of each label, in units of 2**-12.
        starts: sum of the shares of the labels before it.
        block: shape (bytes,), overwritten.
    """
    # The coder is a stack: written from the last label to the first, read from the first to the last.
    state, emitted = _LEAST, np.empty(2 * len(labels) + 8, np.uint8)
    number = 0
    for place in range(len(labels) - 1, -1, -1):
        count = counts[labels[place]]
        most = ((_LEAST >> SHARE_BITS) << 8) * count
        while state >= most:
            emitted[number] = state & 255
            state >>= 8
            number += 1
        state = ((state // count) << SHARE_BITS) + state % count + starts[labels[place]]
    if number + STATE_BYTES > len(block):
        return False
    for place in range(STATE_BYTES):
        block[place] = state >> 8 * place & 255
    for place in range(number):
        block[STATE_BYTES + place] = emitted[number - 1 - place]
    return True


@compiled
def read(
    block: Bytes, counts: Integers, starts: Integers, label_of: NDArray[np.int16], labels: NDArray[np.int16]
) -> None:
    """Read labels from a block.

    Args:
        block: shape (bytes,).
        counts: as for `written`.
        starts: as for `written`.
        label_of: the label of each share, shape (2**12,).
        labels: shape (weights,), overwritten.
    """
    state = np.int64(0)
    for place in range(STATE_BYTES):
        state |= np.int64(block[place]) << 8 * place
    number, mask = STATE_BYTES, (1 << SHARE_BITS) - 1
    for place in range(len(labels)):
        share = state & mask
        label = label_of[share]
        labels[place] = label
        state = counts[label] * (state >> SHARE_BITS) + share - starts[label]
        while state < _LEAST and number < len(block):
            state = state << 8 | np.int64(block[number])
            number += 1


@compiled
def labels_within(weights: Floats, values: Floats, lengths: Floats, bits: float) -> NDArray[np.int16]:
    """Labels of about least squared error whose codes take no more than so many bits.

    The label of a weight w is that of least (w - value)**2 + price x length, at the least price of a bit at which all
    codes fit.

    Args:
        weights: shape (weights,).
        values: of each label, ascending.
        lengths: of the code of each label, in bits.
        bits: for all codes together.
    """
    kept, thresholds = _regions(values, lengths, least_price(weights, values, lengths, bits))
    found = np.empty(len(weights), np.int16)
    for place in range(len(weights)):
        found[place] = kept[np.searchsorted(thresholds, weights[place])]
    return found


@compiled
def least_price(weights: Floats, values: Floats, lengths: Floats, bits: float) -> float:
    """That price; arguments as for `labels_within`."""
    low, high, ordered = np.log(_CHEAPEST), np.log(_DEAREST), np.sort(weights)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        kept, thresholds = _regions(values, lengths, np.exp(middle))
        total, before = 0.0, 0
        for region in range(len(kept)):
            last = region == len(thresholds)
            upto = len(ordered) if last else np.searchsorted(ordered, thresholds[region], side="right")
            total += (upto - before) * (lengths[kept[region]] + ROUNDING_BITS)
            before = upto
        if total <= bits:
            high = middle
        else:
            low = middle
    return float(np.exp(high))


@compiled
def bits_of(labels: NDArray[np.int16], lengths: Floats) -> float:
    """Bits that the codes of labels take, at most."""
    total = 0.0
    for label in labels:
        total += lengths[label] + ROUNDING_BITS
    return total


@compiled
def _regions(values: Floats, lengths: Floats, price: float) -> tuple[Integers, Floats]:
    """Labels of least (w - value)**2 + price x length, and thresholds between: the lower envelope of lines in w."""
    kept, thresholds, count = np.empty(len(values), np.int64), np.empty(len(values)), 0
    for label in range(len(values)):
        cost = values[label] ** 2 + price * lengths[label]
        while count:
            last = kept[count - 1]
            crossing = (cost - values[last] ** 2 - price * lengths[last]) / (2 * (values[label] - values[last]))
            if count == 1 or crossing > thresholds[count - 2]:
                thresholds[count - 1] = crossing
                break
            count -= 1
        kept[count] = label
        count += 1
    return kept[:count], thresholds[: count - 1]
