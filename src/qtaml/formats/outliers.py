"""Outliers: the largest weights of a tensor, which are kept exactly beside the words."""

from typing import NamedTuple

import torch

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.formats.chunks import CHUNK


class Outliers(NamedTuple):
    """The largest weights of a tensor.

    A reader needs a gap to the one before and a value for each, of 16 bits both.

    Attributes:
        places: where they are in the flattened tensor, ascending, int64.
        values: their weights, rounded to bfloat16, float32; of the shape of `places`.

    Raises:
        ArgumentError: if there are not so many weights, or a tensor is smaller than the one that they are of.

    Source:
        the dense and sparse parts of SqueezeLLM, arXiv 2306.07629.

    Example:
        >>> found = Outliers.of(torch.tensor([0.1, -4.0, 0.2, 3.0]), 2)
        >>> found.places.tolist(), found.values.tolist()
        ([1, 3], [-4.0, 3.0])
        >>> found.left_of(torch.tensor([0.1, -4.0, 0.2, 3.0])).tolist()
        [0.10000000149011612, 0.0, 0.20000000298023224, 0.0]
    """

    places: torch.Tensor
    values: torch.Tensor

    @staticmethod
    def of(weights: torch.Tensor, count: int) -> "Outliers":
        """So many weights, at least one, of the largest magnitude; of equal ones the first."""
        flat = weights.detach().reshape(-1)
        count = _checks.integer("count", count, 1, flat.numel())
        # A chunk at a time: torch.topk takes 16 bytes for each number that it chooses from.
        parts = (part.abs().float() for part in torch.split(flat, CHUNK))
        largest = torch.cat([torch.topk(part, min(count, len(part)), sorted=False).values for part in parts])
        least = torch.topk(largest, count, sorted=False).values.min()
        larger, equal = [], []
        for start in range(0, len(flat), CHUNK):
            size = flat[start : start + CHUNK].abs().float()
            larger.append((size > least).nonzero().reshape(-1) + start)
            equal.append((size == least).nonzero().reshape(-1) + start)
        above = torch.cat(larger)
        places = torch.cat((above, torch.cat(equal)[: count - len(above)])).sort().values
        return Outliers(places, flat[places].bfloat16().float())

    def left_of(self, weights: torch.Tensor) -> torch.Tensor:
        """A copy of the weights with zeros in place of the outliers."""
        self._check("weights", weights)
        left = weights.detach().reshape(-1).clone()
        left[self.places] = 0
        return left.reshape(weights.shape)

    def put(self, out: torch.Tensor) -> None:
        """Write them over what was read, contiguous and of the shape of the weights."""
        self._check("out", out)
        out.view(-1)[self.places] = self.values.to(out.dtype)

    def _check(self, name: str, tensor: torch.Tensor) -> None:
        if not self.places.numel() or int(self.places[-1]) >= tensor.numel():
            raise ArgumentError(f"{name} must have the places of the outliers, got shape {tuple(tensor.shape)}")

    def to(self, device: torch.device) -> "Outliers":
        """The same on a device."""
        return Outliers(self.places.to(device), self.values.to(device))


def outlier_values(weights: int, outliers: int) -> int:
    """Side values that outliers take: two for each and for each gap of more than 16 bits, and two for their number."""
    return 2 * (outliers + weights // 2**16) + 2 if outliers else 0
