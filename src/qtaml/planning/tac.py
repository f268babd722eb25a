"""Tunneling-Aware Compensation: algorithm 1 of the paper, from a trained network to a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import torch
from torch import nn

from qtaml import _checks
from qtaml._progress import track
from qtaml.errors import ArgumentError, BudgetError
from qtaml.faults import AnyFault, FaultModel, given
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
from qtaml.model import Batch, aliases, residual_weights, stored_weights
from qtaml.planning.allocation import (
    ALLOCATIONS,
    Allocation,
    Choice,
    Options,
    allocate,
    allocated_error,
    error_bound,
)
from qtaml.planning.correction import measure_correction
from qtaml.planning.plan import Plan, TensorPlan
from qtaml.sensitivity import Gain, jacobian_gains


def compensate(
    model: nn.Module,
    calibration: Batch,
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
    floors: Mapping[str, int] | None = None,
    residual_floor: int = 0,
    passes: int = 32,
    trials: int = 8,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    seed: int = 0,
) -> Plan:
    """Plan the storage of a network by Tunneling-Aware Compensation (TAC).

    Step 1 measures how strongly each tensor acts on the output; step 2 spends the budget of protected bits where they
    lower the predicted output error most; step 3 keeps the mean correction of a tensor where it lowers the measured
    output deviation. Step 4, the storage itself, is `qtaml.store`.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs, without labels: a tensor, a tuple of inputs, or a dictionary of them.
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
        floors: least protected bits by pattern of tensor names, such as {"block*": 1}.
        residual_floor: least protected bits of tensors inside residual branches, found in the traced graph.
        passes: backward passes of step 1.
        trials: reads for each tensor and way in step 3.
        include: patterns of further tensors to store, such as "*.bias"; see `stored_weights`.
        exclude: patterns of tensors not to store.
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
    faults = given(p, fault)
    _check_settings(overhead, allocation, correction, step, trials)
    base = Format(bits=bits, encoding=encoding, grid=grid)
    faults.rates(bits)
    weights = stored_weights(model, include=include, exclude=exclude)
    stored = {name: TensorFormat((Section(w.numel(), base),), granularity) for name, w in weights.items()}
    least = _floors(model, calibration, weights, floors or {}, residual_floor, bits)

    gains = jacobian_gains(model, calibration, weights, passes=passes, seed=seed)
    options = [protection_options(w, stored[name], gains[name], faults, least[name]) for name, w in weights.items()]
    choices, gap = _allocate(options, overhead, bits, allocation)

    shared_names = aliases(model, list(weights))
    tensors = []
    for name, option, choice in track(list(zip(weights, options, choices, strict=True)), "measuring mean corrections"):
        weight = weights[name]
        storage = replace(
            stored[name], sections=_sections(base, option, choice, least[name]), correction=correction, step=step
        )
        test = measure_correction(model, calibration, name, weight, storage, faults, trials=trials, seed=seed)
        if test is None or test.corrected >= test.without:
            storage = replace(storage, correction="none")
        dtype = str(weight.dtype).removeprefix("torch.")
        error = allocated_error(option, choice)
        tensors.append(
            TensorPlan(name, shared_names[name], tuple(weight.shape), dtype, storage, gains[name], error, test)
        )
    settings: dict[str, int | float | str | list[str] | dict[str, int]] = {
        "overhead": overhead,
        "allocation": allocation,
        "correction": correction,
        "step": step,
        "floors": {name: floor for name, floor in least.items() if floor},
        "passes": passes,
        "trials": trials,
        "seed": seed,
    }
    return Plan("tac", faults, tuple(tensors), settings, gap)


def protection_options(
    weight: torch.Tensor, stored: TensorFormat, gain: Gain, fault: FaultModel, floor: int
) -> Options:
    """What a tensor costs and leaves of output error for each number of protected most significant bits.

    Args:
        weight: its trained weights.
        stored: how it is stored without protection.
        gain: how strongly its errors act on the output.
        fault: how the memory fails.
        floor: least protected bits.

    Returns:
        One option for each number of protected bits, from `floor` to all. The error is gain x the sum over the weights
        of the exact variance of what is read, given what is stored.

    Source:
        paper, lemma 4.2 and theorem 4.4, here with the exact variance of any encoding.
    """
    base = stored.sections[0].format
    words, scale = stored.encode(weight, fault)
    squared_scale = scale.square().expand(weight.shape).reshape(-1).cpu()
    amount = torch.bincount(words.reshape(-1).cpu().long(), weights=squared_scale, minlength=2**base.bits).numpy()
    formats = [base.protect(count) for count in range(floor, base.bits + 1)]
    errors = tuple(gain.squared * float(amount @ fmt.read_variance(fault)) for fmt in formats)
    return Options(weight.numel(), tuple(fmt.cells for fmt in formats), errors)


def _check_settings(overhead: float, allocation: str, correction: str, step: str, trials: int) -> None:
    if not 0 <= _checks.real("overhead", overhead) <= 1:
        raise ArgumentError(
            f"overhead must be a share from 0 to 1 (every bit protected), got {overhead!r}; 5 per cent is 0.05"
        )
    _checks.one_of("allocation", allocation, ALLOCATIONS)
    _checks.one_of("correction", correction, CORRECTIONS)
    _checks.one_of("step", step, STEPS)
    _checks.integer("trials", trials, 2)


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
    for pattern, floor in floors.items():
        _checks.integer(f"floors[{pattern!r}]", floor, 0, bits)
        if not any(fnmatchcase(name, pattern) for name in weights):
            raise ArgumentError(f"floors pattern {pattern!r} matches none of: {', '.join(weights)}")
    inside = residual_weights(model, calibration) if residual_floor else set()
    return {
        name: max(
            [residual_floor if name in inside else 0]
            + [floor for pattern, floor in floors.items() if fnmatchcase(name, pattern)]
        )
        for name in weights
    }


def _allocate(
    options: Sequence[Options], overhead: float, bits: int, allocation: Allocation
) -> tuple[tuple[Choice, ...], float]:
    """Choices within the overhead, and by how much their predicted error exceeds the best possible."""
    plain = bits * sum(option.weights for option in options)
    # A share such as 0.1 is not a binary fraction: the product may fall just below a whole number of cells.
    budget = int(plain * (1 + overhead) + 1e-6)
    floor = sum(option.weights * option.cells[0] for option in options)
    if floor > budget:
        least = floor / plain - 1
        raise BudgetError(
            f"overhead must be at least {least:.6g} to give every tensor its floor of protected bits, got {overhead}; "
            "raise it, or lower floors or residual_floor",
            least,
        )
    choices = allocate(options, budget, allocation)
    error = sum(map(allocated_error, options, choices))
    bound = error_bound(options, budget)
    return choices, (error / bound - 1 if bound > 0 else 0.0)


def _sections(base: Format, option: Options, choice: Choice, floor: int) -> tuple[Section, ...]:
    """Sections of a tensor whose options count protected bits from `floor` on."""
    counts = ((choice.upgraded, choice.high), (option.weights - choice.upgraded, choice.low))
    return tuple(Section(weights, base.protect(floor + index)) for weights, index in counts if weights)
