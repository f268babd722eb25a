"""The second main job: search all the ways to store a network, for a budget, an output error or an accuracy."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from qtaml import _checks
from qtaml._progress import track
from qtaml.device import Preset, larger_cells
from qtaml.errors import ArgumentError, BudgetError
from qtaml.faults import AnyFault, given
from qtaml.measuring.metrics import Metric
from qtaml.measuring.monte_carlo import evaluate
from qtaml.memory import store
from qtaml.model import Batches
from qtaml.planning import Plan, Setting
from qtaml.protections import HardenedCell
from qtaml.search.designer import REAL_DECODERS, Decoding, Designer

_MOST_CELLS = 2.0
_AREAS = (1.5, 2.0, 3.0, 4.0)
"""Sizes of larger cells that are offered, in plain cells."""
_RESOLUTION = 0.01
"""Share of the cells to which the least budget is found."""


def design(
    model: nn.Module,
    calibration: Batches,
    *,
    p: float | None = None,
    fault: AnyFault | None = None,
    device: Preset | None = None,
    cells: float | None = None,
    error: float | None = None,
    accuracy: float | None = None,
    metric: Metric | None = None,
    trials: int = 30,
    decoders: Sequence[Decoding] = REAL_DECODERS,
    rows: bool = False,
    bits: int = 8,
    passes: int = 32,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    unreached_floor: float = 1.0,
    seed: int = 0,
) -> Plan:
    """Search all the ways to store a network: fitted levels, any number of bits, protections at their real price.

    For each tensor (or row) it lists formats from no cells at all to every bit protected, each with the error that it
    leaves, and chooses among them where cells lower the predicted output error most. Unlike TAC's, its cells count
    what codes, tables and scales really take.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs, without labels: a tensor, a tuple of inputs, a dictionary of
            them, or an iterable of such batches, such as a DataLoader.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model; where it knows words of certain lengths only, words have those; or
        device: a preset such as `qtaml.device.preset_record(name)`, whose flip probability at its window counts, and
            whose cells may be larger.
        cells: budget, as a share of a plain memory; or
        error: the wanted mean squared output error, for the least cells that are predicted to reach it; or
        accuracy: the wanted value of `metric`, for the least cells that are measured to reach it: the lower end of the
            interval over reads does.
        metric: what `accuracy` is about; larger is better. See `evaluate`.
        trials: reads of each plan that is tried for `accuracy`.
        decoders: what may be needed to read: "none" (raw and larger cells, always allowed), "table" (fitted levels),
            "majority" (repetition), "algebraic" (Hamming, BCH), "iterative" (block codes near capacity), and the
            paper's "ideal" code.
        rows: allow a scale and a format for each row of a tensor (its first dimension).
        bits: bits of a plain word, in which cells are counted.
        passes: backward passes of the calibration.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
        unreached_floor: gain of a tensor that no calibration sample reaches; see `compensate`.
        seed: seed of calibration and reads.

    Returns:
        The plan; `print(plan)` shows it.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        BudgetError: if the cheapest formats cost more than `cells`, or twice a plain memory does not reach what is
            wanted.
        ModelError: as `compensate`.

    Source:
        theory.md 5 and 6.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
        >>> plan = design(model, torch.randn(64, 16), p=0.1, cells=0.75)
        >>> bool(plan.cells <= 0.75)
        True
    """
    if sum(goal is not None for goal in (cells, error, accuracy)) != 1:
        raise ArgumentError(
            f"give exactly one of cells, error and accuracy, got cells={cells!r}, error={error!r} and "
            f"accuracy={accuracy!r}"
        )
    if accuracy is None and metric is not None:
        raise ArgumentError(f"metric must be given only with accuracy, got {metric!r}")
    if sum(one is not None for one in (p, fault, device)) != 1:
        name = device.name if device is not None else None
        raise ArgumentError(f"give exactly one of p, fault and device, got p={p!r}, fault={fault!r} and device={name}")
    if device is not None:
        p = device.cell.flip_probability(device.window)
    if error is not None:
        error = _checks.positive("error", error)
    measured = _measured(model, accuracy, metric, trials, seed) if accuracy is not None else None
    designer = Designer(
        model,
        calibration,
        fault=given(p, fault),
        decoders=decoders,
        hardened=_larger_cells(device) if device is not None else (),
        rows=rows,
        bits=bits,
        passes=passes,
        include=include,
        exclude=exclude,
        unreached_floor=unreached_floor,
        seed=seed,
    )
    asked: dict[str, Setting | None] = {"device": device.name if device is not None else None}
    if cells is not None:
        plan = designer.plan(cells)
    elif measured is not None:
        asked |= {"accuracy": accuracy, "trials": trials}
        plan = _least(designer, measured, f"a metric of {accuracy}")
    else:
        wanted = float(error or 0.0)
        asked |= {"error": wanted}
        plan = _least(designer, lambda plan: (plan.predicted_error or 0.0) <= wanted, f"an output error of {wanted:g}")
    return replace(plan, settings=plan.settings | {name: value for name, value in asked.items() if value is not None})


def _measured(model: nn.Module, accuracy: Any, metric: Metric | None, trials: int, seed: int) -> Callable[[Plan], bool]:
    """Whether a plan is measured to reach an accuracy."""
    if metric is None:
        raise ArgumentError("metric must be given with accuracy, got None")
    reached, trials = _checks.real("accuracy", accuracy), _checks.integer("trials", trials, 2)
    return lambda plan: evaluate(store(model, plan), metric, trials=trials, seed=seed).reads_low >= reached


def _larger_cells(device: Preset) -> tuple[HardenedCell, ...]:
    larger = larger_cells(device.cell, device.window, _AREAS)
    return tuple(HardenedCell.from_cell(one.cell, device.window, area=one.cost) for one in larger)


def _least(designer: Designer, reaches: Callable[[Plan], bool], goal: str) -> Plan:
    """The cheapest plan that reaches a goal, by halving the ratio of a budget that fails and one that does not."""
    best = designer.plan(_MOST_CELLS)
    if not reaches(best):
        raise BudgetError(f"no design of at most {_MOST_CELLS:g} cells reaches {goal}", _MOST_CELLS - 1)
    low, high = _MOST_CELLS / 256, best.cells
    if high <= low:
        return best
    for _ in track(range(math.ceil(math.log2(math.log(high / low) / _RESOLUTION))), "searching the least cells"):
        middle = math.sqrt(low * high)
        try:
            plan = designer.plan(middle)
        except BudgetError:
            low = middle
            continue
        if reaches(plan):
            best, high = plan, middle
        else:
            low = middle
    return best
