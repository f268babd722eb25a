"""Weak cells that the writer knows: what each stored bit of a tensor is read as, whatever is written."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.formats.chunks import Places, take
from qtaml.formats.nearest_label import least_error_regions


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

    @cached_property
    def stuck(self) -> torch.Tensor:
        """Words with a 1 for each bit that is read the same whatever is written."""
        return ~(self.zeros ^ self.ones)

    @cached_property
    def turned(self) -> torch.Tensor:
        """Words with a 1 for each bit that is read as what was not written."""
        return self.zeros & ~self.ones


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
    flat, labels = weights.detach().reshape(-1).double().cpu().numpy(), np.sort(storable)
    mask = (1 << (len(mean) - 1).bit_length()) - 1
    stuck = weak.stuck.reshape(-1).cpu().numpy().astype(np.int64) & mask
    held = weak.zeros.reshape(-1).cpu().numpy().astype(np.int64) & stuck
    found = np.empty(len(flat), np.int64)
    # Words of which the same bits are stuck the same way have the same labels to choose from.
    kinds, kind_of = np.unique(stuck << 16 | held, return_inverse=True)
    order = np.argsort(kind_of, kind="stable")
    for kind, places in zip(kinds.tolist(), np.split(order, np.cumsum(np.bincount(kind_of))[:-1]), strict=True):
        some = labels[(labels & kind >> 16) == kind & 0xFFFF]
        if not len(some):
            raise ArgumentError("weak must leave a label that may be written at every place, got one that does not")
        thresholds, regions = least_error_regions(mean[some], square[some])
        found[places] = some[regions[np.searchsorted(thresholds, flat[places])]]
    return torch.from_numpy(found).to(weights.device).reshape(weights.shape)
