"""A tensor of weights as the memory would give it back at this moment: encoded under a plan, and read once."""

import math
from functools import cache
from typing import Literal

import torch

from qtaml._random import child_seed, torch_generator
from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel, StaticCells, Uniform
from qtaml.formats import TensorReader, WeakBits
from qtaml.planning import Plan, TensorPlan
from qtaml.planning.weak_cells import weak_bits_of

Errors = Literal["law", "gaussian", "none"]
"""What disturbs the weights: the exact law of the memory, Gaussian noise of the same mean and variance, or nothing."""

_PERFECT = Uniform(0.0)


class WeightsAsRead:
    """Reads of weights that change from read to read.

    Args:
        plan: how they are stored.
        errors: what disturbs them.

    Raises:
        ArgumentError: if noise is to stand for the errors of words that are written for each chip.
    """

    def __init__(self, plan: Plan, errors: Errors) -> None:
        if plan.by_chip and errors == "gaussian":
            raise ArgumentError(f"errors must be 'law' or 'none' for a plan with weak_cells='known', got {errors!r}")
        self._errors, self._plan = errors, plan
        # Without errors there is no mean to correct: labels are chosen as for a memory that keeps what is stored.
        self._written = _PERFECT if errors == "none" else plan.expected
        self._kept: dict[str, torch.Tensor] = {}
        self._maps: dict[str, tuple[FaultModel, WeakBits]] = {}

    def __call__(self, entry: TensorPlan, weight: torch.Tensor, seed: int | None, fault: FaultModel) -> torch.Tensor:
        """A tensor as read once, in its own dtype; with the exact law what `Memory.read` gives for the same seed.

        Args:
            entry: how it is stored.
            weight: its weights.
            seed: of the read of the whole network; None reads without errors.
            fault: how the memory fails.

        Returns:
            A tensor whose numbers stay as they are while anything refers to its storage; its own object does not count.
        """
        storage = entry.storage
        by_chip = self._plan.by_chip and seed is not None and self._errors == "law"
        words, scale = storage.encode(weight, self._written, self._map(entry, fault) if by_chip else None)
        beside = storage.outliers_of(weight)
        new = self._new(entry.name, weight)
        if seed is None or self._errors == "none":
            return storage.decode(words, scale, out=new, outliers=beside)
        own, memory = child_seed(seed, "read", entry.name), fault.of_read(seed)
        if self._errors == "gaussian":
            deviation = storage.read_variance(words, scale, memory, outliers=beside).sqrt()
            noise = torch.empty_like(deviation).normal_(generator=torch_generator(own, device=weight.device))
            return new.copy_(storage.read_mean(words, scale, memory, outliers=beside) + deviation * noise)
        reader = TensorReader(storage, words, scale, memory, place=entry.name, outliers=beside, dtype=weight.dtype)
        reader.into(new)(own)
        return new

    def _map(self, entry: TensorPlan, chip: FaultModel) -> WeakBits:
        """What the writer of a chip knows of its weak cells."""
        if not isinstance(chip, StaticCells):
            raise ArgumentError(
                "fault must be StaticCells, whose weak cells stay where they are, to train with weak_cells='known', "
                f"got {chip}"
            )
        known = self._maps.get(entry.name)
        if known is None or known[0] != chip:
            known = self._maps[entry.name] = chip, weak_bits_of(entry, chip, self._plan.map_reads)
        return known[1]

    def _new(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """A tensor to write to: that of the step before, if nothing refers to it any more."""
        # Fresh memory costs more than the read: the system clears each page (2 million weights: 7 of 13 ms).
        kept = self._kept.get(name)
        if (
            kept is None
            or (kept.shape, kept.dtype, kept.device) != (weight.shape, weight.dtype, weight.device)
            or _references(kept) > _references_alone()
        ):
            kept = self._kept[name] = torch.empty(weight.shape, dtype=weight.dtype, device=weight.device)
        return kept


def _references(tensor: torch.Tensor) -> float:
    """References to the storage of a tensor: its views, and what autograd keeps for a backward pass, among them."""
    count = getattr(torch._C, "_storage_Use_Count", None)
    return math.inf if count is None else float(count(tensor.untyped_storage()._cdata))


@cache
def _references_alone() -> float:
    return _references(torch.empty(1))
