"""A design in a memory that fails otherwise than it was made for, against TAC and Uniform-MSP."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.faults import AnyFault, Uniform
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.networks import NETWORKS
from qtaml.planning import Design, UniformMsp
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from reproduction.experiment import Experiment, paper_tac
from reproduction.other_faults import FAULTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "SmallCNN"
P = NETWORKS[NETWORK].p
MEMORIES: dict[str, AnyFault] = {"half of p": Uniform(P / 2), "twice p": Uniform(2 * P), **FAULTS}
PLANS = {
    "design, every decoder, 0.5 cells": Case(NETWORK, Design(p=P, cells=0.5)),
    "design, table and majority, 0.75 cells": Case(
        NETWORK, Design(p=P, cells=0.75, decoders=("none", "table", "majority"))
    ),
    "TAC, 1.05 cells": Case(NETWORK, paper_tac(p=P, overhead=0.05)),
    "Uniform-MSP, 1.25 cells": Case(NETWORK, UniformMsp(p=P, protected_bits=2)),
}


@dataclass(frozen=True)
class Row:
    """One way to store the network, read from one memory.

    Attributes:
        memory: a key of `MEMORIES`.
        method: a key of `PLANS`; all are made for the uniform fault model.
        cells: what the plans take, as a share of a plain memory.
        accuracy: mean over trainings and reads, with its interval.
        lost: accuracy under the model planned for minus this one, with its interval.
        clean: accuracy outside the leaking memory.
        p: flip probability planned for.
    """

    memory: str
    method: str
    cells: float
    accuracy: Estimate
    lost: Estimate
    clean: float
    p: float = P


def compute(laboratory: Laboratory, *, memories: Sequence[str] = tuple(MEMORIES)) -> tuple[Row, ...]:
    """Read plans from memories that they were not made for.

    Args:
        laboratory: where to measure.
        memories: keys of `MEMORIES`.

    Returns:
        A row for each memory and method.

    Source:
        paper, sections 5.4 and 5.7, for its own methods.
    """
    asked = [(memory, method) for memory in memories for method in PLANS]
    found = laboratory.measure([_read_from(*one) for one in asked] + list(PLANS.values()), "reading other memories")
    planned = dict(zip(PLANS, found[len(asked) :], strict=True))
    return tuple(
        Row(
            memory,
            method,
            1 + measured.overhead,
            measured.estimate,
            planned[method].minus(measured),
            clean=measured.clean,
        )
        for (memory, method), measured in zip(asked, found, strict=False)
    )


def table(rows: Sequence[Row]) -> Table:
    """A row for each memory, a column for each method."""
    found = {(row.memory, row.method): percent(row.accuracy) for row in rows}
    grid = captioned_table(
        title=f"Test accuracy (%) of {NETWORK}, planned for {100 * P:g}% of the bits read wrong at random",
        caption="mean [95% interval over trainings and reads]",
    )
    grid.add_column("memory")
    methods = list(dict.fromkeys(row.method for row in rows))
    for method in methods:
        grid.add_column(method, justify="right")
    for memory in dict.fromkeys(row.memory for row in rows):
        grid.add_row(memory, *(found[memory, method] for method in methods))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy by memory, a series for each method."""
    memories = list(dict.fromkeys(row.memory for row in rows))
    curves = []
    for number, method in enumerate(dict.fromkeys(row.method for row in rows)):
        own = [row for row in rows if row.method == method]
        places = [memories.index(row.memory) + 0.15 * (number - 1.5) for row in own]
        curves.append(Curve(method, places, *columns((row.accuracy for row in own), 100), points=True))
    panel = Panel(
        curves,
        f"{NETWORK}, planned for {100 * P:g}% of the bits read wrong at random",
        "how the memory really fails",
        "test accuracy (%)",
        reference=("clean", 100 * rows[0].clean),
        x_names=memories,
        legend="outside",
    )
    return panels_figure(
        [panel],
        caption="Each plan is made for errors at random; what it loses elsewhere is how far it falls below its first "
        "neighbours. Block codes near capacity fail within a tenth of the error rate they are chosen for. "
        "Bars: 95% over trainings and reads.",
    )


OTHER_MEMORY = Experiment("Designs in a memory that fails otherwise than planned", compute, table, draw)


def _read_from(memory: str, method: str) -> Case:
    return replace(PLANS[method], read_fault=MEMORIES[memory])
