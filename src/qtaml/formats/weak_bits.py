"""Weak cells that the writer knows: what each stored bit of a tensor is read as, whatever is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.formats.chunks import Places, take


@dataclass(frozen=True, eq=False)
class WeakBits:
    """The words that a chip gives back of a tensor after two patterns were written: what its weak cells do.

    A bit that reads the same after both is stuck; one that reads 1 where 0 is written and 0 where 1 is turns over. A
    writer who knows chooses words that are read right; a reader needs to know nothing.

    Attributes:
        zeros: words read where all bits written were 0, of the dtype and shape of the stored words.
        ones: words read where all were 1.

    Raises:
        ArgumentError: if the two are not whole numbers of one dtype and shape.

    Source:
        theory.md 6.9.

    Example:
        >>> weak = WeakBits(torch.tensor([0, 1, 1], dtype=torch.uint8), torch.tensor([3, 3, 2], dtype=torch.uint8))
        >>> weak.stuck.tolist(), weak.turned.tolist()
        ([252, 253, 252], [0, 0, 1])
    """

    zeros: torch.Tensor
    ones: torch.Tensor

    def __post_init__(self) -> None:
        kinds = [(one.dtype, tuple(one.shape)) for one in (self.zeros, self.ones)]
        if kinds[0] != kinds[1] or kinds[0][0] not in (torch.uint8, torch.uint16):
            raise ArgumentError(f"zeros and ones must be uint8 or uint16 of one shape, got {kinds[0]} and {kinds[1]}")

    @staticmethod
    def of_reads(zeros: Sequence[torch.Tensor], ones: Sequence[torch.Tensor]) -> "WeakBits":
        """What several reads of each pattern say: more of them find more of the cells that fail in some reads only.

        A bit that was ever read wrong under one pattern is held at what it was read as, and one that was wrong in
        every read of both turns over. Of one that fails now and then under both, nothing can be known.

        Args:
            zeros: words of each read after all bits written were 0; one or more.
            ones: the same after all were 1.

        Raises:
            ArgumentError: if a pattern has no read, or reads are not whole numbers of one dtype and shape.

        Example:
            >>> none, some = torch.tensor([0], dtype=torch.uint8), torch.tensor([1], dtype=torch.uint8)
            >>> weak = WeakBits.of_reads([none, some], [~none, ~none])
            >>> weak.zeros.tolist(), weak.ones.tolist()
            ([1], [255])
        """
        if not len(zeros) or not len(ones):
            raise ArgumentError(f"zeros and ones must be one read or more each, got {len(zeros)} and {len(ones)}")
        for words in (*zeros, *ones):
            WeakBits(words, zeros[0])
        ever, always = (reduce(how, zeros) for how in (torch.bitwise_or, torch.bitwise_and))
        kept, once = (reduce(how, ones) for how in (torch.bitwise_and, torch.bitwise_or))
        unsteady = ever & inverse(kept) & inverse(always & inverse(once))
        return WeakBits(ever & inverse(unsteady), kept | unsteady)

    def read(self, words: torch.Tensor) -> torch.Tensor:
        """What the chip gives back of words that were written, as far as the map knows.

        Args:
            words: of the dtype of the map.

        Raises:
            ArgumentError: if they are of another one.
        """
        if words.dtype != self.zeros.dtype:
            raise ArgumentError(f"words must be {self.zeros.dtype}, as the map is, got {words.dtype}")
        return (words & self.ones) | (inverse(words) & self.zeros)

    @cached_property
    def stuck(self) -> torch.Tensor:
        """Words with a 1 for each bit that is read the same whatever is written."""
        return inverse(self.zeros ^ self.ones)

    @cached_property
    def turned(self) -> torch.Tensor:
        """Words with a 1 for each bit that is read as what was not written."""
        return self.zeros & inverse(self.ones)


def inverse(words: torch.Tensor) -> torch.Tensor:
    """Words with all bits of their dtype inverted."""
    # Torch has no ~ for uint16.
    return words ^ torch.iinfo(words.dtype).max


def weak_at(weak: WeakBits | None, where: Places) -> WeakBits | None:
    """The weak bits at the given places of a flattened tensor."""
    return weak and WeakBits(take(weak.zeros.reshape(-1), where), take(weak.ones.reshape(-1), where))


def nearest_readable(
    weights: torch.Tensor,
    mean: NDArray[np.float64],
    square: NDArray[np.float64],
    storable: NDArray[np.int64],
    weak: WeakBits,
) -> torch.Tensor:
    """The label of least cost, square[u] - 2 w mean[u], among those that can be read in place of each weight.

    Args:
        weights: in units of the full scale, any shape.
        mean: expected value read for each label.
        square: expected square of it.
        storable: labels that may be written.
        weak: what weak cells do to the words.

    Returns:
        Labels, int64, of the shape of the weights.

    Raises:
        ArgumentError: if none of the storable labels can be read at some place.

    Source:
        theory.md 6.9.

    Example:
        >>> weak = WeakBits(torch.tensor([2, 0], dtype=torch.uint8), torch.tensor([255, 255], dtype=torch.uint8))
        >>> values = np.array([0.0, 1.0, 2.0, 3.0])
        >>> nearest_readable(torch.tensor([0.0, 0.0]), values, values**2, np.arange(4), weak).tolist()
        [2, 0]
    """
    # Compiled with Numba, which takes long to import.
    from qtaml.formats.readable import nearest

    flat, labels = weights.detach().reshape(-1).double().cpu().numpy(), np.sort(storable)
    mask = (1 << (len(mean) - 1).bit_length()) - 1
    stuck = weak.stuck.reshape(-1).cpu().numpy().astype(np.int64) & mask
    held = weak.zeros.reshape(-1).cpu().numpy().astype(np.int64) & stuck
    found = nearest(flat, mean, square, labels, stuck, held)
    if len(found) and found.min() < 0:
        raise ArgumentError("weak must leave a label that may be written at every place, got one that does not")
    return torch.from_numpy(found).to(weights.device).reshape(weights.shape)
