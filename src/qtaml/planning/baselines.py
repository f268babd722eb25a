"""Plans that TAC is compared with: no or the same protection everywhere, by magnitude, by sensitivity, at random."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault, given
from qtaml.formats import Encoding, Format, Granularity, Grid, Section, TensorFormat
from qtaml.model import Batch, aliases, private_copy, share_of_numbers, stored_weights
from qtaml.planning.allocation import Allocation
from qtaml.planning.plan import Plan, Setting, TensorPlan
from qtaml.planning.protection import check_overhead, spread_protection
from qtaml.protections import Ideal, Raw
from qtaml.sensitivity import Gain, output_deviations
from qtaml.sensitivity.gains import mean_gain


def uniform_msp(
    model: nn.Module,
    *,
    p: float | None = None,
    fault: AnyFault | None = None,
    protected_bits: float,
    bits: int = 8,
    encoding: Encoding = "offset_binary",
    grid: Grid = "half_step",
    granularity: Granularity = "tensor",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Plan:
    """Uniform-MSP: the same number of most significant bits protected in every tensor, no correction.

    With no protected bits it is the uncompensated memory. A number that is not whole is the mixed reading: of 1.5 bits,
    the first half of the weights of each tensor has two protected bits and the others one.

    Args:
        model: the trained network; it is not changed.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.
        protected_bits: protected bits of every weight, or their mean over the weights of each tensor, 0 to `bits`. What
            does not come out at a whole weight is rounded down.
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
        >>> uniform_msp(nn.Linear(4, 2), p=0.1, protected_bits=1.5).overhead
        0.1875
    """
    faults = given(p, fault)
    base = Format(bits=bits, encoding=encoding, grid=grid)
    share = _checks.real("protected_bits", protected_bits)
    if not 0 <= share <= bits or isinstance(protected_bits, bool):
        raise ArgumentError(f"protected_bits must be a number from 0 to {bits}, got {protected_bits!r}")
    weights = stored_weights(model, include=include, exclude=exclude)
    storages = {name: TensorFormat(_mixed(w.numel(), base, share), granularity) for name, w in weights.items()}
    method = "uniform_msp" if share else "uncompensated"
    settings: dict[str, Setting] = {"protected_bits": int(share) if share.is_integer() else share}
    return _plan(method, model, faults, weights, storages, settings)


def fixed_point(model: nn.Module, *, p: float | None = None, fault: AnyFault | None = None) -> Plan:
    """A fixed-point memory: one range for all tensors, the least power of two that holds the largest weight.

    It is what weight scaling improves on, without any protection.

    Args:
        model: the trained network; it is not changed.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.

    Returns:
        The plan.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: as `uniform_msp`.

    Source:
        Fuengfusin and Tamukoh, arXiv 2411.18993 (8-bit fixed point); paper, section 2.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> _ = nn.init.constant_(model.weight, 0.3)
        >>> fixed_point(model, p=0.1).tensors[0].storage.full_scale
        0.5
    """
    faults, weights = given(p, fault), stored_weights(model)
    largest = max(float(weight.abs().max()) for weight in weights.values())
    full_scale = 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 1.0
    storages = {
        name: TensorFormat((Section(weight.numel(), Format()),), full_scale=full_scale)
        for name, weight in weights.items()
    }
    return _plan("fixed_point", model, faults, weights, storages, {})


def weight_scaling(model: nn.Module, *, p: float | None = None, fault: AnyFault | None = None) -> Plan:
    """Weight scaling: each tensor is multiplied before storage so that it just fills the range, and divided when read.

    With one constant for each tensor at its largest magnitude this is the uncompensated memory, whose levels always
    reach from the largest magnitude down to its negative.

    Args:
        model: the trained network; it is not changed.
        p: flip probability of a cell, in [0, 0.5); or
        fault: a fault model.

    Returns:
        The plan.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.
        ModelError: as `uniform_msp`.

    Source:
        Fuengfusin and Tamukoh, arXiv 2411.18993; paper, sections 2 and 4.6.

    Example:
        >>> model = nn.Linear(4, 2)
        >>> plain = uniform_msp(model, p=0.1, protected_bits=0)
        >>> weight_scaling(model, p=0.1).tensors == plain.tensors
        True
    """
    return replace(uniform_msp(model, p=p, fault=fault, protected_bits=0), method="weight_scaling", settings={})


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
    trials, network = _checks.integer("trials", trials, 2), private_copy(model)
    gains = {}
    for name, weight in weights.items():
        raw = TensorFormat((Section(weight.numel(), Format()),))
        words, scale = raw.encode(weight, fault)
        seeds = [child_seed(seed, "sensitivity", name, trial) for trial in range(trials)]
        reads = ({name: raw.read(words, scale, fault, seed=s, place=name).to(weight.dtype)} for s in seeds)
        variance = raw.summed_variance(words, scale, fault) or 1.0
        # As a gain: per unit of the summed variance of what is read, so that protection lowers it as theory says.
        gains[name] = mean_gain(name, output_deviations(network, calibration, reads) / variance)
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
    bits = next(iter(storages.values())).bits
    covered = share_of_numbers(model, weights)
    return Plan(method, fault, tuple(entries), dict(settings), bits=bits, covered=covered)


def _mixed(weights: int, base: Format, protected_bits: float) -> tuple[Section, ...]:
    """Sections of which the first has one protected bit more than the second, so that their mean is as asked."""
    fewer = math.floor(protected_bits)
    # A share such as 0.1 is not a binary fraction: the product may fall just below a whole number of weights.
    first = math.floor((protected_bits - fewer) * weights + 1e-6)
    counts = ((first, fewer + 1), (weights - first, fewer))
    return tuple(Section(count, base.protect(protected)) for count, protected in counts if count)


def _with_ideal(positions: set[int], bits: int) -> Format:
    return Format(bits=bits, protections=tuple(Ideal() if i in positions else Raw() for i in range(bits)))
