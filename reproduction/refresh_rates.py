"""Refresh power of the digit networks: one rate for all bits, or rates that the search chooses for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.device import preset
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.planning import Decoding, Design, UniformMsp
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from reproduction.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORKS = ("SmallCNN", "WideCNN", "DeepCNN", "ResCNN")
DEVICE, WINDOW = "gaincell_2t_sion", 20e-6
PLAIN_RATES = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5)
COMMON_RATES, CELLS = (1.0, 1.5, 2.0), (0.15, 0.2, 0.3)
BUDGETS = (0.15, 0.2, 0.25, 0.3, 0.4)
LOSS = 0.01
"""Accuracy that may be lost."""
_PLAIN, _COMMON, _OWN = "plain words, one rate", "designs, one rate", "designs, rates of their own"
_DECODERS: tuple[Decoding, ...] = ("none", "table")


@dataclass(frozen=True)
class Row:
    """One way to store and refresh a network.

    Attributes:
        network: its name.
        way: plain words or designs, at one rate or at rates of their own.
        refreshes: in those of plain 8-bit words, each 20 us.
        accuracy: mean over trainings and reads, with its interval.
        clean: accuracy outside the leaking memory.
    """

    network: str
    way: str
    refreshes: float
    accuracy: Estimate
    clean: float


def compute(
    laboratory: Laboratory,
    *,
    networks: Sequence[str] = NETWORKS,
    plain_rates: Sequence[float] = PLAIN_RATES,
    common_rates: Sequence[float] = COMMON_RATES,
    cells: Sequence[float] = CELLS,
    budgets: Sequence[float] = BUDGETS,
) -> tuple[Row, ...]:
    """Read each network as stored and refreshed in each way.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        plain_rates: common rates of plain words, in refreshes each 20 us.
        common_rates: common rates of designs.
        cells: budgets of these, as shares of a plain memory.
        budgets: of designs with rates of their own, as shares of a plain memory's refreshes.

    Returns:
        A row for each network, way, and rate or budget.

    Source:
        theory.md 10.2.
    """
    asked = [
        (network, *one) for network in networks for one in _ways(network, plain_rates, common_rates, cells, budgets)
    ]
    found = laboratory.measure([case for *_, case in asked], "reading refreshed memories")
    return tuple(
        # Of plain cells refreshes are cells x rate; with rates of their own the budget counts them.
        Row(network, way, rate if way == _OWN else rate * (1 + one.overhead), one.estimate, one.clean)
        for (network, way, rate, _), one in zip(asked, found, strict=True)
    )


def _ways(
    network: str,
    plain_rates: Sequence[float],
    common_rates: Sequence[float],
    cells: Sequence[float],
    budgets: Sequence[float],
) -> Iterator[tuple[str, float, Case]]:
    """Way, rate or budget, and case."""
    p = {rate: preset(DEVICE).flip_probability(WINDOW / rate) for rate in (*plain_rates, *common_rates)}
    for rate in plain_rates:
        yield _PLAIN, rate, Case(network, UniformMsp(p=p[rate], protected_bits=0))
    for rate in common_rates:
        for share in cells:
            yield _COMMON, rate, Case(network, Design(p=p[rate], cells=share, decoders=_DECODERS))
    for budget in budgets:
        asked = Design(
            device=DEVICE,
            window=WINDOW,
            hardening=("refresh",),
            price="refreshes",
            cells=budget,
            decoders=_DECODERS,
        )
        yield _OWN, budget, Case(network, asked)


def table(rows: Sequence[Row]) -> Table:
    """For each network and way the least refreshes that lose no more than a point."""
    grid = captioned_table(
        title=f"Least refreshes within {100 * LOSS:g} point of clean accuracy, {DEVICE}",
        caption="in those of plain 8-bit words each 20 us; accuracy (%): mean [95% interval over trainings and reads]. "
        "Each is the luckiest of a grid.",
    )
    for column in ("network", "clean", "way", "refreshes", "accuracy", "saved"):
        grid.add_column(column, justify="left" if column in ("network", "way") else "right")
    for network in dict.fromkeys(row.network for row in rows):
        least = {way: _least(rows, network, way) for way in (_PLAIN, _COMMON, _OWN)}
        for way, row in least.items():
            if row is None:
                grid.add_row(network, "", way, "-", "none", "")
                continue
            plain = least[_PLAIN]
            saved = "" if plain is None or row is plain else f"{1 - row.refreshes / plain.refreshes:.0%}"
            shown = (f"{100 * row.clean:.1f}", way, f"{row.refreshes:.2f}", percent(row.accuracy), saved)
            grid.add_row(network, *shown, end_section=way == _OWN)
    return grid


def _least(rows: Sequence[Row], network: str, way: str) -> Row | None:
    good = [one for one in rows if (one.network, one.way) == (network, way) and one.accuracy.value >= one.clean - LOSS]
    return min(good, key=lambda one: one.refreshes, default=None)


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy over refreshes: a panel for each network, a series for each way."""
    panels = []
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        curves = []
        for way in (_PLAIN, _COMMON, _OWN):
            of_way = sorted((row for row in own if row.way == way), key=lambda row: row.refreshes)
            accuracies = columns((row.accuracy for row in of_way), 100)
            curves.append(Curve(way, [row.refreshes for row in of_way], *accuracies, points=True))
        reference = ("clean", 100 * own[0].clean)
        names = (network, "refreshes", "test accuracy (%)")
        panels.append(Panel(curves, *names, log_x=True, reference=reference, legend="outside"))
    return panels_figure(panels, caption="Refreshes in those of plain 8-bit words. Bars: 95% over trainings and reads.")


REFRESH_RATES = Experiment("Refresh rates that the search chooses for each bit", compute, table, draw)
