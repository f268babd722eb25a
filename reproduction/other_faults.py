"""Memories that fail in another way than planned for, as often on average (figure 7 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.faults import AnyFault, Clustered, Ramp, StaticCells, TensorVariation, Uniform
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.networks import NETWORKS
from qtaml.planning import UniformMsp
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from reproduction.experiment import Experiment, paper_tac

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "SmallCNN"
OVERHEAD = 0.05
"""The paper's number is lost; this is the budget of its other studies of this network."""

_P = NETWORKS[NETWORK].p
_PLANNED = "uniform, as planned"
_TAC, _DEAREST = "TAC", "Uniform-MSP 25%"

FAULTS: dict[str, AnyFault] = {
    _PLANNED: Uniform(_P),
    "top bits more often": Ramp(_P, most_significant=1.5),
    "low bits more often": Ramp(_P, most_significant=0.5),
    "cells vary, sigma 0.5": StaticCells.lognormal(_P, 0.5, classes=64),
    "cells vary, sigma 1": StaticCells.lognormal(_P, 1.0, classes=64),
    "clusters of 4": Clustered(_P, 4),
    "clusters of 16": Clustered(_P, 16),
    "tensors vary, sigma 0.5": TensorVariation(_P, 0.5),
}
"""How the memory fails. Cells and tensors that vary do so anew in every read: each read is of another chip."""


@dataclass(frozen=True)
class Row:
    """One way to store the network, read from a memory that fails in one way.

    Attributes:
        fault: a key of `FAULTS`.
        mean_rate: mean flip probability that the fault model states, over bit positions and stored values.
        method: how the network is stored.
        overhead: overhead that its plans take, mean over the trained networks.
        accuracy: mean over networks and reads, with its interval.
        tac_ahead: by how much TAC is better under the same fault model, paired read by read, with its interval.
        change: accuracy minus that of the same method under uniform faults, with its interval.
        clean: accuracy outside the leaking memory.
        p: flip probability planned for.
        network: name of the network.
    """

    fault: str
    mean_rate: float
    method: str
    overhead: float
    accuracy: Estimate
    tac_ahead: Estimate
    change: Estimate
    clean: float
    p: float = _P
    network: str = NETWORK


def compute(
    laboratory: Laboratory, *, faults: Sequence[str] = tuple(FAULTS), overhead: float = OVERHEAD
) -> tuple[Row, ...]:
    """Read plans made for uniform faults under every fault model.

    Args:
        laboratory: where to measure.
        faults: keys of `FAULTS`, in the order of the rows.
        overhead: share of a plain memory that TAC may take.

    Returns:
        A row for each fault model and method.

    Source:
        paper, section 5.7.
    """
    methods = _methods(overhead)
    # Uniform faults are what every change is from, asked or not.
    asked = [(fault, method) for fault in dict.fromkeys([_PLANNED, *faults]) for method in methods]
    cases = [_read_under(methods[method], fault) for fault, method in asked]
    found = dict(zip(asked, laboratory.measure(cases, "reading under other faults"), strict=True))
    return tuple(
        Row(
            fault,
            _mean_rate(FAULTS[fault]),
            method,
            measured.overhead,
            accuracy=measured.estimate,
            tac_ahead=found[fault, _TAC].minus(measured),
            change=measured.minus(found[_PLANNED, method]),
            clean=measured.clean,
        )
        for (fault, method), measured in found.items()
        if fault in faults
    )


def table(rows: Sequence[Row]) -> Table:
    """A row for each fault model."""
    methods = tuple(dict.fromkeys(row.method for row in rows))
    grid = captioned_table(
        title=f"{NETWORK}, planned for p = {rows[0].p:g} at {_of(rows, _TAC)[0].overhead:.1%} overhead: accuracy (%); "
        f"clean {100 * rows[0].clean:.1f}",
        caption="[95% interval over trainings and reads]; differences in points, paired",
    )
    grid.add_column("faults")
    for column in ("mean rate", *methods, f"TAC - {_DEAREST}", "TAC - TAC as planned"):
        grid.add_column(column, justify="right")
    for fault in dict.fromkeys(row.fault for row in rows):
        own = {row.method: row for row in rows if row.fault == fault}
        grid.add_row(
            fault,
            f"{own[_TAC].mean_rate:.4g}",
            *(percent(own[method].accuracy) for method in methods),
            percent(own[_DEAREST].tac_ahead, "+"),
            percent(own[_TAC].change, "+"),
        )
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy under each fault model, and what TAC gains and loses."""
    names = tuple(dict.fromkeys(row.fault for row in rows))
    places = range(len(names))
    methods = tuple(dict.fromkeys(row.method for row in rows))
    # Side by side, bars of methods do not hide each other.
    accuracies = [
        Curve(
            method,
            [place + 0.15 * (number - (len(methods) - 1) / 2) for place in places],
            *columns((row.accuracy for row in _of(rows, method)), 100),
            points=True,
        )
        for number, method in enumerate(methods)
    ]
    dearest, tac = _of(rows, _DEAREST), _of(rows, _TAC)
    differences = [
        Curve(
            f"minus {_DEAREST}",
            [place - 0.08 for place in places],
            *columns((row.tac_ahead for row in dearest), 100),
            points=True,
        ),
        Curve(
            "minus TAC as planned",
            [place + 0.08 for place in places],
            *columns((row.change for row in tac), 100),
            points=True,
        ),
    ]
    ahead = sum(row.tac_ahead.low > 0 for row in dearest)
    hardest = min(tac, key=lambda row: row.change.value)
    return panels_figure(
        [
            Panel(
                accuracies,
                f"{NETWORK} planned for uniform faults, p = {rows[0].p:g}",
                "how the memory fails",
                "test accuracy (%)",
                reference=("clean", 100 * rows[0].clean),
                legend="best",
                x_names=names,
            ),
            Panel(
                differences,
                f"TAC at {tac[0].overhead:.1%} overhead",
                "how the memory fails",
                "difference of accuracy (points)",
                reference=("none", 0.0),
                legend="best",
                x_names=names,
            ),
        ],
        caption=f"At equal mean rate TAC at {tac[0].overhead:.1%} overhead is ahead of {_DEAREST}, beyond the interval "
        f"of the difference, under {ahead} of {len(names)} fault models. Hardest for it: {hardest.fault} "
        f"({100 * hardest.change.value:+.1f} points). Bars: 95% over trainings and reads.",
    )


FIGURE7 = Experiment("Other faults than planned for, of equal mean rate", compute, table, draw)


def _methods(overhead: float) -> dict[str, Case]:
    return {
        _TAC: Case(NETWORK, paper_tac(p=_P, overhead=overhead)),
        "Uniform-MSP 12.5%": Case(NETWORK, UniformMsp(p=_P, protected_bits=1)),
        _DEAREST: Case(NETWORK, UniformMsp(p=_P, protected_bits=2)),
    }


def _read_under(case: Case, fault: str) -> Case:
    """Uniform faults are those planned for: a case that other experiments share."""
    return replace(case, read_fault=None if fault == _PLANNED else FAULTS[fault])


def _mean_rate(fault: AnyFault) -> float:
    rates = fault.rates(bits=8)
    return float(np.mean(rates.p01 + rates.p10))


def _of(rows: Sequence[Row], method: str) -> list[Row]:
    return [row for row in rows if row.method == method]
