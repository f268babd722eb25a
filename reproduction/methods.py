"""Ten ways to protect one network at the same price (figure 8 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.networks import NETWORKS
from qtaml.planning import (
    AnySettings,
    FixedPoint,
    Magnitude,
    RandomProtection,
    Sensitivity,
    UniformMsp,
    WeightScaling,
)
from qtaml.showing import Curve, Panel, cell, columns, panels_figure
from reproduction.experiment import Experiment, paper_tac

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "SmallCNN"
OVERHEADS = (0.02, 0.05, 0.125, 0.25)
_REFERENCE = "full TAC"
_DRAWN = {"uncompensated": "uncompensated, weight scaling", "weight scaling": None}
"""Names of curves where they are not those of the methods: two methods that store the same are one curve."""


@dataclass(frozen=True)
class Row:
    """One method at one overhead.

    Attributes:
        method: its name.
        overhead: overhead asked.
        spent: overhead that its plans take, mean over the trained networks.
        accuracy: mean over networks and reads, with its interval.
        behind_tac: by how much full TAC is better, from reads under common random numbers, with its interval.
        clean: accuracy outside the leaking memory.
        p: flip probability.
        network: name of the network.
    """

    method: str
    overhead: float
    spent: float
    accuracy: Estimate
    behind_tac: Estimate
    clean: float
    p: float
    network: str = NETWORK


def compute(laboratory: Laboratory, *, overheads: Sequence[float] = OVERHEADS) -> tuple[Row, ...]:
    """Plan, store and read the network by every method.

    Args:
        laboratory: where to measure.
        overheads: shares of a plain memory.

    Returns:
        A row for each method and overhead at which it exists.

    Source:
        paper, section 5.8.
    """
    asked = [(overhead, method, case) for overhead in overheads for method, case in _methods(overhead).items()]
    found = laboratory.measure([case for _, _, case in asked], "comparing methods")
    by_name = {(overhead, method): one for (overhead, method, _), one in zip(asked, found, strict=True)}
    return tuple(
        Row(
            method,
            overhead,
            measured.overhead,
            measured.estimate,
            by_name[overhead, _REFERENCE].minus(measured),
            clean=measured.clean,
            p=NETWORKS[NETWORK].p,
        )
        for (overhead, method), measured in by_name.items()
    )


def table(rows: Sequence[Row]) -> Table:
    """Accuracies by method and overhead."""
    overheads = sorted({row.overhead for row in rows})
    grid = captioned_table(
        title=f"Test accuracy (%) of {NETWORK} at p = {rows[0].p:g}; clean {100 * rows[0].clean:.1f}",
        caption="mean over trainings and reads, ± half a 95% interval, on these test samples",
    )
    grid.add_column("method")
    for overhead in overheads:
        grid.add_column(f"{overhead:.1%}", justify="right", no_wrap=True)
    for method in dict.fromkeys(row.method for row in rows):
        cells = {row.overhead: row for row in rows if row.method == method}
        grid.add_row(
            method,
            *(cell(cells[overhead].accuracy, ".1f", 100) if overhead in cells else "-" for overhead in overheads),
        )
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy over overhead, one curve for each method."""
    curves = []
    for method in dict.fromkeys(row.method for row in rows):
        label = _DRAWN.get(method, method)
        if label is None:
            continue
        own = [row for row in rows if row.method == method]
        curves.append(Curve(label, [100 * row.overhead for row in own], *columns((row.accuracy for row in own), 100)))
    panel = Panel(
        curves,
        title=f"{NETWORK}, {100 * rows[0].p:g}% of the bits read wrong",
        x_label="overhead: protected share of the bits (%)",
        y_label="test accuracy (%)",
        reference=("clean", 100 * rows[0].clean),
        legend="outside",
    )
    least = min(row.overhead for row in rows)
    ranked = sorted((row for row in rows if row.overhead == least), key=lambda row: -row.accuracy.value)
    best = "; ".join(f"{row.method} {100 * row.accuracy.value:.1f}%" for row in ranked[:4])
    return panels_figure(
        [panel],
        caption=f"With {least:.1%} more cells the best are: {best}. Weight scaling stores what the uncompensated "
        "memory stores, whose tensors fill their range anyway. Bars: 95% over trainings and reads.",
    )


FIGURE8 = Experiment("Ten ways to protect one network at the same price", compute, table, draw)


def _methods(overhead: float) -> dict[str, Case]:
    """The methods of section 5.8 that exist at an overhead."""
    p = NETWORKS[NETWORK].p
    methods: dict[str, AnySettings] = {
        "fixed point": FixedPoint(p=p),
        "weight scaling": WeightScaling(p=p),
        "uncompensated": UniformMsp(p=p, protected_bits=0),
        "mean correction only": paper_tac(p=p, overhead=0.0),
        "random": RandomProtection(p=p, overhead=overhead),
        "magnitude": Magnitude(p=p, overhead=overhead),
        "sensitivity": Sensitivity(p=p, overhead=overhead),
        "TAC, bits only": paper_tac(p=p, overhead=overhead, correction="none"),
        _REFERENCE: paper_tac(p=p, overhead=overhead),
    }
    bits = 8 * overhead
    if bits >= 1 and bits.is_integer():
        methods["Uniform-MSP"] = UniformMsp(p=p, protected_bits=bits)
    return {name: Case(NETWORK, settings) for name, settings in methods.items()}
