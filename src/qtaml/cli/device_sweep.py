"""Flip probability of one kind of cell over the thickness of its barrier and over time."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from qtaml import _checks, _files
from qtaml.device import Cell, Preset, sweep
from qtaml.errors import ArgumentError
from qtaml.showing import Curve, Panel, panels_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Smallest and largest p in the picture: the curves fall by hundreds of decades.
_SHOWN = (1e-12, 2.0)


@dataclass(frozen=True)
class Point:
    """Flip probabilities of the cell at one thickness and one window.

    Attributes:
        thickness: of the barrier (of the varied layer of a stack), nm.
        window: time between refreshes, s.
        p: flip probability, averaged over the spread of thickness from cell to cell.
        p_without_spread: flip probability of a cell of just this thickness.
    """

    thickness: float
    window: float
    p: float
    p_without_spread: float


@dataclass(frozen=True)
class DeviceSweep:
    """Flip probability over thickness at one window, and over time at one thickness.

    Attributes:
        name: name of the preset.
        technology: what the cell is.
        over_thickness: points at the preset's window.
        over_time: points at the preset's thickness.
        source: where the parameters come from.
        caution: what the model leaves out.
        versions: versions of what made the sweep.
    """

    name: str
    technology: str
    over_thickness: tuple[Point, ...]
    over_time: tuple[Point, ...]
    source: str
    caution: str
    versions: dict[str, str] = field(default_factory=_files.versions)

    def to_json(self) -> str:
        """The sweep as JSON."""
        return _files.to_json(self)


def compute(
    preset: Preset,
    *,
    thickness: tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
    points: int = 61,
) -> DeviceSweep:
    """Sweep a preset's cell.

    Args:
        preset: the cell, and its window of interest.
        thickness: from and to, nm; half a nanometre to either side if not given.
        window: from and to, s; three decades to either side if not given.
        points: of each sweep.

    Returns:
        The sweep.

    Raises:
        ArgumentError: if a range is empty or not above 0, or there are fewer than 2 points.

    Source:
        theory.md 2.4 to 2.6.
    """
    _checks.integer("points", points, 2)
    cell = _barrier_cell(preset)
    nominal = cell.barrier.thickness
    # Half a nanometre less would leave nothing of the thinnest barriers.
    thin, thick = _range("thickness", thickness or (max(nominal - 0.5, nominal / 2), nominal + 0.5))
    short, long = _range("window", window or (preset.window / 1e3, preset.window * 1e3))
    return DeviceSweep(
        preset.name,
        preset.technology,
        _points(cell, np.linspace(thin, thick, points), np.array([preset.window])),
        # By factors: windows span decades.
        _points(cell, np.array([nominal]), np.geomspace(short, long, points)),
        preset.source,
        preset.caution,
    )


def table(result: DeviceSweep) -> Table:
    """A few points of both sweeps, evenly spaced."""
    grid = Table(title=f"{result.name}: {result.technology}", caption=result.caution or None, title_justify="left")
    for column in ("thickness (nm)", "window (s)", "p", "p without spread"):
        grid.add_column(column, justify="right")
    for rows in (result.over_thickness, result.over_time):
        # The picture and the JSON have them all.
        for row in rows[:: max(1, len(rows) // 6)]:
            numbers = (row.thickness, row.window, row.p, row.p_without_spread)
            grid.add_row(*(f"{number:.4g}" for number in numbers))
        grid.add_section()
    return grid


def draw(result: DeviceSweep) -> "Figure":
    """P over thickness, and p over time, with and without the spread from cell to cell."""
    thickness, window = result.over_time[0].thickness, result.over_thickness[0].window
    return panels_figure(
        [
            Panel(
                _curves([row.thickness for row in result.over_thickness], result.over_thickness),
                f"{result.name} after {window:.3g} s",
                "barrier thickness (nm)",
                "flip probability",
                log_y=_SHOWN,
            ),
            Panel(
                _curves([row.window for row in result.over_time], result.over_time),
                f"{result.name}, {thickness:.3g} nm",
                "time since refresh (s)",
                "flip probability",
                log_x=True,
                log_y=_SHOWN,
            ),
        ]
    )


def _range(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    low, high = (_checks.positive(name, end) for end in ends)
    if low >= high:
        raise ArgumentError(f"{name} must be a range from a smaller to a larger value, got {low:g} to {high:g}")
    return low, high


def _barrier_cell(preset: Preset) -> Cell:
    if not isinstance(preset.cell, Cell):
        raise ArgumentError(
            f"name must be a preset with one barrier, whose thickness can be varied, got {preset.name!r}; "
            "`qtaml device leakage` shows it over time and temperature"
        )
    return preset.cell


def _points(cell: Cell, thickness: np.ndarray, window: np.ndarray) -> tuple[Point, ...]:
    bare = replace(cell, thickness_spread=0.0)
    # sweep returns logarithms, since p may lie below the smallest float.
    spread, alone = (np.exp(sweep(one, thickness, window)).ravel() for one in (cell, bare))
    places = [(d, t) for d in thickness for t in window]
    return tuple(
        Point(float(d), float(t), float(p), float(q)) for (d, t), p, q in zip(places, spread, alone, strict=True)
    )


def _curves(x: list[float], rows: tuple[Point, ...]) -> list[Curve]:
    return [
        Curve("one cell", x, [row.p_without_spread for row in rows]),
        Curve("mean over cells", x, [row.p for row in rows]),
    ]
