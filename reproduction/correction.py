"""Should the mean of every tensor be corrected? Always, never, or where it is measured to help (table 9)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.networks import NETWORKS
from qtaml.planning.settings import Decision
from qtaml.showing import percent
from reproduction.ablation import WAYS
from reproduction.experiment import Experiment, paper_tac

NAMES = ("SmallCNN", "WideCNN", "DeepCNN", "ResCNN", "Transformer")
OVERHEADS = (0.03, 0.125)
CHOICES = ("always", "never", "adaptive")


@dataclass(frozen=True)
class Row:
    """One choice for one network at one overhead.

    Attributes:
        network: its name.
        p: flip probability.
        overhead: overhead that the plans take, mean over the trained networks.
        way: how means are corrected: exactly, or by the paper's factor.
        choice: which tensors are corrected: "always" all, "never" any, "adaptive" those where it is measured to help.
        accuracy: mean over networks and reads, with its interval.
        adaptive_ahead: accuracy of the adaptive choice over this one, from reads under common random numbers, with its
            interval.
        clean: accuracy outside the leaking memory.
    """

    network: str
    p: float
    overhead: float
    way: str
    choice: str
    accuracy: Estimate
    adaptive_ahead: Estimate
    clean: float


def compute(
    laboratory: Laboratory, *, networks: Sequence[str] = NAMES, overheads: Sequence[float] = OVERHEADS
) -> tuple[Row, ...]:
    """Measure the three choices, with the same protected bits.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        overheads: shares of a plain memory.

    Returns:
        A row for each network, overhead, way and choice.

    Source:
        paper, section 5.5, C.1 and table 9.
    """
    asked = [(name, o, way, choice) for name in networks for o in overheads for way in WAYS for choice in CHOICES]
    found = laboratory.measure([_case(*one) for one in asked], "correcting means")
    by_choice = dict(zip(asked, found, strict=True))
    return tuple(
        Row(
            name,
            NETWORKS[name].p,
            measured.overhead,
            way,
            choice,
            measured.estimate,
            by_choice[name, overhead, way, "adaptive"].minus(measured),
            clean=measured.clean,
        )
        for (name, overhead, way, choice), measured in by_choice.items()
    )


def table(rows: Sequence[Row]) -> Table:
    """A row for each network, overhead and way; a column for each choice."""
    grid = captioned_table(
        title="Test accuracy (%) with the mean correction of all tensors, of none, and of those where it helps",
        caption="[95% interval over trainings and reads] of the difference under common random numbers",
    )
    for column in ("network", "overhead", "correction", *CHOICES, "adaptive - always", "adaptive - never"):
        grid.add_column(column, justify="left" if column in ("network", "correction") else "right", no_wrap=True)
    for start in range(0, len(rows), len(CHOICES)):
        own = rows[start : start + len(CHOICES)]
        accuracies = (f"{100 * row.accuracy.value:.1f}" for row in own)
        ahead = (percent(row.adaptive_ahead, "+") for row in own[:2])
        grid.add_row(own[0].network, f"{own[0].overhead:.1%}", own[0].way, *accuracies, *ahead)
    return grid


TABLE9 = Experiment("Mean correction: always, never, or where it helps", compute, table)


def _case(network: str, overhead: float, way: str, choice: str) -> Case:
    never = paper_tac(p=NETWORKS[network].p, overhead=overhead, correction="none")
    if choice == "never":
        return Case(network, never)
    correction, step = WAYS[way]
    decision: Decision = "always" if choice == "always" else "measured"
    return Case(network, replace(never, correction=correction, step=step, decision=decision))
