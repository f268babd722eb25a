"""Bit-for-bit comparison of a stored network with a new one from the original weights and the plan."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from qtaml.formats import WeakBits
from qtaml.memory.memory import Memory, store
from qtaml.memory.same_tensors import check_same_tensors
from qtaml.model import Batches
from qtaml.sensitivity import Calibration

STORED_WORDS = "stored words"


@dataclass(frozen=True)
class Difference:
    """A difference of a stored network from the one that the original weights and the plan give.

    Attributes:
        tensor: name of the tensor.
        what: "stored words", "scales", or "values outside the leaking memory".
        differing: number of values that differ.
        of: number of all values.
    """

    tensor: str
    what: str
    differing: int
    of: int

    def __str__(self) -> str:
        """In one line."""
        return f"{self.tensor!r}: {self.differing:,} of {self.of:,} {self.what} differ"


def differences(
    memory: Memory,
    model: nn.Module,
    *,
    weak_cells: Mapping[str, WeakBits] | None = None,
    calibration: Batches | Calibration | None = None,
) -> list[Difference]:
    """Store the original network again under the plan of a memory, and compare every bit.

    Args:
        memory: the stored network.
        model: the network that was stored; it is not changed.
        weak_cells: those for which it was stored, if it was stored for a chip.
        calibration: the inputs that it was stored with, where its plan feeds rounding errors back; without them the
            words of such tensors (`Plan.fed_back`) are not compared.

    Returns:
        The differences, tensor by tensor; empty if all bits are equal.

    Raises:
        ModelError: if the network has other tensors than the stored one, or one cannot be stored.

    Example:
        >>> from qtaml.planning import uniform_msp
        >>> model = nn.Linear(4, 2)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=1))
        >>> differences(memory, model)
        []
    """
    # A tensor that only one of the two has is an error of its own, not a difference in bits.
    check_same_tensors(memory.artifact, model)
    plan = memory.plan if calibration is not None else memory.plan.without_feedback()
    again = store(model, plan, weak_cells=weak_cells, calibration=calibration)
    return list(_differences(memory, again, set() if calibration is not None else set(memory.plan.fed_back)))


def _differences(memory: Memory, again: Memory, unknown: Container[str]) -> Iterator[Difference]:
    for name, stored in memory.tensors.items():
        other = again.tensors[name]
        pairs = [] if name in unknown else [(STORED_WORDS, stored.words, other.words)]
        pairs += [("scales", stored.scale, other.scale)]
        if stored.outliers and other.outliers:
            pairs += [("outliers", *both) for both in zip(stored.outliers, other.outliers, strict=True)]
        for what, one, two in pairs:
            if differing := _differing(one, two):
                yield Difference(name, what, differing, one.numel())
    for name, tensor in memory.rest.items():
        if differing := _differing(tensor, again.rest[name]):
            yield Difference(name, "values outside the leaking memory", differing, tensor.numel())


def _differing(one: torch.Tensor, two: torch.Tensor) -> int:
    """Number of elements that differ in any bit; NaN of the same bits are equal."""
    # As bytes: NaN differs from itself as a number, and -0 equals 0.
    bytes_of = (tensor.cpu().contiguous().reshape(-1, 1).view(torch.uint8) for tensor in (one, two))
    first, second = bytes_of
    return int((first != second).any(1).sum())
