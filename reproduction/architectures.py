"""The networks, and the least overhead at which each reaches 95% of its clean accuracy (tables 4, 5, figure 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from torch import nn

from qtaml._tables import captioned_table
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory, Measured
from qtaml.measuring import Estimate, trainings_interval
from qtaml.model import residual_weights
from qtaml.networks import NETWORKS
from qtaml.planning import UniformMsp, predict
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from reproduction.experiment import Experiment
from reproduction.least_overhead import OVERHEADS, RESOLUTION, TARGET, least_overheads
from reproduction.overhead_curve import MIXED, TAC, UNIFORM_MSP, case

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CNNS = ("SmallCNN", "WideCNN", "DeepCNN", "ResCNN")
NAMES = (*CNNS, "Transformer")
_KINDS: dict[type[nn.Module], str] = {
    nn.Embedding: "embedding",
    nn.Conv2d: "convolution",
    nn.MultiheadAttention: "attention",
    nn.Linear: "linear",
    nn.BatchNorm2d: "BatchNorm",
    nn.LayerNorm: "LayerNorm",
}


@dataclass(frozen=True)
class NetworkRow:
    """What a network is.

    Attributes:
        network: its name.
        weights: weights in the leaking memory.
        parameters: all parameters, those outside the memory too.
        tensors: stored tensors.
        residual_tensors: those of them that lie inside residual branches.
        structure: its layers.
        clean: accuracy, mean over trainings, with its interval.
    """

    network: str
    weights: int
    parameters: int
    tensors: int
    residual_tensors: int
    structure: str
    clean: Estimate


@dataclass(frozen=True)
class BudgetRow:
    """Overheads at which a network reaches the target, means over trainings of their logarithms, with intervals.

    Attributes:
        network: its name.
        p: flip probability.
        clean: accuracy outside the leaking memory, mean over the trained networks.
        target: accuracy to be reached, mean over the trained networks.
        tac: overhead of TAC.
        uniform_whole: overhead of Uniform-MSP at whole numbers of protected bits.
        uniform_mixed: the same with mixed k.
        factor_whole: how many times less TAC needs than Uniform-MSP at whole k, paired by training.
        factor_mixed: the same for mixed k.
        saturation_ratio: rho*, what theorem 4.6 predicts for the ratio of output errors at one budget.
        interior_from: least overhead at which rho* holds, mean over trainings; above 1 if nowhere.
    """

    network: str
    p: float
    clean: float
    target: float
    tac: Estimate
    uniform_whole: Estimate
    uniform_mixed: Estimate
    factor_whole: Estimate
    factor_mixed: Estimate
    saturation_ratio: Estimate
    interior_from: float


@dataclass(frozen=True)
class CurveRow:
    """Accuracy of a network at one overhead.

    Attributes:
        network: its name.
        p: flip probability.
        method: how it is stored.
        overhead: overhead that its plans take, mean over the trained networks.
        accuracy: mean over networks and reads, with its interval.
        clean: accuracy outside the leaking memory.
    """

    network: str
    p: float
    method: str
    overhead: float
    accuracy: Estimate
    clean: float


def table4(laboratory: Laboratory, *, networks: Sequence[str] = NAMES) -> tuple[NetworkRow, ...]:
    """Size, structure and clean accuracy of each network.

    Args:
        laboratory: where to train and measure.
        networks: keys of `qtaml.networks.NETWORKS`.

    Returns:
        A row for each network.

    Source:
        paper, section 5.5 and table 4; section 5.6.
    """
    plain = [Case(name, UniformMsp(p=NETWORKS[name].p, protected_bits=0)) for name in networks]
    rows = []
    for name, measured in zip(networks, laboratory.measure(plain, "reading without protection"), strict=True):
        model, data = laboratory.network(name, laboratory.training_seeds[0])
        plan = laboratory.plan(measured.records[0].task.case, laboratory.training_seeds[0])
        clean = trainings_interval([record.clean for record in measured.records])
        rows.append(
            NetworkRow(
                name,
                plan.weights,
                sum(parameter.numel() for parameter in model.parameters()),
                len(plan.tensors),
                len(residual_weights(model, data.calibration)),
                _structure(model),
                clean.within(0.0, 1.0),
            )
        )
    return tuple(rows)


def table5(
    laboratory: Laboratory, *, networks: Sequence[str] = NAMES, resolution: float = RESOLUTION
) -> tuple[BudgetRow, ...]:
    """Search the least overhead for 95% of clean accuracy, on the measured curve of each trained network.

    How they are searched says `least_overheads`.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        resolution: ratio of the ends of a bracket at which it is narrow enough, above 1.

    Returns:
        A row for each network.

    Source:
        paper, section 5.5 and table 5; rho* of theorem 4.6.
    """
    budgets = least_overheads(laboratory, networks, resolution)
    rows = []
    for name in networks:
        (measured,) = laboratory.measure([case(name, TAC, OVERHEADS[0])])
        tac, whole, mixed = (
            np.log([budgets[name, seed, method] for seed in laboratory.training_seeds])
            for method in (TAC, UNIFORM_MSP, MIXED)
        )
        logarithms = {
            "tac": tac,
            "uniform_whole": whole,
            "uniform_mixed": mixed,
            "factor_whole": whole - tac,
            "factor_mixed": mixed - tac,
        }
        estimates = {
            field: trainings_interval(values.tolist()).mapped(math.exp) for field, values in logarithms.items()
        }
        ratio, interior_from = _saturation(laboratory, name)
        rows.append(
            BudgetRow(
                name,
                NETWORKS[name].p,
                measured.clean,
                TARGET * measured.clean,
                saturation_ratio=ratio,
                interior_from=interior_from,
                **estimates,
            )
        )
    return tuple(rows)


def figure5(
    laboratory: Laboratory,
    *,
    networks: Sequence[str] = CNNS,
    overheads: Sequence[float] = OVERHEADS,
    resolution: float = RESOLUTION,
) -> tuple[CurveRow | BudgetRow, ...]:
    """Accuracy over overhead, and the budgets of `table5`.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        overheads: shares of a plain memory.
        resolution: as for `table5`.

    Returns:
        A row for each network, method and overhead, then one for each network as in `table5`.

    Source:
        paper, section 5.5 and figure 5.
    """
    asked = [(name, method, overhead) for name in networks for method in (TAC, MIXED) for overhead in overheads]
    found = laboratory.measure([case(*one) for one in asked], "storing at each overhead")
    return (
        *(_curve_row(name, method, one) for (name, method, _), one in zip(asked, found, strict=True)),
        *table5(laboratory, networks=networks, resolution=resolution),
    )


def show_networks(rows: Sequence[NetworkRow]) -> Table:
    """A row for each network."""
    grid = captioned_table("The networks", "[95% interval over trainings]; residual: tensors inside residual branches")
    for column in (
        "network",
        "weights",
        "parameters",
        "tensors",
        "in residual branches",
        "structure",
        "clean accuracy (%)",
    ):
        grid.add_column(column, justify="left" if column in ("network", "structure") else "right")
    for row in rows:
        sizes = (f"{row.weights:,}", f"{row.parameters:,}", str(row.tensors), str(row.residual_tensors))
        grid.add_row(row.network, *sizes, row.structure, percent(row.clean))
    return grid


def show_budgets(rows: Sequence[CurveRow | BudgetRow]) -> Table:
    """A row for each network: overheads, factors and rho*."""
    grid = captioned_table(
        f"Least overhead (%) for {TARGET:.0%} of clean accuracy",
        "geometric mean [95% interval over trainings]; rho* holds from the overhead in its brackets on",
    )
    for column in (
        "network",
        "p",
        "target (%)",
        "TAC",
        "Uniform-MSP, whole k",
        "mixed k",
        "times less",
        "times less, mixed k",
        "rho*",
    ):
        grid.add_column(column, justify="left" if column == "network" else "right")
    for row in rows:
        if isinstance(row, BudgetRow):
            grid.add_row(
                row.network,
                f"{row.p:g}",
                f"{100 * row.target:.1f}",
                *(f"{one.scaled(100):.3g}" for one in (row.tac, row.uniform_whole, row.uniform_mixed)),
                *(f"{one:.1f}" for one in (row.factor_whole, row.factor_mixed)),
                f"{row.saturation_ratio.value:.3f} ({row.interior_from:.0%})",
            )
    return grid


def draw(rows: Sequence[CurveRow | BudgetRow]) -> "Figure":
    """A panel of accuracy over overhead for each network, and two of the factors over rho*."""
    budgets = [row for row in rows if isinstance(row, BudgetRow)]
    curves = [row for row in rows if isinstance(row, CurveRow)]
    panels = [_accuracy_panel([row for row in curves if row.network == one.network], one) for one in budgets]
    for name, reading in (("factor_whole", "whole k"), ("factor_mixed", "mixed k")):
        factors = [Curve(row.network, [row.saturation_ratio.value], *columns([getattr(row, name)])) for row in budgets]
        means = [getattr(row, name).value for row in budgets]
        panels.append(
            Panel(
                factors,
                f"How many times less overhead than Uniform-MSP, {reading}",
                "saturation ratio rho*, smaller is more uneven",
                "overhead of Uniform-MSP over that of TAC",
                log_y=(min(1.0, *means), max(100.0, *means)),
                legend="best",
            )
        )
    least, most = (pick(budgets, key=lambda row: row.factor_whole.value) for pick in (min, max))
    mixed = [row.factor_mixed.value for row in budgets]
    return panels_figure(
        panels,
        columns=3,
        caption=f"To {TARGET:.0%} of clean accuracy (dashed) TAC needs from {least.factor_whole.value:.1f} times "
        f"({least.network}) to {most.factor_whole.value:.1f} times ({most.network}) less overhead than Uniform-MSP "
        f"at whole k, and from {min(mixed):.1f} to {max(mixed):.1f} times less if Uniform-MSP may give a part of the "
        "weights one bit more. Bars: 95% over trainings (and reads).",
    )


TABLE4 = Experiment("The networks", table4, show_networks)
TABLE5 = Experiment("Least overhead for 95% of clean accuracy", table5, show_budgets)
FIGURE5 = Experiment("Accuracy over overhead of each architecture", figure5, show_budgets, draw)


def _saturation(laboratory: Laboratory, name: str) -> tuple[Estimate, float]:
    """The saturation ratio over trainings, and the mean overhead from which it holds."""
    ratios, starts = [], []
    for seed in laboratory.training_seeds:
        model, data = laboratory.network(name, seed)
        prediction = predict(model, data.calibration, p=NETWORKS[name].p, seed=laboratory.seed)
        ratios.append(prediction.saturation_ratio)
        starts.append(prediction.interior[0] if prediction.interior else math.inf)
    return trainings_interval(ratios), float(np.mean(starts))


def _curve_row(name: str, method: str, measured: Measured) -> CurveRow:
    return CurveRow(name, NETWORKS[name].p, method, measured.overhead, measured.estimate, clean=measured.clean)


def _accuracy_panel(rows: Sequence[CurveRow], budget: BudgetRow) -> Panel:
    curves = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        curves.append(Curve(method, [100 * row.overhead for row in own], *columns((row.accuracy for row in own), 100)))
    return Panel(
        curves,
        f"{budget.network}, {100 * budget.p:g}% of the bits read wrong",
        "overhead: protected share of the bits (%)",
        "test accuracy (%)",
        reference=("target", 100 * budget.target),
        log_x=True,
    )


def _structure(model: nn.Module) -> str:
    # By type, not by class: the projection inside an attention is a linear layer of its own class.
    kinds = [_KINDS[type(module)] for module in model.modules() if type(module) in _KINDS]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in _KINDS.values() if kind in kinds)
