"""Accuracy over overhead and over flip probability: nothing, Uniform-MSP and TAC (table 2 and figure 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.laboratory.cases import Case
from qtaml.laboratory.cells_needed import case_of_paper
from qtaml.laboratory.laboratory import Laboratory, covered
from qtaml.measuring import Estimate
from qtaml.networks import NETWORKS
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from reproduction.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "SmallCNN"
BITS = 8
OVERHEADS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.10, 0.125, 0.1875, 0.25, 0.375, 0.5)
PROBABILITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
UNIFORM_MSP, MIXED, TAC, UNCOMPENSATED = "Uniform-MSP", "Uniform-MSP, mixed k", "TAC", "uncompensated"


@dataclass(frozen=True)
class Row:
    """One method at one overhead and flip probability.

    Attributes:
        over: what the panel goes over, "overhead" or "p".
        method: its name. Uniform-MSP exists at whole numbers of protected bits; with mixed k, part of the weights of
            each tensor has one bit more.
        overhead: overhead asked.
        spent: overhead that its plans take, mean over the trained networks.
        p: flip probability.
        accuracy: mean over networks and reads, with its interval.
        clean: accuracy outside the leaking memory.
        trainings: trained networks; of a single one, the interval is over reads and test samples.
        network: name of the network.
    """

    over: Literal["overhead", "p"]
    method: str
    overhead: float
    spent: float
    p: float
    accuracy: Estimate
    clean: float
    trainings: int
    network: str = NETWORK


def over_overhead(
    laboratory: Laboratory, *, overheads: Sequence[float] = OVERHEADS, p: float = NETWORKS[NETWORK].p
) -> tuple[Row, ...]:
    """Plan, store and read the network for every overhead and method.

    Args:
        laboratory: where to measure.
        overheads: shares of a plain memory.
        p: flip probability.

    Returns:
        A row for each method and overhead at which it exists.

    Source:
        paper, section 5.2 and table 2.
    """
    asked = [("overhead", UNCOMPENSATED, 0.0, p)]
    for overhead in overheads:
        if overhead > 0:
            asked += [("overhead", MIXED, overhead, p)]
            asked += [("overhead", UNIFORM_MSP, overhead, p)] * (BITS * overhead).is_integer()
        asked += [("overhead", TAC, overhead, p)]
    return _measure(laboratory, asked)


def figure2(
    laboratory: Laboratory, *, overheads: Sequence[float] = OVERHEADS, probabilities: Sequence[float] = PROBABILITIES
) -> tuple[Row, ...]:
    """The rows over overhead, and accuracy over flip probability at a few overheads.

    Args:
        laboratory: where to measure.
        overheads: shares of a plain memory.
        probabilities: flip probabilities.

    Returns:
        The rows of both panels.

    Source:
        paper, section 5.2 and figure 2.
    """
    methods = ((TAC, 0.05), (UNIFORM_MSP, 0.25), (UNIFORM_MSP, 0.125), (UNCOMPENSATED, 0.0))
    asked = [("p", method, overhead, p) for method, overhead in methods for p in probabilities]
    return over_overhead(laboratory, overheads=overheads) + _measure(laboratory, asked)


def table(rows: Sequence[Row]) -> Table:
    """A row for each overhead, a column for each method."""
    shown = [row for row in rows if row.over == "overhead"]
    found = {(row.method, row.overhead): percent(row.accuracy) for row in shown}
    grid = captioned_table(
        title=f"Test accuracy (%) of {NETWORK} at p = {shown[0].p:g}; clean {100 * shown[0].clean:.1f}",
        caption=f"mean [95% interval over {covered(shown[0].trainings)}]; between multiples of {1 / BITS:.1%}, "
        "Uniform-MSP protects one bit more of a part of the weights (mixed k)",
    )
    # At whole k both readings of Uniform-MSP are the same: one column shows them all.
    methods = {UNCOMPENSATED: "uncompensated", MIXED: "Uniform-MSP", TAC: "TAC"}
    grid.add_column("overhead", justify="right")
    for name in methods.values():
        grid.add_column(name, justify="right", no_wrap=True)
    for overhead in sorted({row.overhead for row in shown}):
        grid.add_row(f"{overhead:.2%}", *(found.get((method, overhead), "-") for method in methods))
    return grid


def table_of_figure2(rows: Sequence[Row]) -> Table:
    """A row for each flip probability, a column for each method and overhead."""
    shown = [row for row in rows if row.over == "p"]
    found = {(_label(row), row.p): percent(row.accuracy) for row in shown}
    labels = tuple(dict.fromkeys(map(_label, shown)))
    grid = captioned_table(
        title=f"Test accuracy (%) of {NETWORK}; clean {100 * shown[0].clean:.1f}",
        caption="mean [95% interval]",
    )
    grid.add_column("p", justify="right")
    for label in labels:
        grid.add_column(label, justify="right", no_wrap=True)
    for p in sorted({row.p for row in shown}):
        grid.add_row(f"{p:g}", *(found[label, p] for label in labels))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy over overhead, and over flip probability if there are such rows."""
    over_overhead, over_p = ([row for row in rows if row.over == over] for over in ("overhead", "p"))
    panels = [
        _panel(
            over_overhead,
            [row.method for row in over_overhead],
            [100 * row.spent for row in over_overhead],
            f"{NETWORK}, {100 * over_overhead[0].p:g}% of the bits read wrong",
            "overhead: protected share of the bits (%)",
        )
    ]
    caption = "TAC puts its protected bits where the output feels them; Uniform-MSP buys the same for every tensor."
    if over_p:
        labels = [_label(row) for row in over_p]
        x = [100 * row.p for row in over_p]
        panels.append(_panel(over_p, labels, x, "At fixed overheads", "bits read wrong (%)", log_x=True))
        caption += " Right: how much worse a memory each of them bears."
    return panels_figure(panels, caption=f"{caption} Bars: 95% over {covered(rows[0].trainings)}.")


