"""`qtaml.explore`: from oxide and refresh window to area, power and accuracy."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from torch import nn

from qtaml import _checks
from qtaml.cost import Array, Contents, CostTerms, MemoryCost, array_named, memory_cost
from qtaml.device import Preset
from qtaml.errors import ArgumentError
from qtaml.exploration.device_points import Device, DevicePoint, device_points
from qtaml.exploration.exploration import MINIMISED, Exploration, ExplorationPoint, Minimised, on_front
from qtaml.exploration.rungs import LADDER, next_above, rungs
from qtaml.exploration.stored_plans import PlanMaker, Reload, StoredPlan, make_plans
from qtaml.measuring.metrics import Metric
from qtaml.model import Batches, Output
from qtaml.planning import Decoding
from qtaml.planning.hardened_cells import Hardening

_DECODERS: tuple[tuple[Decoding, ...], ...] = (("none", "table"),)
_BUDGETS = (0.25, 0.5, 0.75, 1.0)


def explore(
    model: nn.Module,
    calibration: Batches,
    *,
    metric: Metric,
    device: Device | Preset | str,
    windows: Sequence[float],
    thicknesses: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    voltages: Sequence[float] | None = None,
    temperatures: Sequence[float] | None = None,
    hardenings: Sequence[Sequence[Hardening]] = ((),),
    decoders: Sequence[Sequence[Decoding]] = _DECODERS,
    budgets: Sequence[float] = _BUDGETS,
    accuracy: float | None = None,
    minimise: Minimised = "power",
    ladder: Sequence[float] = LADDER,
    trials: int = 10,
    thorough: bool = False,
    folder: str | Path | None = None,
    workers: int | None = 1,
    ray: str | None = None,
    reload: Reload | None = None,
    seed: int = 0,
    output: Output | None = None,
    **terms: Unpack[CostTerms],
) -> Exploration:
    """Explore devices and ways to store a network together: accuracy, area and power of each.

    Plans are made for the flip probabilities of a ladder, one calibration for all, and read at them. A device point
    takes the plan of the next p above its own, so its accuracy is that of a memory that errs more often. Points above
    the ladder have none.

    Args:
        model: the trained network; it is not changed.
        calibration: a batch of inputs, without labels, as for `qtaml.design`.
        metric: of the network as read; larger is better. Called accuracy here, whatever it is.
        device: as for `exploration.device_points`.
        windows: s between refreshes.
        thicknesses: of the barrier, nm; that of the device if not given, as for the other axes.
        heights: of the barrier, eV.
        voltages: across the barrier, V.
        temperatures: K.
        hardenings: sets of what a bit may have of its own, as `hardening` of `qtaml.design`; an empty one for plain
            cells. Each better cell is as bad as at the worst of the device points that share a plan.
        decoders: sets of what may be needed to read, as `decoders` of `qtaml.design`.
        budgets: shares of a plain memory; of its refreshes where bits may have more or fewer of them.
        accuracy: that the chosen point reaches; any if not given.
        minimise: what the chosen point has the least of: "power", "area" or "cells".
        ladder: flip probabilities that plans are made for.
        trials: reads of each plan.
        thorough: search each plan beyond first order too, in about three times the time.
        folder: where plans are kept, so that the same question goes on where it stopped.
        workers: processes; as many as processors if None. Each computes with one thread, and their number changes no
            result.
        ray: address of a Ray cluster, or "local", as for `qtaml sweep`.
        reload: makes model, calibration and metric anew in other processes, where they cannot be pickled.
        seed: of calibration and plans.
        output: the output that counts, as for `qtaml.design`.
        terms: array, node, reads_per_second, decode, copy and numbers, as for `qtaml.cost.memory_cost`.

    Returns:
        The points, their Pareto front, and the chosen one.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or no device point has a plan.
        ModelError: as `qtaml.design`.
        StoredFileError: if the folder cannot be written, or holds a damaged plan.

    Source:
        theory.md 10.1, 10.3.

    Example:
        >>> import torch, qtaml
        >>> model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4))
        >>> inputs = torch.randn(64, 16)
        >>> metric = qtaml.Accuracy(inputs, model(inputs).argmax(1))
        >>> found = explore(model, inputs, metric=metric, device="gaincell_2t_sion", array="gain_cell_3t", node=28,
        ...                 windows=[10e-6, 20e-6], budgets=[1.0], trials=2)
        >>> [f"{one.p:.2g} -> {one.planned_p:g}" for one in found.points]
        ['0.0026 -> 0.003', '0.053 -> 0.07']
        >>> found.points[0].power > found.points[1].power  # refreshed twice as often
        True
    """
    _checks.one_of("minimise", minimise, MINIMISED)
    # What is wrong with the terms is said before anything that takes long.
    _check_minimised(minimise, _cost(Contents(1.0, 1.0, 1), 1.0, terms))
    places = device_points(
        device, windows, thicknesses=thicknesses, heights=heights, voltages=voltages, temperatures=temperatures
    )
    planned = next_above(places, ladder)
    memories = rungs(places, planned, hardenings)
    maker = PlanMaker(model, calibration, metric, trials, thorough, seed, output)
    kept = None if folder is None else Path(folder)
    plans = make_plans(maker, memories, decoders, budgets, folder=kept, count=workers, ray=ray, reload=reload)
    points, missing = _points(places, planned, plans, terms)
    found = Exploration(
        points,
        accuracy,
        minimise,
        planned.count(None),
        len(memories) * len(decoders) * len(budgets) - len(plans),
        missing,
        {one.name: one.plan for one in plans},
    )
    if kept is not None:
        found.save(kept / "exploration.json")
    return found


def _cost(contents: Contents, window: float, terms: CostTerms) -> MemoryCost:
    """Cost of a memory, whose window counts where its array is refreshed."""
    array, numbers = terms["array"], terms.get("numbers")
    held = (
        array if isinstance(array, Array) else array_named(array, terms.get("node"), numbers.arrays if numbers else ())
    )
    return memory_cost(contents, window=window if held.refreshed else None, **terms)


def _points(
    places: Sequence[DevicePoint], planned: Sequence[float | None], plans: Sequence[StoredPlan], terms: CostTerms
) -> tuple[tuple[ExplorationPoint, ...], tuple[str, ...]]:
    """Each device point with each plan for it, which of them are on the front, and what has no source."""
    costs: dict[tuple[str, float], MemoryCost] = {}
    points = []
    for place, p in zip(places, planned, strict=True):
        for plan in (one for one in plans if one.p == p):
            key = plan.name, place.window
            if key not in costs:
                costs[key] = _cost(plan.contents, place.window, terms)
            points.append(_point(place, plan, costs[key]))
    good = on_front([one.accuracy for one in points], [one.area for one in points], [one.power for one in points])
    missing = dict.fromkeys(part for cost in costs.values() for part in cost.missing)
    return tuple(replace(one, front=bool(front)) for one, front in zip(points, good, strict=True)), tuple(missing)


def _check_minimised(minimise: Minimised, cost: MemoryCost) -> None:
    """Raise `ArgumentError` if power is to be least, and no source has it or its refreshes."""
    lacking = [one for one in cost.missing if one.startswith("power of refresh")]
    if minimise == "power" and (lacking or not cost.known("power").top):
        raise ArgumentError(
            f"minimise must be 'area' or 'cells' for the array {cost.array}: no source has its power, got "
            "'power'; give figures of your own (numbers)"
        )


def _point(place: DevicePoint, plan: StoredPlan, cost: MemoryCost) -> ExplorationPoint:
    return ExplorationPoint(
        place.thickness,
        place.height,
        place.voltage,
        place.temperature,
        place.window,
        place.p,
        plan.p,
        "+".join(plan.hardening) or "none",
        "+".join(plan.decoders),
        plan.budget,
        plan.contents.share,
        plan.least_cells,
        plan.accuracy,
        plan.low,
        plan.high,
        cost.known("area").top,
        cost.known("power").top,
        cost.latency,
        plan.name,
        front=False,
    )
