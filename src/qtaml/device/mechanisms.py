"""Which mechanism sets the flip probability: each alone beside all, as a table and over time and temperature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from rich.table import Table

from qtaml import _checks, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml.device._arrays import Array
from qtaml.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Smallest and largest p of a picture: curves fall by hundreds of decades.
DRAWN = (1e-12, 2.0)

# Of a curve: cells with two spreads take a quarter of a second for each.
_POINTS = 25


class LeakingCell(Protocol):
    """What is asked of a cell here: a part of `RetentionCell`."""

    temperature: float

    @property
    def idle(self) -> tuple[str, ...]:
        """Mechanisms that alone lose no bit."""

    def mechanisms(self) -> Mapping[str, Self]:
        """The cell with each mechanism alone."""

    def log_flip_probability(self, window: float) -> float:
        """Logarithm of p."""

    def flip_probability(self, window: Any, temperature: float | None = None) -> Any:
        """P."""

    def window_for(self, p: float) -> float:
        """Window of p, s."""

    def times_around(self, windows: tuple[float, float] | None = None, points: int = 121) -> Array:
        """Windows of a picture, s."""


@dataclass(frozen=True)
class Mechanism:
    """One way in which a cell loses its bit.

    Attributes:
        name: what leaks.
        cell: the cell in which only that is at work.
        log_p: ln of its flip probability; exact where p underflows.
    """

    name: str
    cell: LeakingCell
    log_p: float

    @property
    def retention(self) -> float:
        """Window at which it alone has lost half of the cells, s."""
        return self.cell.window_for(0.5)


@dataclass(frozen=True)
class Leakage:
    """What loses the bits of a cell within a window.

    Attributes:
        cell: the cell, at the temperature that was asked for.
        window: s.
        log_p: ln of the flip probability of all mechanisms together.
        mechanisms: each alone, the one that sets p first.

    Source:
        theory.md 2.9.
    """

    cell: LeakingCell
    window: float
    log_p: float
    mechanisms: tuple[Mechanism, ...]

    @property
    def dominant(self) -> str:
        """Name of the mechanism with the largest flip probability of its own."""
        return self.mechanisms[0].name

    def table(self) -> Table:
        """A row for each mechanism, and one for all."""
        table = Table(
            "mechanism",
            "p alone",
            "half lost after (s)",
            title=f"after {self.window:.3g} s at {self.cell.temperature:g} K, {self.dominant} sets p",
            title_justify="left",
        )
        for one in self.mechanisms:
            table.add_row(one.name, _shown(one.log_p), f"{one.retention:.3g}")
        for name in self.cell.idle:
            table.add_row(name, "0", "never")
        table.add_row("all", _shown(self.log_p), f"{self.cell.window_for(0.5):.3g}")
        return table

    def __str__(self) -> str:
        """The table as text."""
        return _tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def plot(
        self, windows: tuple[float, float] | None = None, temperatures: tuple[float, float] = (250.0, 400.0)
    ) -> "Figure":
        """P of each mechanism alone and of all, over time and over temperature (needs `qtaml[plot]`).

        Args:
            windows: from and to, s; three decades to either side of where p is 0.1 if not given.
            temperatures: from and to, K.

        Raises:
            ArgumentError: if a range is empty or not above 0.
            QtamlError: if matplotlib is not installed.
        """
        low, high = (_checks.positive("temperatures", end) for end in temperatures)
        if low >= high:
            raise ArgumentError(f"temperatures must be a range from a lower to a higher one, got {low:g} to {high:g}")
        times, kelvins = self.cell.times_around(windows, _POINTS), np.linspace(low, high, _POINTS)
        cells = {**self.cell.mechanisms(), "all": self.cell}
        over_time = [
            Curve(name, times.tolist(), np.asarray(cell.flip_probability(times)).tolist())
            for name, cell in cells.items()
        ]
        over_temperature = [
            Curve(name, kelvins.tolist(), [cell.flip_probability(self.window, float(one)) for one in kelvins])
            for name, cell in cells.items()
        ]
        return panels_figure(
            [
                Panel(
                    over_time,
                    f"at {self.cell.temperature:g} K",
                    "time since refresh (s)",
                    "flip probability",
                    log_x=True,
                    log_y=DRAWN,
                ),
                Panel(
                    over_temperature, f"after {self.window:.3g} s", "temperature (K)", "flip probability", log_y=DRAWN
                ),
            ]
        )


def compare(cell: LeakingCell, window: float) -> Leakage:
    """What `RetentionCell.leakage` returns of a cell, at its own temperature."""
    time = _checks.positive("window", window)
    found = [Mechanism(name, one, one.log_flip_probability(time)) for name, one in cell.mechanisms().items()]
    ordered = tuple(sorted(found, key=lambda one: -one.log_p))
    return Leakage(cell, time, cell.log_flip_probability(time), ordered)


def _shown(log_p: float) -> str:
    """A probability that may underflow."""
    return f"{np.exp(log_p):.3g}" if log_p > -700 else f"1e{log_p / np.log(10):.0f}"
