"""Entropy-coded weights: labels of unequal lengths in blocks of a fixed number of bytes, each of which starts anew.

The bytes of a stream are cut into the words of its section: bit k of word j is bit k W + j of the stream of W words, so
that neighbouring bits of the stream lie beside each other in a bit plane, and an error of a block code hits few blocks.
The weights of a block lie all over the tensor, in steps of `trellis.stride`: blocks of rows with larger weights would
not do with as many bytes, and what is lost does not add up in one output.
"""

import binascii
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.formats.bit_levels import BitLevels
from qtaml.formats.entropy_block import ROUNDING_BITS, SHARE_BITS, STATE_BYTES
from qtaml.formats.nearest_label import least_error_regions
from qtaml.formats.trellis import stride

_MOST_LABELS, _CHECK_BYTES = 255, 2
_HEAD_BYTES = _CHECK_BYTES + STATE_BYTES
"""Bytes of a block besides the codes of its labels: a check sum (CRC-16), and the state of the coder."""
_MOVED, _STEP = 0.9, 1 / 32
"""By what share of the error of a weight feedback moves another: in layers of all-MiniLM-L6-v2 an eighth of the blocks
of 1.2 and 2.2 bits a weight then gets too long. And steps of the logarithm of a price."""
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class EntropyLevels(BitLevels):
    """Labels whose codes are the shorter the more weights have them, of a stream that is read from block to block.

    A block of `block_weights` weights takes `block_bytes` bytes, however its weights are distributed: the writer rounds
    as coarsely as it takes. A block whose check sum is wrong is read as zeros.

    Attributes:
        values: of each label, ascending, 1 to 255 of them.
        counts: share of each label in units of 2**-12, at least 1; together 4096.
        block_weights: weights of a block.
        block_bytes: bytes of a block, at most as many as it has weights.

    Raises:
        ArgumentError: if a field has a value that is not allowed, or the codes of the most frequent label do not fit.

    Source:
        theory.md 6.13.

    Example:
        >>> levels = EntropyLevels((-1.0, 0.0, 1.0), (256, 3584, 256), block_weights=800, block_bytes=80)
        >>> levels.bits, levels.words(800), levels.words(1000), levels.readout().tolist()
        (1, 640, 792, [-1.0, 0.0, 1.0, 0.0])
    """

    values: tuple[float, ...]
    counts: tuple[int, ...]
    block_weights: int
    block_bytes: int
    kind: Literal["entropy"] = field(default="entropy", repr=False)

    def __post_init__(self) -> None:
        values = tuple(_checks.real("values", one) for one in self.values)
        counts = tuple(_checks.integer("counts", one, 1) for one in self.counts)
        if not 1 <= len(values) <= _MOST_LABELS or list(values) != sorted(set(values)):
            raise ArgumentError(f"values must be 1 to {_MOST_LABELS} ascending numbers, got {values}")
        if len(counts) != len(values) or sum(counts) != 1 << SHARE_BITS:
            raise ArgumentError(
                f"counts must be one for each of {len(values)} values and sum to {1 << SHARE_BITS}, got {counts[:5]} "
                f"of sum {sum(counts)}"
            )
        weights = _checks.integer("block_weights", self.block_weights, 1)
        size = _checks.integer("block_bytes", self.block_bytes, _HEAD_BYTES + 1)
        least = _HEAD_BYTES + weights * (SHARE_BITS - np.log2(max(counts))) / 8
        if not least <= size <= weights:
            raise ArgumentError(f"block_bytes must be from {least:.4g} to {weights} for these counts, got {size}")
        for name, value in (("values", values), ("counts", counts), ("block_weights", weights), ("block_bytes", size)):
            object.__setattr__(self, name, value)

    # Formats are keys of caches and dictionaries: hashed once.
    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.values, self.counts, self.block_weights, self.block_bytes))

    @property
    def bits(self) -> int:
        """Bits of a word: as few as hold the stream in no more words than there are weights."""
        return -(-8 * self.block_bytes // self.block_weights)

    @property
    def is_stream(self) -> bool:
        """A weight is read from all words of its block."""
        return True

    @property
    def words_of_a_weight(self) -> float:
        """Words for each weight, in whole blocks."""
        return 8 * self.block_bytes / self.block_weights / self.bits

    def words(self, weights: int) -> int:
        """Words that so many weights take."""
        return -(-8 * int(self.sizes(weights)[1].sum()) // self.bits)

    @staticmethod
    def weights_of_block(block_bytes: int, bits: float) -> int:
        """Weights that fit into a block on average, with codes of so many bits each."""
        return int(8 * (block_bytes - _HEAD_BYTES) / (bits + ROUNDING_BITS))

    def fits(self, weights: int) -> bool:
        """Whether so many weights may be stored: their words have to fit in as many places."""
        return self.words(weights) <= weights

    def sizes(self, weights: int) -> tuple[Integers, Integers]:
        """Weights and bytes of each block of a section: as many blocks as are full, which share the rest."""
        blocks = max(weights // self.block_weights, 1)
        each = np.full(blocks, weights // blocks) + (np.arange(blocks) < weights % blocks)
        return each, _HEAD_BYTES - -(self.block_bytes - _HEAD_BYTES) * each // self.block_weights

    def blocks(self, weights: int) -> Iterator[tuple[Integers, int, float]]:
        """Places of the weights of each block, its bytes, and the bits that its codes may take."""
        order, first = np.arange(weights, dtype=np.int64) * stride(weights) % weights, 0
        for size, count in zip(*(one.tolist() for one in self.sizes(weights)), strict=True):
            yield order[first : first + size], count, 8.0 * (count - _HEAD_BYTES)
            first += size

    @property
    def readout_size(self) -> int:
        """Values of the readout table: one more than labels, filled up to a power of two."""
        return 1 << len(self.values).bit_length()

    def readout(self) -> Floats:
        """The value of each label when read, and 0 for all that a lost block is read as; shape (readout_size,)."""
        return np.concatenate((self.values, np.zeros(self.readout_size - len(self.values))))

    @property
    def lost(self) -> int:
        """What all weights of a lost block are read from, as a place in the readout table."""
        return self.readout_size - 1

    @property
    def side_values(self) -> int:
        """A value and 12 bits for each label, and the size of a block."""
        return len(self.values) - -len(self.values) * SHARE_BITS // 16 + 2

    @cached_property
    def coder(self) -> tuple[Integers, Integers, NDArray[np.int16]]:
        """Shares, sums of the shares before, and the label of each share."""
        counts = np.array(self.counts, dtype=np.int64)
        return counts, np.cumsum(counts) - counts, np.repeat(np.arange(len(counts), dtype=np.int16), counts)

    @cached_property
    def lengths(self) -> Floats:
        """Bits of the code of each label."""
        return np.asarray(SHARE_BITS - np.log2(np.array(self.counts, dtype=np.float64)))


def encode(weights: torch.Tensor, levels: EntropyLevels, labels: NDArray[np.int16] | None = None) -> torch.Tensor:
    """The stream of a section, as words.

    Args:
        weights: of the whole section, in units of the scale, any shape.
        levels: their levels.
        labels: of each weight, to be kept in the blocks in which their codes fit; chosen by `labels_within` if not
            given.

    Returns:
        Words, uint8, of the shape of `weights`; 0 at places that hold none.

    Raises:
        ArgumentError: if the words are more than the weights.

    Source:
        theory.md 6.13.
    """
    # Compiled with Numba, which takes long to import.
    from qtaml.formats.entropy_kernel import bits_of, labels_within, written

    values = np.array(levels.values)
    flat = weights.detach().reshape(-1).double().cpu().numpy()
    _check_length(len(flat), levels)
    counts, starts, _ = levels.coder
    blocks = []
    for where, count, room in levels.blocks(len(flat)):
        block, own = np.zeros(count, np.uint8), None if labels is None else labels[where]
        if own is None or bits_of(own, levels.lengths) > room:
            own = labels_within(flat[where], values, levels.lengths, room)
        if not written(own, counts, starts, block[_CHECK_BYTES:]):
            raise ArgumentError(f"weights must fit into blocks of {count} bytes, got a block that does not")
        block[:_CHECK_BYTES] = _check_of(block)
        blocks.append(block)
    words = np.zeros(len(flat), np.uint8)
    words[: levels.words(len(flat))] = _as_words(np.concatenate(blocks), levels.bits)
    return torch.from_numpy(words).to(weights.device).reshape(weights.shape)


def decisions(weights: Floats, levels: EntropyLevels) -> tuple[NDArray[np.int16], list[tuple[Floats, Integers]]]:
    """How to round weights with feedback such that most blocks hold what comes out: by a price of a bit for each block.

    Args:
        weights: of the whole section, in units of the scale, shape (weights,).
        levels: their levels.

    Returns:
        Of each weight a place among the decisions; and of each decision thresholds between intervals of weights, and
        the label of each interval.
    """
    from qtaml.formats.entropy_kernel import labels_within, least_price

    values, places = np.array(levels.values), np.empty(len(weights), np.int64)
    for where, _, room in levels.blocks(len(weights)):
        own = weights[where]
        # What is fed back moves weights about as much as a share of the error of a neighbour does.
        left = own - values[labels_within(own, values, levels.lengths, room)]
        price = least_price(own + _MOVED * np.roll(left, 1), values, levels.lengths, room)
        places[where] = math.ceil(math.log(price) / _STEP)
    steps, of_weights = np.unique(places, return_inverse=True)
    prices = np.exp(_STEP * steps).tolist()
    found = [least_error_regions(values, values**2 + price * levels.lengths) for price in prices]
    return of_weights.astype(np.int16), found


def labels_of(words: torch.Tensor, levels: EntropyLevels) -> torch.Tensor:
    """The label of each weight, or `levels.lost`, int16, of the shape of `words`; these as `encode` returns them.

    Raises:
        ArgumentError: if the words are more than the weights, or one has more bits.
    """
    from qtaml.formats.entropy_kernel import read

    flat = words.reshape(-1).cpu().numpy()
    _check_length(len(flat), levels)
    if int(flat.max()) >> levels.bits:
        raise ArgumentError(f"words of this stream must be below {1 << levels.bits}, got {int(flat.max())}")
    stream = _as_bytes(flat[: levels.words(len(flat))], levels.bits, int(levels.sizes(len(flat))[1].sum()))
    labels, begin = np.empty(len(flat), np.int16), 0
    for where, count, _ in levels.blocks(len(flat)):
        block, own = stream[begin : begin + count], np.full(len(where), levels.lost, np.int16)
        if np.array_equal(block[:_CHECK_BYTES], _check_of(block)):
            read(block[_CHECK_BYTES:], *levels.coder, own)
        labels[where], begin = own, begin + count
    return torch.from_numpy(labels).to(words.device).reshape(words.shape)


def _check_of(block: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The check sum of a block, which stands before what it is of."""
    check = binascii.crc_hqx(block[_CHECK_BYTES:].tobytes(), 0)
    return np.frombuffer(check.to_bytes(_CHECK_BYTES, "little"), np.uint8)


def _as_words(stream: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    found = np.unpackbits(stream, bitorder="little")
    words = -(-len(found) // bits)
    planes = np.concatenate((found, np.zeros(bits * words - len(found), np.uint8))).reshape(bits, words)
    return np.asarray((planes << np.arange(bits, dtype=np.uint8)[:, None]).sum(0), dtype=np.uint8)


def _as_bytes(words: NDArray[np.uint8], bits: int, size: int) -> NDArray[np.uint8]:
    planes = words >> np.arange(bits, dtype=np.uint8)[:, None] & 1
    return np.packbits(planes.reshape(-1)[: 8 * size].astype(np.uint8), bitorder="little")


def _check_length(weights: int, levels: EntropyLevels) -> None:
    if not levels.fits(weights):
        raise ArgumentError(
            f"an entropy-coded section must have enough weights for its {levels.words(weights)} words, got {weights}"
        )
