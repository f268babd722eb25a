"""What each part of TAC gains: nothing, mean correction, protected bits, both (table 3 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.formats import Correction, Step
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.planning import UniformMsp
from qtaml.showing import percent
from reproduction.experiment import Experiment, paper_tac

NETWORK = "SmallCNN"
OVERHEAD = 0.05
PROBABILITIES = (0.10, 0.20)

WAYS: dict[str, tuple[Correction, Step]] = {"exact": ("exact", "keep"), "paper": ("paper", "recompute")}
"""The exact mean correction, and the paper's factor 1/(1-2p) with its new quantisation step."""


@dataclass(frozen=True)
class Row:
    """One part of TAC at one flip probability.

    Attributes:
        p: flip probability.
        way: how means are corrected, a key of `WAYS`.
        part: what is done.
        overhead: overhead that its plans take, mean over the trained networks.
        accuracy: mean over networks and reads, with its interval.
        gain: accuracy over that of the row before, from reads under common random numbers, with its interval; None in
            the first row.
        clean: accuracy outside the leaking memory.
        network: name of the network.
    """

    p: float
    way: str
    part: str
    overhead: float
    accuracy: Estimate
    gain: Estimate | None
    clean: float
    network: str = NETWORK


def compute(
    laboratory: Laboratory, *, probabilities: Sequence[float] = PROBABILITIES, overhead: float = OVERHEAD
) -> tuple[Row, ...]:
    """Measure the parts of TAC alone and together.

    Args:
        laboratory: where to measure.
        probabilities: flip probabilities.
        overhead: share of a plain memory that protected bits may take.

    Returns:
        Four rows for each flip probability and way to correct means.

    Source:
        paper, section 5.2 and table 3.
    """
    asked = [(p, way, *part) for p in probabilities for way in WAYS for part in _parts(p, way, overhead)]
    found = laboratory.measure([case for _, _, _, case in asked], "taking TAC apart")
    rows = []
    for index, ((p, way, part, _), measured) in enumerate(zip(asked, found, strict=True)):
        gain = measured.minus(found[index - 1]) if index % 4 else None
        rows.append(Row(p, way, part, measured.overhead, measured.estimate, gain, clean=measured.clean))
    return tuple(rows)


def table(rows: Sequence[Row]) -> Table:
    """A row for each part."""
    grid = captioned_table(
        title=f"Test accuracy (%) of {NETWORK}; clean {100 * rows[0].clean:.1f}",
        caption="[95% interval over trainings and reads]; gains over the row before, under common random numbers",
    )
    for column in ("p", "correction", "part", "overhead", "accuracy", "gain"):
        grid.add_column(column, justify="left" if column in ("correction", "part") else "right", no_wrap=True)
    for index, row in enumerate(rows):
        grid.add_row(
            f"{row.p:g}", row.way, row.part, f"{row.overhead:.1%}", percent(row.accuracy), percent(row.gain, "+")
        )
        if index % 4 == 3:
            grid.add_section()
    return grid


TABLE3 = Experiment("What each part of TAC gains", compute, table)


def _parts(p: float, way: str, overhead: float) -> tuple[tuple[str, Case], ...]:
    correction, step = WAYS[way]
    mean_alone = paper_tac(p=p, overhead=0.0, correction=correction, step=step, decision="always")
    return (
        ("none", Case(NETWORK, UniformMsp(p=p, protected_bits=0))),
        ("mean correction only", Case(NETWORK, mean_alone)),
        ("bits only", Case(NETWORK, paper_tac(p=p, overhead=overhead, correction="none"))),
        ("both (TAC)", Case(NETWORK, paper_tac(p=p, overhead=overhead, correction=correction, step=step))),
    )
