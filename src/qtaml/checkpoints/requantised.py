"""What would be saved if the weights of a checkpoint were quantised anew for the memory, by the free search."""

from dataclasses import dataclass

import numpy as np
import torch

from qtaml._random import child_seed
from qtaml.checkpoints.checkpoint_file import Checkpoint
from qtaml.checkpoints.checkpoint_plan import CheckpointPlan
from qtaml.checkpoints.fields import Floats
from qtaml.checkpoints.unit_sample import sample_units
from qtaml.checkpoints.unit_words import stored_values
from qtaml.planning.allocation import Options, allocate, allocated_cells, allocated_error
from qtaml.protections import Decoder, pareto_front
from qtaml.search.candidates import Candidate, fitted_menu, improving
from qtaml.search.gaussian_menu import gaussian_menu
from qtaml.search.histogram import Histogram

# As in `design`: the dearest word, in cells, and weights of a tensor that are looked at.
_MOST_CELLS, _SAMPLE = 32.0, 4096


@dataclass(frozen=True)
class Requantised:
    """The same memory with words that the free search chooses, and the same weights: those that the file stands for.

    Attributes:
        cells: as a share of the bits of the file, without those of scales and tables.
        error: predicted, as that of the plan.
        cells_for_same_error: least cells whose error is that of the plan; None if the search has no such words.
    """

    cells: float
    error: float
    cells_for_same_error: float | None

    def __str__(self) -> str:
        """As a line of text."""
        least = self.cells_for_same_error
        same = "no words of the search reach that of the plan" if least is None else f"the same takes {least:.3g} cells"
        return (
            f"quantised anew for this memory (design), {self.cells:.3g} cells without those of scales and tables: "
            f"relative error {self.error:.3g}; {same}"
        )


def requantised(
    checkpoint: Checkpoint,
    plan: CheckpointPlan,
    *,
    decoders: tuple[Decoder, ...] = ("none", "majority", "algebraic", "iterative"),
) -> Requantised:
    """What the free search would make of the weights of a checkpoint at the cells of a plan, beside that plan.

    One menu of fitted levels for the weights of all tensors together, each of root mean square 1; scales and tables,
    which are few, are not counted.

    Args:
        checkpoint: the file.
        plan: that keeps its words.
        decoders: what may be needed to read.

    Raises:
        StoredFileError: if the plan is for another checkpoint.
    """
    plan.fits(checkpoint)
    protections = pareto_front(*plan.fault.mean_rates, decoders=decoders)
    start = gaussian_menu(protections, plan.fault, _MOST_CELLS)
    weights = np.concatenate([_normalised(checkpoint, name) for name in checkpoint])
    found = fitted_menu(Histogram.of(torch.from_numpy(weights), bins=4096), start, plan.fault)
    menu = improving(sorted(found, key=lambda one: (one.format.cells, one.error)))
    options = [_options(checkpoint[one.name].weights, one.importance, menu) for one in plan.tensors]
    budget = plan.cells * checkpoint.bits
    choices = allocate(options, budget, "split")
    error = sum(map(allocated_error, options, choices))
    return Requantised(
        allocated_cells(options, choices) / checkpoint.bits, error, _cells_for(options, plan, checkpoint)
    )


def _cells_for(options: list[Options], plan: CheckpointPlan, checkpoint: Checkpoint) -> float | None:
    """By bisection: the error falls with the budget."""
    most = sum(one.weights * one.cells[-1] for one in options)
    if sum(one.errors[-1] for one in options) > plan.error:
        return None
    low, high = 0.0, most
    while high - low > 1e-4 * most:
        middle = (low + high) / 2
        enough = sum(map(allocated_error, options, allocate(options, middle, "split"))) <= plan.error
        low, high = (low, middle) if enough else (middle, high)
    return high / checkpoint.bits


def _options(weights: int, importance: float, menu: tuple[Candidate, ...]) -> Options:
    return Options(weights, tuple(one.format.cells for one in menu), tuple(importance * one.error for one in menu))


def _normalised(checkpoint: Checkpoint, name: str) -> Floats:
    tensor = checkpoint[name]
    sample = sample_units(tensor, _SAMPLE)
    values = stored_values(name, sample.unit, sample.words).ravel()
    # Of each tensor as many, at random places, so that none of them decides the menu.
    chosen = np.random.default_rng(child_seed(0, "requantised", name)).permutation(len(values))[:_SAMPLE]
    power = np.sqrt((values**2).mean())
    return np.asarray(values[chosen] / power if power else values[:0])
