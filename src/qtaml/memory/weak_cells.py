"""What the weak cells of a chip do to the words of a network."""

import torch

from qtaml._random import child_seed
from qtaml.faults import FaultModel
from qtaml.formats import WeakBits
from qtaml.planning import Plan


def weak_bits(plan: Plan, fault: FaultModel) -> dict[str, WeakBits]:
    """What the weak cells of a chip do to the words of each tensor, by writing two patterns and reading them once.

    Args:
        plan: how each tensor is stored.
        fault: the chip, such as `StaticCells` of one chip. What it gets wrong in some reads only is as it was in these.

    Returns:
        For `qtaml.store`, by the names of the tensors.

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
    found = {}
    for entry in plan.tensors:
        ones = entry.storage.full().reshape(entry.shape)
        patterns = [
            entry.storage.corrupt(words, fault, seed=child_seed(seed, "pattern", entry.name), place=entry.name)
            for seed, words in enumerate((torch.zeros_like(ones), ones))
        ]
        found[entry.name] = WeakBits(*patterns)
    return found
