"""A memory that fails more or less often than planned for (figure 4 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.faults import Uniform
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.planning import UniformMsp
from qtaml.showing import Curve, HeatMap, Panel, cell, columns, panels_figure, percent
from reproduction.experiment import Experiment, paper_tac

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "SmallCNN"
OVERHEAD = 0.05
PROBABILITIES = (0.02, 0.05, 0.10, 0.15, 0.20)

_TAC, _UNIFORM = "TAC", "Uniform-MSP 25%"


@dataclass(frozen=True)
class Row:
    """One plan, read at one flip probability.

    Attributes:
        method: how the network is stored.
        p_calibrated: flip probability planned for; None for Uniform-MSP, which does not depend on it.
        p_deployed: flip probability when read.
        overhead: overhead that its plans take, mean over the trained networks.
        accuracy: mean over networks and reads, with its interval.
        ahead: accuracy over that of Uniform-MSP at 25% when read alike, paired read by read, with its interval.
        clean: accuracy outside the leaking memory.
        network: name of the network.
    """

    method: str
    p_calibrated: float | None
    p_deployed: float
    overhead: float
    accuracy: Estimate
    ahead: Estimate
    clean: float
    network: str = NETWORK


def compute(
    laboratory: Laboratory, *, probabilities: Sequence[float] = PROBABILITIES, overhead: float = OVERHEAD
) -> tuple[Row, ...]:
    """Read plans for each flip probability at each of them.

    Args:
        laboratory: where to measure.
        probabilities: flip probabilities, planned for and read at.
        overhead: share of a plain memory that TAC may take.

    Returns:
        A row for each pair of flip probabilities, and one of Uniform-MSP for each read at.

    Source:
        paper, section 5.4.
    """
    asked: list[tuple[float | None, float]] = [*product(probabilities, probabilities)]
    asked += [(None, deployed) for deployed in probabilities]
    found = laboratory.measure([_case(*pair, overhead) for pair in asked], "reading under mismatch")
    measured_at = dict(zip(asked, found, strict=True))
    return tuple(
        Row(
            _UNIFORM if calibrated is None else _TAC,
            calibrated,
            deployed,
            measured.overhead,
            accuracy=measured.estimate,
            ahead=measured.minus(measured_at[None, deployed]),
            clean=measured.clean,
        )
        for (calibrated, deployed), measured in measured_at.items()
    )


def worst_calibration(rows: Sequence[Row]) -> tuple[Row, ...]:
    """For each flip probability read at, the row of the plan of TAC that is least accurate there.

    It is chosen after the reads, so that its mean lies rather too low than too high: no favour to TAC.
    """
    tac = [row for row in rows if row.method == _TAC]
    at = {p: [row for row in tac if row.p_deployed == p] for p in dict.fromkeys(row.p_deployed for row in tac)}
    return tuple(min(own, key=lambda row: row.accuracy.value) for own in at.values())


def table(rows: Sequence[Row]) -> Table:
    """A row for each flip probability planned for, and what is left of the worst."""
    deployed = tuple(dict.fromkeys(row.p_deployed for row in rows))
    worst = worst_calibration(rows)
    grid = captioned_table(
        title=f"{NETWORK}, TAC at {worst[0].overhead:.1%} overhead: accuracy (%); clean {100 * rows[0].clean:.1f}",
        caption="[95% interval over trainings and reads]; differences in points, paired",
    )
    grid.add_column("planned for p")
    for p in deployed:
        grid.add_column(f"read at {p:g}", justify="right")
    for calibrated in dict.fromkeys(row.p_calibrated for row in rows):
        own = [row for row in rows if row.p_calibrated == calibrated]
        grid.add_row(_UNIFORM if calibrated is None else f"{calibrated:g}", *(percent(row.accuracy) for row in own))
    grid.add_row(f"worst TAC - {_UNIFORM}", *(percent(row.ahead, "+") for row in worst))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy of every pair of flip probabilities; TAC with the worst plan against Uniform-MSP."""
    tac, uniform = ([row for row in rows if row.method == method] for method in (_TAC, _UNIFORM))
    calibrated = tuple(dict.fromkeys(row.p_calibrated for row in tac))
    lines = [[row for row in tac if row.p_calibrated == p] for p in calibrated]
    worst, overhead = worst_calibration(rows), f"{tac[0].overhead:.1%}"
    percents = [100 * row.p_deployed for row in worst]
    curves = {
        f"TAC {overhead}, planned for the right p": [row for row in tac if row.p_calibrated == row.p_deployed],
        f"TAC {overhead}, worst plan": worst,
        _UNIFORM: uniform,
    }
    least = min(tac, key=lambda row: row.accuracy.value)
    ahead = sum(row.ahead.low > 0 for row in worst)
    return panels_figure(
        [
            HeatMap(
                [columns((row.accuracy for row in line), 100)[0] for line in lines],
                [[cell(row.accuracy, ".1f", 100).replace(" ±", "\n±") for row in line] for line in lines],
                x_names=[f"{p:g}" for p in percents],
                y_names=[f"{100 * p:g}" for p in calibrated if p is not None],
                title=f"{NETWORK}, TAC at {overhead} overhead",
                x_label="bits read wrong (%)",
                y_label="bits read wrong, as planned for (%)",
                color_label="test accuracy (%)",
            ),
            Panel(
                [
                    # Side by side, bars do not hide each other.
                    Curve(label, [x + shift for x in percents], *columns((row.accuracy for row in line), 100))
                    for shift, (label, line) in zip((0.15, 0.0, -0.15), curves.items(), strict=True)
                ],
                "The worst plan for each p against Uniform-MSP",
                "bits read wrong (%)",
                "test accuracy (%)",
                reference=("clean", 100 * rows[0].clean),
                legend="best",
            ),
        ],
        caption=f"The worst pair is planned for {100 * (least.p_calibrated or 0):g}% and read at "
        f"{100 * least.p_deployed:g}%: {100 * least.accuracy.value:.1f}%. With the worst plan TAC is ahead of "
        f"{_UNIFORM}, beyond the interval of the difference, at {ahead} of {len(worst)} rates. ±, bars: 95% "
        "over trainings and reads.",
    )


FIGURE4 = Experiment("A memory that fails more or less often than planned for", compute, table, draw)


def _case(calibrated: float | None, deployed: float, overhead: float) -> Case:
    """What is read as planned, or at the network's own p, is a case that other experiments share."""
    if calibrated is None:
        return Case(NETWORK, UniformMsp(p=deployed, protected_bits=2))
    return Case(NETWORK, paper_tac(p=calibrated, overhead=overhead), Uniform(deployed))