TABLE2 = Experiment("Accuracy over overhead: nothing, Uniform-MSP and TAC", over_overhead, table)
FIGURE2 = Experiment("Accuracy over overhead and over flip probability", figure2, table_of_figure2, draw)


def case(network: str, method: str, overhead: float, p: float | None = None) -> Case:
    """How a method of this module stores a network; `p` is that of the paper if not given."""
    return case_of_paper(network, method == TAC, overhead, p)


def _measure(laboratory: Laboratory, asked: Sequence[tuple[str, str, float, float]]) -> tuple[Row, ...]:
    cases = [case(NETWORK, method, overhead, p) for _, method, overhead, p in asked]
    return tuple(
        Row(
            "p" if over == "p" else "overhead",
            method,
            overhead,
            measured.overhead,
            p,
            measured.estimate,
            clean=measured.clean,
            trainings=len(measured.records),
        )
        for (over, method, overhead, p), measured in zip(
            asked, laboratory.measure(cases, "storing at each overhead"), strict=True
        )
    )


def _panel(
    rows: Sequence[Row], labels: Sequence[str], x: Sequence[float], title: str, x_label: str, log_x: bool = False
) -> Panel:
    curves = []
    for label in dict.fromkeys(labels):
        chosen = [index for index, own in enumerate(labels) if own == label]
        estimates = columns((rows[i].accuracy for i in chosen), 100)
        curves.append(Curve(label, [x[i] for i in chosen], *estimates, points=label == UNIFORM_MSP))
    clean = ("clean", 100 * rows[0].clean)
    return Panel(curves, title, x_label, "test accuracy (%)", reference=clean, log_x=log_x, legend="best")


def _label(row: Row) -> str:
    return f"{row.method}, {row.overhead:.1%}" if row.overhead else row.method
