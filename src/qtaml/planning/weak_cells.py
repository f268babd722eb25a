"""What the weak cells of a chip do to the words of a network."""

import math
import warnings
from collections.abc import Mapping

import numpy as np
import torch

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel
from qtaml.formats import WeakBits
from qtaml.formats.weak_bits import inverse
from qtaml.planning.plan import Plan
from qtaml.planning.plan_parts import TensorPlan

_FAR, _SIGMAS = 0.25, 5
"""Relative difference of the number of weak cells, beyond so many standard deviations, that is told."""


def weak_bits(plan: Plan, fault: FaultModel, *, reads: int = 1) -> dict[str, WeakBits]:
    """What the weak cells of a chip do to the words of each tensor, by writing two patterns and reading them.

    Args:
        plan: how each tensor is stored.
        fault: the chip, such as `StaticCells` of one chip. What it gets wrong in some reads only is as it was in these.
        reads: of each pattern; `WeakBits.of_reads` says what is made of several.

    Returns:
        For `qtaml.store`, by the names of the tensors. Bits that are read from several cells, or from better ones, fail
        anew in each read, and are none of the weak ones.

    Raises:
        ArgumentError: if `reads` is below 1.

    Source:
        theory.md 6.9.

    Example:
        >>> import qtaml
        >>> from qtaml.faults import StaticCells
        >>> model = torch.nn.Linear(40, 20)
        >>> plan = qtaml.uniform_msp(model, p=0.01, protected_bits=0)
        >>> chip = StaticCells(p01=(0.0,) * 15 + (1.0,), p10=(0.0,) * 16, chip=3)  # some cells are always read as 1
        >>> def error(memory):
        ...     read = dict(memory.read(seed=0, fault=chip))["weight"]
        ...     return float((read - model.weight.detach()).square().sum())
        >>> error(qtaml.store(model, plan, weak_cells=weak_bits(plan, chip))) < error(qtaml.store(model, plan)) / 2
        True
    """
    reads = _checks.integer("reads", reads, 1)
    return {entry.name: weak_bits_of(entry, fault, reads) for entry in plan.tensors}


def weak_bits_of(entry: TensorPlan, fault: FaultModel, reads: int) -> WeakBits:
    """`weak_bits` of one tensor."""
    ones = entry.storage.full().reshape(entry.shape)
    raw = entry.storage.full(raw=True).reshape(entry.shape)

    def read(words: torch.Tensor, seed: int) -> torch.Tensor:
        seed = child_seed(seed, "pattern", entry.name)
        found = entry.storage.corrupt(words, fault, seed=seed, place=entry.name)
        return (found & raw) | (words & inverse(raw))

    return WeakBits.of_reads(
        [read(torch.zeros_like(ones), 2 * number) for number in range(reads)],
        [read(ones, 2 * number + 1) for number in range(reads)],
    )


def check_map(plan: Plan, weak_cells: Mapping[str, WeakBits]) -> None:
    """Warn if a map holds far more or fewer cells than a plan for known weak cells is for: it may be another chip's.

    Raises:
        ArgumentError: if the plan has entropy-coded blocks.
    """
    for entry in plan.tensors:
        if any(levels.kind == "entropy" for levels in entry.storage.levels):
            raise ArgumentError(
                "weak_cells must be None for a plan with entropy-coded blocks, whose words cannot be chosen one by one "
                f"({entry.name!r}), got a map"
            )
    if (known := plan.known_cells) is None:
        return
    held = cells = 0
    for entry in plan.tensors:
        raw = entry.storage.full(raw=True)
        cells += int(np.bitwise_count(raw.numpy()).sum())
        held += int(np.bitwise_count((weak_cells[entry.name].stuck.reshape(-1).cpu() & raw).numpy()).sum())
    expected = cells * sum(known.held_at)
    if abs(held - expected) > _FAR * expected + _SIGMAS * math.sqrt(expected):
        warnings.warn(
            f"weak_cells hold {held / max(cells, 1):.3g} of the raw cells, and the plan is for "
            f"{expected / max(cells, 1):.3g}: what it predicts is not for this chip",
            stacklevel=3,
        )
