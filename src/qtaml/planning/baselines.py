"""Plans that TAC is compared with: the same protection everywhere, by magnitude, by sensitivity, at random."""

import random
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.faults import AnyFault, given
from qtaml.formats import Encoding, Format, Granularity, Grid, Ideal, Raw, Section, TensorFormat
from qtaml.model import Batch, aliases, stored_weights
from qtaml.planning.allocation import Allocation
from qtaml.planning.plan import Plan, Setting, TensorPlan
from qtaml.planning.protection import check_overhead, spread_protection
from qtaml.sensitivity import Gain, output_deviations
from qtaml.sensitivity.gains import mean_gain


def uniform_msp(
    model: nn.Module,
    *,
    p: float | None = None,
    fault: AnyFault | None = None,
    protected_bits: int,
    bits: int = 8,
    encoding: Encoding = "offset_binary",
    grid: Grid = "half_step",
    granularity: Granularity = "tensor",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Plan:
    """Uniform-MSP: the same number of most significant bits protected in every tensor, no correction.

    With no protected bits it is the uncompensated memory.

    Args:
        model: the trained network; it is not changed.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.
        protected_bits: protected bits of every weight, 0 to `bits`.
        bits: bits of a word.
        encoding: labels of the levels.
        grid: "half_step" or the paper's "integer".
        granularity: one scale for each "tensor" or each "row".
        include: patterns of further tensors to store; see `stored_weights`.
        exclude: patterns of tensors not to store.

    Returns:
        The plan.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: if the model has no tensor to store, or one that cannot be stored.

    Source:
        paper, sections 4.5 and 5.8.

    Example:
        >>> uniform_msp(nn.Linear(4, 2), p=0.1, protected_bits=2).overhead
        0.25
    """
    faults = given(p, fault)
    base = Format(bits=bits, encoding=encoding, grid=grid)
    protected_bits = _checks.integer("protected_bits", protected_bits, 0, bits)
    shared = base.protect(protected_bits)
    weights = stored_weights(model, include=include, exclude=exclude)
    storages = {name: TensorFormat((Section(w.numel(), shared),), granularity) for name, w in weights.items()}
    method = "uniform_msp" if protected_bits else "uncompensated"
    settings: dict[str, Setting] = {"protected_bits": protected_bits}
    return _plan(method, model, faults, weights, storages, settings)


def magnitude_protection(
    model: nn.Module,
    *,
    p: float | None = None,
    fault: AnyFault | None = None,
    overhead: float,
    allocation: Allocation = "greedy",
) -> Plan:
    """Protection by the size of the weights alone: every tensor counts as if its errors acted equally on the output.

    Args:
        model: the trained network; it is not changed.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.
        overhead: cells spent beyond a plain memory, as a share of it.
        allocation: "greedy" as in the paper, "split" or "integer".

    Returns:
        The plan, without correction.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: as `uniform_msp`.

    Source:
        paper, section 5.8, method 4, and section 5.9.

    Example:
        >>> plan = magnitude_protection(nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 1)), p=0.1, overhead=0.25)
        >>> 0 < plan.overhead <= 0.25
        True
    """
    weights = stored_weights(model)
    gains = {name: Gain(1.0, 0.0) for name in weights}
    return _scored("magnitude", model, weights, gains, given(p, fault), overhead, allocation)


def sensitivity_protection(
    model: nn.Module,
    calibration: Batch,
    *,
    p: float | None = None,
    fault: AnyFault | None = None,
    overhead: float,
    allocation: Allocation = "greedy",
    trials: int = 8,
    seed: int = 0,
) -> Plan:
    """Protection by the output deviation that errors in each tensor alone were measured to make.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.
        overhead: cells spent beyond a plain memory, as a share of it.
        allocation: "greedy" as in the paper, "split" or "integer".
        trials: reads of each tensor.
        seed: seed of the errors.

    Returns:
        The plan, without correction.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: as `uniform_msp`, or if the model fails on the calibration batch.

    Source:
        paper, section 5.8, method 5, and section 5.9.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 1))
        >>> plan = sensitivity_protection(model, torch.randn(8, 4), p=0.1, overhead=0.25)
        >>> 0 < plan.overhead <= 0.25
        True
    """
    faults = given(p, fault)
    weights = stored_weights(model)
    gains = sensitivity_gains(model, calibration, weights, faults, trials=trials, seed=seed)
    return _scored("sensitivity", model, weights, gains, faults, overhead, allocation)


def sensitivity_gains(
    model: nn.Module,
    calibration: Batch,
    weights: Mapping[str, torch.Tensor],
    fault: AnyFault,
    *,
    trials: int = 8,
    seed: int = 0,
) -> dict[str, Gain]:
    """Gains by errors of the memory itself, in one tensor after the other.

    Its cost grows with the number of tensors: (trials + 1) x tensors forward passes.

    Args:
        model: any module; it is not changed.
        calibration: a batch of inputs.
        weights: name to tensor, as `stored_weights` gives them.
        fault: how the memory fails.
        trials: reads of each tensor, at least 2.
        seed: seed of the errors.

    Returns:
        For each tensor the measured output deviation for each unit of the summed variance of what is read.

    Raises:
        ArgumentError: if `trials` is below 2.
        ModelError: if the model fails on the calibration batch.

    Source:
        paper, section 5.9.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> gains = sensitivity_gains(model, torch.eye(3), {"weight": model.weight.detach()}, given(0.1, None))
        >>> gains["weight"].squared > 0
        True
    """
    trials = _checks.integer("trials", trials, 2)
    gains = {}
    for name, weight in weights.items():
        raw = TensorFormat((Section(weight.numel(), Format()),))
        words, scale = raw.encode(weight, fault)
        seeds = [child_seed(seed, "sensitivity", name, trial) for trial in range(trials)]
        reads = ({name: raw.read(words, scale, fault, seed=s, place=name).to(weight.dtype)} for s in seeds)
        variance = raw.summed_variance(words, scale, fault) or 1.0
        # As a gain: per unit of the summed variance of what is read, so that protection lowers it as theory says.
        gains[name] = mean_gain(name, output_deviations(model, calibration, reads) / variance)
    return gains


def random_protection(
    model: nn.Module, *, p: float | None = None, fault: AnyFault | None = None, overhead: float, seed: int = 0
) -> Plan:
    """Protection of random bits: pairs of a tensor and a bit position, drawn without replacement while they fit.

    Args:
        model: the trained network; it is not changed.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.
        overhead: cells spent beyond a plain memory, as a share of it.
        seed: seed of the draw.

    Returns:
        The plan, without correction.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: as `uniform_msp`.

    Source:
        paper, section 5.8, method 3.

    Example:
        >>> random_protection(nn.Linear(4, 2), p=0.1, overhead=0.25).overhead
        0.25
    """
    faults, bits = given(p, fault), Format().bits
    overhead = check_overhead(overhead)
    weights = stored_weights(model)
    pairs = [(name, position) for name in weights for position in range(bits)]
    random.Random(child_seed(seed, "random protection")).shuffle(pairs)
    remaining = overhead * bits * sum(weight.numel() for weight in weights.values()) + 1e-6
    chosen: set[tuple[str, int]] = set()
    for name, position in pairs:
        if weights[name].numel() <= remaining:
            chosen.add((name, position))
            remaining -= weights[name].numel()
    storages = {
        name: TensorFormat((Section(weight.numel(), _with_ideal({i for n, i in chosen if n == name}, bits)),))
        for name, weight in weights.items()
    }
    return _plan(
        "random", model, faults, weights, storages, {"overhead": overhead, "seed": _checks.integer("seed", seed, 0)}
    )


def _scored(
    method: str,
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    gains: Mapping[str, Gain],
    fault: AnyFault,
    overhead: float,
    allocation: Allocation,
) -> Plan:
    raw = {name: TensorFormat((Section(weight.numel(), Format()),)) for name, weight in weights.items()}
    protected = spread_protection(weights, raw, gains, fault, overhead=overhead, allocation=allocation)
    settings: dict[str, Setting] = {"overhead": check_overhead(overhead), "allocation": allocation}
    return _plan(method, model, fault, weights, protected.storages, settings)


def _plan(
    method: str,
    model: nn.Module,
    fault: AnyFault,
    weights: Mapping[str, torch.Tensor],
    storages: Mapping[str, TensorFormat],
    settings: Mapping[str, Setting],
) -> Plan:
    others = aliases(model, list(weights))
    entries = [TensorPlan.of(name, others[name], weight, storages[name]) for name, weight in weights.items()]
    return Plan(method, fault, tuple(entries), dict(settings))


def _with_ideal(positions: set[int], bits: int) -> Format:
    return Format(bits=bits, protections=tuple(Ideal() if i in positions else Raw() for i in range(bits)))
