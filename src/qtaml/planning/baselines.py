"""Baselines of TAC: uniform protection or none, and protection by magnitude, by sensitivity, at random."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.faults import AnyFault
from qtaml.formats import EvenLevels, Fixed, Format, Section, TensorFormat
from qtaml.model import Batch, Batches, aliases, one_batch, private_copy, share_of_numbers, stored_weights
from qtaml.planning.keywords import takes
from qtaml.planning.plan import Plan
from qtaml.planning.plan_parts import TensorPlan
from qtaml.planning.protection import mixed_sections, spread_protection
from qtaml.planning.settings import (
    AnySettings,
    FixedPoint,
    Magnitude,
    RandomProtection,
    Sensitivity,
    UniformMsp,
    WeightScaling,
)
from qtaml.planning.words import word_levels, word_scale
from qtaml.protections import Ideal, Raw
from qtaml.sensitivity import Gain, output_deviations
from qtaml.sensitivity.gains import mean_gain


@takes(UniformMsp)
def uniform_msp(model: nn.Module, settings: UniformMsp) -> Plan:
    """Uniform-MSP: the same number of most significant bits protected in every tensor, no correction.

    With no protected bits it is the uncompensated memory. A number that is not whole is the mixed reading: of 1.5 bits,
    the first half of the weights of each tensor has two protected bits and the others one.

    Args:
        model: the trained network; it is not changed.
        settings: a record `qtaml.planning.UniformMsp`; or its fields as keyword arguments:

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
    base = Format(word_levels(settings))
    weights = stored_weights(model, include=settings.include, exclude=settings.exclude)
    scale, share, granularity = word_scale(settings, weights), settings.protected_bits, settings.granularity
    storages = {
        name: TensorFormat(mixed_sections(w.numel(), base, share), scale, granularity) for name, w in weights.items()
    }
    return _plan(model, weights, storages, settings)


@takes(FixedPoint)
def fixed_point(model: nn.Module, settings: FixedPoint) -> Plan:
    """A fixed-point memory: one range for all tensors, the least power of two that holds the largest weight.

    The baseline of weight scaling, without any protection: full scale 2**ceil(log2(max |w|)).

    Args:
        model: the trained network; it is not changed.
        settings: a record `qtaml.planning.FixedPoint`; or its fields as keyword arguments:

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
        >>> fixed_point(model, p=0.1).tensors[0].storage.scale.value
        0.5
    """
    weights = stored_weights(model)
    largest = max(float(weight.abs().max()) for weight in weights.values())
    # math.log2 is exact for powers of two, so that a largest weight of 0.5 does not get a full scale of 1.
    full_scale = 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 1.0
    storages = {
        name: TensorFormat((Section(weight.numel(), Format()),), Fixed(full_scale)) for name, weight in weights.items()
    }
    return _plan(model, weights, storages, settings)


@takes(WeightScaling)
def weight_scaling(model: nn.Module, settings: WeightScaling) -> Plan:
    """Weight scaling: each tensor is multiplied before storage so that it just fills the range, and divided when read.

    With one constant for each tensor at its largest magnitude this is the uncompensated memory, whose levels always
    reach from the largest magnitude down to its negative.

    Args:
        model: the trained network; it is not changed.
        settings: a record `qtaml.planning.WeightScaling`; or its fields as keyword arguments:

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
    # The settings are replaced so that the plan says which method made it: the bits are the same.
    return replace(uniform_msp(model, fault=settings.fault, protected_bits=0), settings=settings)


@takes(Magnitude)
def magnitude_protection(model: nn.Module, settings: Magnitude) -> Plan:
    """Protection by the size of the weights alone: every tensor counts as if its errors acted equally on the output.

    Args:
        model: the trained network; it is not changed.
        settings: a record `qtaml.planning.Magnitude`; or its fields as keyword arguments:

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
    # Any number would do: only proportions of gains matter.
    gains = {name: Gain(1.0, 0.0) for name in weights}
    return _scored(model, weights, gains, settings)


