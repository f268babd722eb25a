"""Bit planes: the layout of the stored bits of a tensor in a file."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.formats import CHUNK, Format, TensorFormat, label_dtype, words_at

Packed = NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """The weights of a tensor that share a format: their bits are stored plane by plane, most significant first.

    Attributes:
        format: the format.
        spans: the runs of these weights in the flattened tensor, in their order.
        weights: number of weights.
        offset: the first byte of the region among the bytes of the tensor.
    """

    format: Format
    spans: tuple[slice, ...]
    weights: int
    offset: int

    @property
    def words(self) -> int:
        """Number of words, and of bits of a plane; they lie at the first places of the region.

        Bit i of a plane is bit i % 8 (0 the least significant) of its byte i // 8; the last byte is filled up with
        zeros.
        """
        return self.format.words(self.weights)

    def words_of(self, flat: torch.Tensor) -> torch.Tensor:
        """The words of the region among those of a flattened tensor, shape (words,)."""
        return words_at(flat, self.spans)[: self.words]

    @property
    def bits(self) -> range:
        """The bit positions, in the order of their planes."""
        return range(self.format.bits - 1, -1, -1)

    def plane(self, bit: int) -> slice:
        """The bytes of a bit position among the bytes of the tensor."""
        size = -(-self.words // 8)
        start = self.offset + (self.format.bits - 1 - bit) * size
        return slice(start, start + size)

    @property
    def stop(self) -> int:
        """Where the next region begins."""
        # Plane 0 is the last; a format of 0 bits has no planes at all.
        return self.plane(0).stop if self.format.bits else self.offset


def regions(storage: TensorFormat) -> list[Region]:
    """The regions of a tensor, in the order in which they are packed.

    Example:
        >>> from qtaml.formats import EvenLevels, Section
        >>> (region,) = regions(TensorFormat((Section(9, Format(EvenLevels(2)).protect(1)),)))
        >>> [(bit, region.format.protections[bit].kind, region.plane(bit)) for bit in region.bits]
        [(1, 'ideal', slice(0, 2, None)), (0, 'raw', slice(2, 4, None))]
    """
    found: list[Region] = []
    for fmt, spans in storage.spans_of_formats:
        weights = sum(span.stop - span.start for span in spans)
        found.append(Region(fmt, tuple(spans), weights, found[-1].stop if found else 0))
    return found


def pack(storage: TensorFormat, words: torch.Tensor) -> Packed:
    """The words of a tensor as bit planes, shape (bytes,).

    Args:
        storage: how the tensor is stored.
        words: its words, of any shape, on any device.

    Example:
        >>> from qtaml.formats import EvenLevels, Section
        >>> storage = TensorFormat((Section(3, Format(EvenLevels(2))),))
        >>> pack(storage, torch.tensor([1, 2, 3], dtype=torch.uint8)).tolist()
        [6, 5]
    """
    if words.dtype != label_dtype(storage.bits) or words.numel() != storage.weights:
        raise ArgumentError(
            f"words must be {storage.weights} of {label_dtype(storage.bits)}, got {words.dtype} of shape "
            f"{tuple(words.shape)}"
        )
    flat, found = words.detach().cpu().reshape(-1), regions(storage)
    packed = np.zeros(found[-1].stop, np.uint8)
    for region in found:
        labels = region.words_of(flat).numpy()
        for bit in region.bits:
            plane, mask = packed[region.plane(bit)], labels.dtype.type(1 << bit)
            for some, where in _parts(region.words):
                plane[where] = np.packbits((labels[some] & mask) != 0, bitorder="little")
    return packed


def unpack(storage: TensorFormat, packed: Packed) -> torch.Tensor:
    """The words that bit planes hold, shape (weights,), on the CPU; the inverse of `pack`.

    Example:
        >>> from qtaml.formats import EvenLevels, Section
        >>> unpack(TensorFormat((Section(3, Format(EvenLevels(2))),)), np.array([6, 5], dtype=np.uint8)).tolist()
        [1, 2, 3]
    """
    words = torch.zeros(storage.weights, dtype=label_dtype(storage.bits), device="cpu")
    for region in regions(storage):
        labels = np.zeros(region.weights, words.numpy().dtype)
        held = labels[: region.words]
        for bit in region.bits:
            plane = packed[region.plane(bit)]
            for some, where in _parts(region.words):
                part = held[some]
                bits = np.unpackbits(plane[where], count=len(part), bitorder="little").astype(part.dtype, copy=False)
                # In place, in the dtype of the labels: no wider copy of them is made.
                bits <<= bit
                part |= bits
        # Weights of a format may lie in several runs of the tensor, and are packed as one.
        start = 0
        for span in region.spans:
            words.numpy()[span] = labels[start : start + span.stop - span.start]
            start += span.stop - span.start
    return words


def filled_up_with_zeros(storage: TensorFormat, packed: Packed) -> bool:
    """Whether the padding bits in the last byte of each plane are 0."""
    last = ((packed[region.plane(bit).stop - 1], region.words) for region in regions(storage) for bit in region.bits)
    return not any(int(byte) >> (words - 1) % 8 + 1 for byte, words in last)


def _parts(weights: int) -> Iterator[tuple[slice, slice]]:
    """Chunks of weights, and the bytes of a plane that hold their bits."""
    # CHUNK is a multiple of 8, so that no byte has bits of two chunks.
    for start in range(0, weights, CHUNK):
        stop = min(start + CHUNK, weights)
        yield slice(start, stop), slice(start // 8, -(-stop // 8))
