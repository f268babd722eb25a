"""Tunneling-Aware Compensation: algorithm 1 of the paper, from a trained network to a plan."""

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import nn

from qtaml._progress import track
from qtaml.errors import ArgumentError
from qtaml.faults import Several
from qtaml.formats import Format, Section, TensorFormat
from qtaml.model import Batch, Batches, aliases, residual_weights
from qtaml.planning.correction import CorrectionTest, measure_correction, predict_corrections
from qtaml.planning.encode_once import Encode, EncodeOnce
from qtaml.planning.keywords import calibrated, takes
from qtaml.planning.measured import gains_at_reads, may_be_beyond, with_measured
from qtaml.planning.plan import Plan, is_small, measured_mean
from qtaml.planning.plan_parts import TensorPlan
from qtaml.planning.protection import mixed_sections, spread_protection
from qtaml.planning.reserve import with_reserve
from qtaml.planning.settings import Tac
from qtaml.planning.words import word_levels, word_scale
from qtaml.sensitivity import Calibration, Gain, output_deviations

_ENOUGH = 0.05
"""Share of the deviation within which four reads of a tensor of a large network have to tell what its correction
changes, to do: a choice between ways that differ by less is worth next to nothing."""


@takes(Tac)
def compensate(model: nn.Module, calibration: Batches, settings: Tac) -> Plan:
    """Plan the storage of a network by Tunneling-Aware Compensation (TAC).

    Step 1 measures how strongly each tensor acts on the output; step 2 spends the budget of protected bits where they
    lower the predicted output error most; step 3 keeps the mean correction of a tensor where it lowers the measured
    output deviation. Step 4, the storage itself, is `qtaml.store`.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs, without labels: a tensor, a tuple of inputs, a dictionary of
            them, or an iterable of such batches, such as a DataLoader.
        settings: a record `qtaml.planning.Tac`; or its fields as keyword arguments:

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
    return tac(calibrated(model, calibration, settings), settings)


def tac(calibration: Calibration, settings: Tac) -> Plan:
    """`compensate` for a network of which something was measured before; arguments and errors as there."""
    fault = settings.fault
    if isinstance(fault, Several):
        return with_reserve(calibration, settings, fault, lambda one: _least(calibration, replace(settings, fault=one)))
    return _least(calibration, settings)


def _least(calibration: Calibration, settings: Tac) -> Plan:
    """The plan for one memory: that of algorithm 1, or one that reads show to be better where errors are large."""
    encode = EncodeOnce()
    plan = _planned(calibration, settings, calibration.gains, encode)
    if not settings.beyond_first_order or is_small(plan):
        return plan
    first = with_measured(plan, calibration)
    if not may_be_beyond(first, calibration):
        return first
    squared = gains_at_reads(first, calibration)
    gains = {name: replace(gain, squared=squared[name]) for name, gain in calibration.gains.items()}
    others = [_planned(calibration, settings, gains, encode)]
    if not settings.floors and not settings.residual_floor:
        uniform = _planned(calibration, settings, None, encode)
        others += [uniform] if uniform.overhead <= settings.overhead + 1e-9 else []
    return min((first, *(with_measured(one, calibration) for one in others)), key=measured_mean)


def _planned(calibration: Calibration, settings: Tac, gains: Mapping[str, Gain] | None, encode: Encode) -> Plan:
    """The plan by some gains; without gains, the same share of every tensor, as Uniform-MSP has."""
    model, batch, weights = calibration.model, calibration.batch, calibration.weights
    base, fault = Format(word_levels(settings)), settings.fault
    fault.rates(base.bits)
    scale = word_scale(settings, weights)
    stored = {
        name: TensorFormat((Section(w.numel(), base),), scale, settings.granularity) for name, w in weights.items()
    }
    floors = _floors(model, batch, weights, settings)
    protected = spread_protection(
        weights,
        stored,
        gains or calibration.gains,
        fault,
        overhead=settings.overhead,
        allocation=settings.allocation,
        floors=floors,
        encode=encode,
    )
    if gains is None:
        share, gains = settings.overhead * base.bits, calibration.gains
        uniform = {n: replace(s, sections=mixed_sections(s.weights, base, share)) for n, s in stored.items()}
        protected = replace(protected, storages=uniform)
    tried = {name: replace(one, correction=settings.correction) for name, one in protected.storages.items()}
    enough = _ENOUGH if calibration.large else 0.0
    tests = _correction_tests(model, calibration.few, weights, gains, tried, settings, enough, encode)
    tensors = []
    for name, weight in weights.items():
        test = tests.get(name)
        helps = settings.decision == "always" or (test is not None and test.helps)
        storage = tried[name] if helps else replace(tried[name], correction="none")
        entry = TensorPlan.of(name, calibration.aliases[name], weight, storage)
        error = gains[name].squared * storage.summed_variance(*encode(storage, weight, fault), fault)
        tensors.append(replace(entry, gain=gains[name], predicted_error=error, correction_test=test))
    outputs, covered = calibration.outputs, calibration.covered
    plan = Plan(settings, tuple(tensors), protected.gap, bits=base.bits, outputs=outputs, covered=covered)
    # The paper's prediction is of the variance alone.
    paper = not settings.beyond_first_order and settings.levels is None
    return plan if paper else replace(plan, predicted_bias=_bias(model, batch, weights, plan, encode))


def _bias(model: nn.Module, batch: Batch, weights: Mapping[str, torch.Tensor], plan: Plan, encode: Encode) -> float:
    """Squared output deviation of the network of the expected weights: what rounding and uncorrected means leave."""
    expected = {}
    for entry in plan.tensors:
        words, scale = encode(entry.storage, weights[entry.name], plan.fault)
        out = torch.empty_like(words, dtype=weights[entry.name].dtype)
        expected[entry.name] = entry.storage.read_mean(words, scale, plan.fault, out=out)
    return float(output_deviations(model, batch, [expected])[0])


def _correction_tests(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    gains: Mapping[str, Gain],
    tried: Mapping[str, TensorFormat],
    settings: Tac,
    enough: float,
    encode: Encode,
) -> dict[str, CorrectionTest | None]:
    """What decides about the correction of each tensor; nothing where all are corrected."""
    fault, seed = settings.fault, settings.seed
    if settings.decision == "always":
        return {}
    # To first order only where the gradients are those of the forward pass.
    predicted = settings.decision == "predicted"
    right = {name: w for name, w in weights.items() if predicted and gains[name].source == "backward passes"}
    tests = predict_corrections(model, batch, right, tried, fault, passes=settings.passes, seed=seed, encode=encode)
    measured = [(name, weight) for name, weight in weights.items() if name not in right]
    measure = partial(measure_correction, model, batch, trials=settings.trials, seed=seed, enough=enough, encode=encode)
    return tests | {
        name: measure(name, weight, tried[name], fault)
        for name, weight in track(measured, "measuring mean corrections")
    }


def _floors(model: nn.Module, calibration: Batch, weights: Mapping[str, torch.Tensor], settings: Tac) -> dict[str, int]:
    """Least protected bits of each tensor: the highest of those that apply."""
    others = aliases(model, list(weights))
    inside = residual_weights(model, calibration) if settings.residual_floor else set()
    least = {name: settings.residual_floor if name in inside else 0 for name in weights}
    for pattern, floor in settings.floors.items():
        matching = [name for name in weights if any(fnmatchcase(n, pattern) for n in (name, *others[name]))]
        if not matching:
            raise ArgumentError(f"floors pattern {pattern!r} matches none of: {', '.join(weights)}")
        least.update({name: max(least[name], floor) for name in matching})
    return least
