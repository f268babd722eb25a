"""`qtaml.explore`: from oxide and refresh window to area, power and accuracy."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from qtaml import _checks
from qtaml.cost import Array, Contents, Decode, MemoryCost, Numbers, array_named, memory_cost
from qtaml.device import Preset
from qtaml.errors import ArgumentError
from qtaml.exploration.device_points import Device, DevicePoint, device_points
from qtaml.exploration.exploration import MINIMISED, Exploration, ExplorationPoint, Minimised, on_front
from qtaml.exploration.stored_plans import LADDER, PlanMaker, StoredPlan
from qtaml.measuring.metrics import Metric
from qtaml.model import Batches, Output
from qtaml.planning import Decoding
from qtaml.search import Study

_DECODERS: tuple[tuple[Decoding, ...], ...] = (("none", "table"),)
_BUDGETS = (0.25, 0.5, 0.75, 1.0)


def explore(
    model: nn.Module,
    calibration: Batches,
    *,
    metric: Metric,
    device: Device | Preset | str,
    array: str | Array,
    windows: Sequence[float],
    thicknesses: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    voltages: Sequence[float] | None = None,
    temperatures: Sequence[float] | None = None,
    decoders: Sequence[Sequence[Decoding]] = _DECODERS,
    budgets: Sequence[float] = _BUDGETS,
    accuracy: float | None = None,
    minimise: Minimised = "power",
    node: float | None = None,
    reads_per_second: float = 0.0,
    decode: Decode = "every_read",
    copy: str | Array | None = None,
    numbers: Numbers | None = None,
    ladder: Sequence[float] = LADDER,
    trials: int = 10,
    thorough: bool = False,
    folder: str | Path | None = None,
    seed: int = 0,
    output: Output | None = None,
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
        array: cells that hold the bits, by name (`qtaml.cost.ARRAYS`) or as a record.
        windows: s between refreshes.
        thicknesses: of the barrier, nm; that of the device if not given, as for the other axes.
        heights: of the barrier, eV.
        voltages: across the barrier, V.
        temperatures: K.
        decoders: sets of what may be needed to read, as `decoders` of `qtaml.design`.
        budgets: shares of a plain memory.
        accuracy: that the chosen point reaches; any if not given.
        minimise: what the chosen point has the least of: "power", "area" or "cells".
        node: nm, where the array has figures for several.
        reads_per_second: reads of all weights.
        decode: at "every_read", or once at "start_up" into a `copy`.
        copy: array of the decoded copy, at the same node.
        numbers: the user's own figures.
        ladder: flip probabilities that plans are made for.
        trials: reads of each plan.
        thorough: search each plan beyond first order too, in about three times the time.
        folder: where plans are kept, so that the same question goes on where it stopped.
        seed: of calibration and plans.
        output: the output that counts, as for `qtaml.design`.

    Returns:
        The points, their Pareto front, and the chosen one.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or no device point has a plan.
        ModelError: as `qtaml.design`.
        StoredFileError: if the folder cannot be written, or holds a damaged plan.

    Source:
        theory.md 10.1.

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
    places = device_points(
        device, windows, thicknesses=thicknesses, heights=heights, voltages=voltages, temperatures=temperatures
    )
    planned = _rungs(places, ladder)
    held = array if isinstance(array, Array) else array_named(array, node, numbers.arrays if numbers else ())

    def cost(contents: Contents, window: float) -> MemoryCost:
        return memory_cost(
            contents,
            array=held,
            window=window if held.refreshed else None,
            node=node,
            reads_per_second=reads_per_second,
            decode=decode,
            copy=copy,
            numbers=numbers,
        )

    # What is wrong with the terms is said before anything that takes long.
    _check_minimised(minimise, cost(Contents(1.0, 1.0, 1), 1.0))
    study = Study(model, calibration, seed=seed, output=output)
    maker = PlanMaker(study, model, metric, trials, None if folder is None else Path(folder), thorough)
    rates = {p for p in planned if p is not None}
    plans = maker.plans(rates, decoders, budgets)
    unaffordable = len(rates) * len(decoders) * len(budgets) - len(plans)
    points, missing = [], dict[str, None]()
    for place, p in zip(places, planned, strict=True):
        for plan in (one for one in plans if one.p == p):
            priced = cost(plan.plan.contents, place.window)
            missing |= dict.fromkeys(priced.missing)
            points.append(_point(place, plan, priced))
    good = on_front([one.accuracy for one in points], [one.area for one in points], [one.power for one in points])
    rows = tuple(replace(one, front=bool(front)) for one, front in zip(points, good, strict=True))
    found = Exploration(
        rows,
        accuracy,
        minimise,
        planned.count(None),
        unaffordable,
        tuple(missing),
        {one.name: one.plan for one in plans},
    )
    if folder is not None:
        found.save(Path(folder) / "exploration.json")
    return found


def _check_minimised(minimise: Minimised, cost: MemoryCost) -> None:
    """Raise `ArgumentError` if power is to be least, and no source has it or its refreshes."""
    lacking = [one for one in cost.missing if one.startswith("power of refresh")]
    if minimise == "power" and (lacking or not cost.known("power").top):
        raise ArgumentError(
            f"minimise must be 'area' or 'cells' for the array {cost.array}: no source has its power, got "
            "'power'; give figures of your own (numbers)"
        )


def _rungs(places: Sequence[DevicePoint], ladder: Sequence[float]) -> list[float | None]:
    """For each device point the next flip probability of the ladder above its own; None beyond the last."""
    rungs = sorted({_checks.flip_probability("ladder", p) for p in ladder})
    planned = [min((p for p in rungs if p >= one.p), default=None) for one in places]
    if not any(planned):
        raise ArgumentError(
            f"no device point has a flip probability up to {max(rungs, default=0.0):g}, the largest of the ladder: "
            f"the least is {min(one.p for one in places):.3g}; shorten the windows, or thicken the barrier"
        )
    return planned


def _point(place: DevicePoint, plan: StoredPlan, cost: MemoryCost) -> ExplorationPoint:
    return ExplorationPoint(
        place.thickness,
        place.height,
        place.voltage,
        place.temperature,
        place.window,
        place.p,
        plan.p,
        "+".join(plan.decoders),
        plan.budget,
        plan.plan.cells,
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
