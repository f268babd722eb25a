"""Tunneling-Aware Compensation: algorithm 1 of the paper, from a trained network to a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Literal

import torch
from torch import nn

from qtaml import _checks
from qtaml._progress import track
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault, given
from qtaml.formats import (
    CORRECTIONS,
    STEPS,
    Correction,
    Encoding,
    Format,
    Granularity,
    Grid,
    Section,
    Step,
    TensorFormat,
)
from qtaml.model import (
    Batch,
    Batches,
    aliases,
    one_batch,
    private_copy,
    residual_weights,
    share_of_numbers,
    stored_weights,
)
from qtaml.planning.allocation import ALLOCATIONS, Allocation
from qtaml.planning.correction import CorrectionTest, measure_correction, predict_corrections
from qtaml.planning.plan import Plan, Setting, TensorPlan
from qtaml.planning.protection import check_overhead, spread_protection
from qtaml.sensitivity import checked_gains, output_range

Decision = Literal["measured", "predicted", "always"]
DECISIONS: tuple[Decision, ...] = ("measured", "predicted", "always")


def compensate(
    model: nn.Module,
    calibration: Batches,
    *,
    p: float | None = None,
    fault: AnyFault | None = None,
    overhead: float,
    bits: int = 8,
    encoding: Encoding = "offset_binary",
    grid: Grid = "half_step",
    granularity: Granularity = "tensor",
    allocation: Allocation = "split",
    correction: Correction = "exact",
    step: Step = "keep",
    decision: Decision = "measured",
    floors: Mapping[str, int] | None = None,
    residual_floor: int = 0,
    passes: int = 32,
    trials: int = 8,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    unreached_floor: float = 1.0,
    seed: int = 0,
) -> Plan:
    """Plan the storage of a network by Tunneling-Aware Compensation (TAC).

    Step 1 measures how strongly each tensor acts on the output; step 2 spends the budget of protected bits where they
    lower the predicted output error most; step 3 keeps the mean correction of a tensor where it lowers the measured
    output deviation. Step 4, the storage itself, is `qtaml.store`.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs, without labels: a tensor, a tuple of inputs, a dictionary of
            them, or an iterable of such batches, such as a DataLoader.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.
        overhead: cells spent beyond a plain memory, as a share of it: 0 for none, 1 for every bit protected.
        bits: bits of a word, 2 to 16.
        encoding: "offset_binary", "twos_complement", "sign_magnitude" or "gray".
        grid: "half_step", or the paper's "integer".
        granularity: one scale for each "tensor" or each "row" (first dimension).
        allocation: "split" (optimal; one tensor may have two depths), "integer" (optimal without), or the paper's
            "greedy".
        correction: "exact" (theory.md 1.4), the paper's factor ("paper"), or "none".
        step: "keep" the quantisation step under correction, or "recompute" it.
        decision: what decides about the correction of a tensor: "measured" reads (step 3), "predicted" to first order
            from `passes` backward passes for all tensors together, where there are many, or "always" correct.
        floors: least protected bits by pattern of tensor names, such as {"block*": 1}.
        residual_floor: least protected bits of tensors inside residual branches, found in the traced graph.
        passes: backward passes of step 1.
        trials: reads for each tensor and way in step 3.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
        unreached_floor: gain of a tensor that no calibration sample reaches, over the median gain of the others; such
            tensors are named in `Plan.unreached`. 0 takes it that no other sample reaches them either.
        seed: seed of steps 1 and 3.

    Returns:
        The plan; `print(plan)` shows it.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        BudgetError: if the floors need more than the overhead; the message names the least one.
        ModelError: if the model has no tensor to store, one that cannot be stored, or fails on the calibration batch.

    Source:
        paper, algorithm 1.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> plan = compensate(model, torch.randn(64, 4), p=0.1, overhead=0.05)
        >>> round(plan.overhead, 2)
        0.05
    """
    batch, faults = one_batch(calibration), given(p, fault)
    overhead = check_overhead(overhead)
    _checks.one_of("allocation", allocation, ALLOCATIONS)
    _checks.one_of("correction", correction, CORRECTIONS)
    _checks.one_of("step", step, STEPS)
    _checks.one_of("decision", decision, DECISIONS)
    trials, passes = _checks.integer("trials", trials, 2), _checks.integer("passes", passes, 2)
    seed = _checks.integer("seed", seed, 0)
    base = Format(bits=bits, encoding=encoding, grid=grid)
    faults.rates(bits)
    weights = stored_weights(model, include=include, exclude=exclude)
    stored = {name: TensorFormat((Section(w.numel(), base),), granularity) for name, w in weights.items()}
    model = private_copy(model)
    least = _floors(model, batch, weights, floors or {}, residual_floor, bits)

    gains = checked_gains(model, batch, weights, passes=passes, seed=seed, unreached_floor=unreached_floor)
    protected = spread_protection(
        weights, stored, gains, faults, overhead=overhead, allocation=allocation, floors=least
    )
    shared_names = aliases(model, list(weights))
    tried = {name: replace(one, correction=correction, step=step) for name, one in protected.storages.items()}
    tests: dict[str, CorrectionTest | None] = {}
    if decision == "measured":
        for name, weight in track(weights.items(), "measuring mean corrections"):
            tests[name] = measure_correction(model, batch, name, weight, tried[name], faults, trials=trials, seed=seed)
    elif decision == "predicted":
        # To first order only where the gradients are those of the forward pass.
        right = {name: weight for name, weight in weights.items() if gains[name].source == "backward passes"}
        tests = predict_corrections(model, batch, right, tried, faults, passes=passes, seed=seed) if right else {}
        tests |= {
            name: measure_correction(model, batch, name, weights[name], tried[name], faults, trials=trials, seed=seed)
            for name in weights
            if name not in right
        }
    tensors = []
    for name, weight in weights.items():
        test = tests.get(name)
        helps = decision == "always" or (test is not None and test.helps)
        storage = tried[name] if helps else replace(tried[name], correction="none")
        entry = TensorPlan.of(name, shared_names[name], weight, storage)
        error = gains[name].squared * storage.summed_variance(*storage.encode(weight, faults), faults)
        tensors.append(replace(entry, gain=gains[name], predicted_error=error, correction_test=test))
    used = {name: floor for name, floor in least.items() if floor}
    settings: dict[str, Setting] = {
        "overhead": overhead,
        "allocation": allocation,
        "correction": correction,
        "step": step,
        "decision": decision,
    }
    settings |= {"floors": used, "residual_floor": residual_floor, "passes": passes, "trials": trials, "seed": seed}
    settings |= {"include": list(include), "exclude": list(exclude), "unreached_floor": unreached_floor}
    reached, covered = output_range(model, batch, weights), share_of_numbers(model, weights)
    return Plan("tac", faults, tuple(tensors), settings, protected.gap, bits=bits, outputs=reached, covered=covered)


def _floors(
    model: nn.Module,
    calibration: Batch,
    weights: Mapping[str, torch.Tensor],
    floors: Mapping[str, int],
    residual_floor: int,
    bits: int,
) -> dict[str, int]:
    """Least protected bits of each tensor: the highest of those that apply."""
    _checks.integer("residual_floor", residual_floor, 0, bits)
    if not isinstance(floors, Mapping):
        raise ArgumentError(f"floors must be a mapping from patterns to protected bits, got {floors!r}")
    others = aliases(model, list(weights))
    least = {}
    inside = residual_weights(model, calibration) if residual_floor else set()
    for name in weights:
        least[name] = residual_floor if name in inside else 0
    for pattern, floor in floors.items():
        bound = _checks.integer(f"floors[{pattern!r}]", floor, 0, bits)
        matching = [name for name in weights if any(fnmatchcase(n, pattern) for n in (name, *others[name]))]
        if not matching:
            raise ArgumentError(f"floors pattern {pattern!r} matches none of: {', '.join(weights)}")
        least.update({name: max(least[name], bound) for name in matching})
    return least