@takes(Sensitivity)
def sensitivity_protection(model: nn.Module, calibration: Batches, settings: Sensitivity) -> Plan:
    """Protection by measured sensitivity: the output deviation under errors in each tensor alone.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs.
        settings: a record `qtaml.planning.Sensitivity`; or its fields as keyword arguments:

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
    batch, weights = one_batch(calibration), stored_weights(model)
    gains = sensitivity_gains(model, batch, weights, settings.fault, trials=settings.trials, seed=settings.seed)
    return _scored(model, weights, gains, settings)


def sensitivity_gains(
    model: nn.Module,
    calibration: Batch,
    weights: Mapping[str, torch.Tensor],
    fault: AnyFault,
    *,
    trials: int = 8,
    seed: int = 0,
) -> dict[str, Gain]:
    """Gains measured by reads with errors in one tensor after the other: mean ||f(W + e) - f(W)||**2 / sum of var(e).

    The cost grows with the number of tensors: (trials + 1) x tensors forward passes.

    Args:
        model: any module; it is not changed.
        calibration: a batch of inputs.
        weights: name to tensor, as `stored_weights` gives them.
        fault: how the memory fails.
        trials: reads of each tensor, at least 2.
        seed: seed of the errors.

    Returns:
        For each tensor the measured output deviation for each unit of the summed variance of the read weights.

    Raises:
        ArgumentError: if `trials` is below 2.
        ModelError: if the model fails on the calibration batch.

    Source:
        paper, section 5.9.

    Example:
        >>> from qtaml.faults import Uniform
        >>> model = nn.Linear(3, 2, bias=False)
        >>> gains = sensitivity_gains(model, torch.eye(3), {"weight": model.weight.detach()}, Uniform(0.1))
        >>> gains["weight"].squared > 0
        True
    """
    trials, network = _checks.integer("trials", trials, 2), private_copy(model)
    gains = {}
    for name, weight in weights.items():
        raw = TensorFormat((Section(weight.numel(), Format()),))
        words, scale = raw.encode(weight, fault)
        # By name, not by place in the model: the gain of a tensor does not depend on which others are stored.
        seeds = [child_seed(seed, "sensitivity", name, trial) for trial in range(trials)]
        reads = ({name: raw.read(words, scale, fault, seed=s, place=name).to(weight.dtype)} for s in seeds)
        # A tensor without errors has variance 0 and deviation 0: its gain is 0, not NaN.
        variance = raw.summed_variance(words, scale, fault) or 1.0
        # As a gain, for each unit of the summed variance, so that protection lowers the error as theory says.
        gains[name] = mean_gain(name, output_deviations(network, calibration, reads) / variance)
    return gains


@takes(RandomProtection)
def random_protection(model: nn.Module, settings: RandomProtection) -> Plan:
    """Protection of random bits: pairs of a tensor and a bit position, drawn without replacement while they fit.

    Args:
        model: the trained network; it is not changed.
        settings: a record `qtaml.planning.RandomProtection`; or its fields as keyword arguments:

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
    bits, weights = Format().bits, stored_weights(model)
    pairs = [(name, position) for name in weights for position in range(bits)]
    random.Random(child_seed(settings.seed, "random protection")).shuffle(pairs)
    # A share is not a binary fraction either, as in `mixed_sections`.
    remaining = settings.overhead * bits * sum(weight.numel() for weight in weights.values()) + 1e-6
    chosen: set[tuple[str, int]] = set()
    for name, position in pairs:
        if weights[name].numel() <= remaining:
            chosen.add((name, position))
            remaining -= weights[name].numel()
    storages = {
        name: TensorFormat((Section(weight.numel(), _with_ideal({i for n, i in chosen if n == name}, bits)),))
        for name, weight in weights.items()
    }
    return _plan(model, weights, storages, settings)


def _scored(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    gains: Mapping[str, Gain],
    settings: Magnitude | Sensitivity,
) -> Plan:
    raw = {name: TensorFormat((Section(weight.numel(), Format()),)) for name, weight in weights.items()}
    protected = spread_protection(
        weights, raw, gains, settings.fault, overhead=settings.overhead, allocation=settings.allocation
    )
    return _plan(model, weights, protected.storages, settings)


def _plan(
    model: nn.Module,
    weights: Mapping[str, torch.Tensor],
    storages: Mapping[str, TensorFormat],
    settings: AnySettings,
) -> Plan:
    others = aliases(model, list(weights))
    entries = [TensorPlan.of(name, others[name], weight, storages[name]) for name, weight in weights.items()]
    covered = share_of_numbers(model, weights)
    return Plan(settings, tuple(entries), bits=next(iter(storages.values())).bits, covered=covered)


def _with_ideal(positions: set[int], bits: int) -> Format:
    return Format(EvenLevels(bits), tuple(Ideal() if i in positions else Raw() for i in range(bits)))
