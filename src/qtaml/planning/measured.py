"""Reads of what a plan stores, on the calibration inputs: what they do to the output, and gains at what is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from qtaml._memory import give_back
from qtaml._random import child_seed
from qtaml.faults import AnyFault, FaultModel
from qtaml.model import sample_count
from qtaml.planning.plan import Plan, is_small, measured_mean
from qtaml.planning.plan_parts import TensorPlan
from qtaml.planning.weak_cells import weak_bits_of
from qtaml.sensitivity import (
    Calibration,
    Curvature,
    MeasuredError,
    averaged_gains,
    averaged_probe_gains,
    output_deviations,
)

_READS, _READS_OF_LARGE = 8, 4
"""Reads of a plan on the calibration inputs: their mean is known to a tenth or so. Of large networks fewer, whose many
errors average out."""

_BEYOND, _BELOW = 0.2, 0.5
"""Shares by which reads have to lie above first order, or below it, for a large network to be planned again. Plans take
bounds for rates of wrong blocks, and reads err less."""


def reads_of(
    plan: Plan,
    calibration: Calibration,
    fault: AnyFault | None = None,
    *,
    reads: int | None = None,
    curvatures: Mapping[str, Curvature] | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """Reads of the network as a plan stores it, name to tensor.

    Args:
        plan: a plan for the network.
        calibration: of the network; its seed is that of the errors, so that plans meet nearly the same ones.
        fault: how the memory fails; the plan's if not given.
        reads: how many, for a search among many plans, which meets others than the plan found; by size if not given.
        curvatures: by which rounding errors are fed back; those of all samples if not given.
    """
    kind = "reads of a plan" if reads is None else "reads of trials"
    weights = calibration.weights
    outliers = {entry.name: entry.storage.outliers_of(weights[entry.name]) for entry in plan.tensors}
    words = {} if plan.by_chip else _written(plan, calibration, curvatures=curvatures)
    for trial in range(reads or (_READS_OF_LARGE if calibration.large else _READS)):
        seed = child_seed(calibration.seed, kind, trial)
        memory = (fault or plan.fault).of_read(seed)
        if plan.by_chip:
            memory = memory.of_chip(seed)
            words = _written(plan, calibration, memory, curvatures)
        yield {
            entry.name: entry.storage.read(
                *words[entry.name],
                memory,
                seed=child_seed(seed, entry.name),
                place=entry.name,
                out=torch.empty_like(words[entry.name][0], dtype=weights[entry.name].dtype),
                outliers=outliers[entry.name],
            )
            for entry in plan.tensors
        }


def _written(
    plan: Plan,
    calibration: Calibration,
    chip: FaultModel | None = None,
    curvatures: Mapping[str, Curvature] | None = None,
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Words and scale of each tensor, for a chip if the writer has a map of it; curvatures as for `reads_of`."""
    found = {}
    for entry in plan.tensors:
        weak = weak_bits_of(entry, chip, plan.map_reads) if chip is not None else None
        curvature = curvature_for(entry, calibration, curvatures)
        found[entry.name] = entry.storage.encode(calibration.weights[entry.name], plan.expected, weak, curvature)
    return found


def curvature_for(
    entry: TensorPlan, calibration: Calibration, curvatures: Mapping[str, Curvature] | None = None
) -> Curvature | None:
    """The curvature by which rounding errors of a tensor are fed back; None where they are not.

    Args:
        entry: of the plan.
        calibration: of the network.
        curvatures: to take instead of those of all samples.
    """
    if entry.storage.correction != "fed_back":
        return None
    return (calibration.curvatures if curvatures is None else curvatures).get(entry.name)


def measured(
    plan: Plan, calibration: Calibration, fault: AnyFault | None = None, *, reads: int | None = None
) -> MeasuredError:
    """Output error of reads of a plan on the calibration inputs; arguments as for `reads_of`.

    Words that hang on calibration inputs are measured on others, part by part of the samples.
    """
    if calibration.large:
        give_back()
    if plan.fed_back:
        return fed_back_measured([plan], calibration, fault, reads=reads)[0]
    found = reads_of(plan, calibration, fault, reads=reads)
    return MeasuredError.of(output_deviations(calibration.model, calibration.batch, found))


def fed_back_measured(
    plans: Sequence[Plan], calibration: Calibration, fault: AnyFault | None = None, *, reads: int | None = None
) -> list[MeasuredError]:
    """`measured`, of several plans that feed rounding errors back: curvatures of parts are found once for all."""
    sums, samples = [torch.zeros(()) for _ in plans], 0
    for batch, curvatures in calibration.crossed():
        count = sample_count(batch) or 1
        samples += count
        for place, plan in enumerate(plans):
            found = reads_of(plan, calibration, fault, reads=reads, curvatures=curvatures)
            sums[place] = sums[place] + count * output_deviations(calibration.model, batch, found)
    return [MeasuredError.of(one / samples) for one in sums]


def with_measured(plan: Plan, calibration: Calibration) -> Plan:
    """A plan with its measured output error."""
    return replace(plan, measured_error=measured(plan, calibration))


def may_be_beyond(plan: Plan, calibration: Calibration) -> bool:
    """Whether a plan that was measured may err beyond first order; of a large network, whether reads show it."""
    if is_small(plan) or not calibration.large:
        return not is_small(plan)
    error = plan.first_order_error or 0.0
    return not (1 - _BELOW) * error <= measured_mean(plan) <= (1 + _BEYOND) * error


def gains_at_reads(plan: Plan, calibration: Calibration) -> dict[str, float]:
    """Squared gains averaged over reads of a plan (theory.md 1.10).

    Those of forward passes stay as they are, unless there are no others: a network without gradients is probed.
    """
    model, batch, reads = calibration.model, calibration.batch, reads_of(plan, calibration)
    probed = all(gain.source != "backward passes" for gain in calibration.gains.values())
    averaged = (
        averaged_probe_gains(model, batch, reads)
        if probed
        else averaged_gains(model, batch, reads, seed=calibration.seed)
    )
    source = "forward passes" if probed else "backward passes"
    return {
        name: averaged[name].squared if gain.source == source else gain.squared
        for name, gain in calibration.gains.items()
    }
