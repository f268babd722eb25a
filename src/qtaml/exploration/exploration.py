"""`Exploration`: devices and ways to store together, what each costs and how well the network does."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from qtaml import _checks, _files, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml.errors import ArgumentError
from qtaml.exploration.device_points import AXES
from qtaml.planning import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Minimised = Literal["power", "area", "cells"]
MINIMISED: tuple[Minimised, ...] = ("power", "area", "cells")
_MOST_CURVES = 9
_UNITS = {"thickness": "nm", "height": "eV", "voltage": "V", "temperature": "K", "window": "s"}


@dataclass(frozen=True)
class ExplorationPoint:
    """A device at one place of the grid, and one way to store the network in it.

    Attributes:
        thickness: of the barrier, nm; None where the device has none.
        height: of the barrier, eV.
        voltage: across it, V.
        temperature: K.
        window: s between refreshes.
        p: flip probability of the device.
        planned_p: the next p above for which there is a plan, at which accuracy was measured.
        hardening: what a bit may have of its own.
        decoders: what is needed to read.
        budget: share of a plain memory, or of its refreshes, that was allowed.
        cells: share of a plain memory that is used.
        least_cells: what no code or format can be below at the same predicted output error; None where cells are not
            all alike.
        accuracy: mean of the metric over reads at `planned_p`.
        accuracy_low: lower end of its interval over reads.
        accuracy_high: upper end.
        area: mm2, of all parts that have a source, at the lower array efficiency.
        power: W, of all parts that have a source.
        latency: class of the slowest decoder.
        plan: its name among the plans, and the end of its file's name.
        front: whether no other point is at least as good in accuracy, area and power, and better in one.
    """

    thickness: float | None
    height: float | None
    voltage: float | None
    temperature: float | None
    window: float
    p: float
    planned_p: float
    hardening: str
    decoders: str
    budget: float
    cells: float
    least_cells: float | None
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    area: float
    power: float
    latency: str
    plan: str
    front: bool


@dataclass(frozen=True)
class Exploration:
    """What `qtaml.explore` found.

    Attributes:
        points: each device that can be planned for, with each way to store the network.
        wanted: accuracy that was asked for; None if none was.
        minimise: what `chosen` has the least of.
        beyond: device points whose flip probability is above all that plans were made for; they are in no row.
        unaffordable: combinations of p, decoders and budget in which nothing can be stored; they are in no row.
        missing: parts of area and power that no source has, which are in no number.
        plans: by the name that points have for them.
        versions: versions of what made it.
    """

    points: tuple[ExplorationPoint, ...]
    wanted: float | None
    minimise: Minimised
    beyond: int
    unaffordable: int
    missing: tuple[str, ...]
    plans: dict[str, Plan] = field(repr=False, compare=False)
    versions: dict[str, str] = field(default_factory=_files.versions)

    @property
    def front(self) -> tuple[ExplorationPoint, ...]:
        """The Pareto front of accuracy, area and power, by falling accuracy."""
        return tuple(sorted((one for one in self.points if one.front), key=lambda one: -one.accuracy))

    @property
    def chosen(self) -> ExplorationPoint | None:
        """The point with the least of what is minimised, whose interval lies above the wanted accuracy; None if none.

        It is the luckiest of many: confirm it on other reads (`qtaml.design` with `accuracy=`).
        """
        wanted = -np.inf if self.wanted is None else self.wanted
        good = [one for one in self.points if one.accuracy_low >= wanted]
        return min(good, key=lambda one: (getattr(one, self.minimise), one.area, one.power), default=None)

    def plan(self, point: ExplorationPoint) -> Plan:
        """The plan of a point."""
        return self.plans[point.plan]

    def best(
        self, axes: Sequence[str], of: Minimised | Literal["accuracy"] = "accuracy"
    ) -> dict[tuple[Any, ...], float]:
        """For each place on some axes the largest accuracy, or the least cost of what reaches the wanted accuracy.

        Args:
            axes: such as ("thickness", "window").
            of: "accuracy", or a cost.

        Returns:
            By the values on the axes; NaN where nothing reaches the accuracy.

        Raises:
            ArgumentError: if there is no such axis.
        """
        found: dict[tuple[Any, ...], float] = {}
        for one in self.points:
            place = tuple(getattr(one, _checks.one_of("axes", axis, AXES)) for axis in axes)
            if of == "accuracy":
                found[place] = max(found.get(place, one.accuracy), one.accuracy)
            else:
                reached = self.wanted is None or one.accuracy_low >= self.wanted
                # The smaller of two, one of which may be NaN.
                value = float(getattr(one, of)) if reached else np.nan
                found[place] = float(np.fmin(found.get(place, np.nan), value))
        return found

    def accuracy_table(
        self, axes: Sequence[str] = ("thickness", "height", "window"), budget: float | None = None
    ) -> Table:
        """Accuracy over axes: a row for each place, the best way to store it, of one budget if that is given."""
        points = [one for one in self.points if budget is None or one.budget == budget]
        if not points:
            known = sorted({one.budget for one in self.points})
            raise ArgumentError(f"budget must be one of {known}, got {budget}")
        table = Table(
            *(f"{axis} ({_UNITS[_checks.one_of('axes', axis, AXES)]})" for axis in axes), "p", "cells", "accuracy"
        )
        best: dict[tuple[Any, ...], ExplorationPoint] = {}
        for one in points:
            place = tuple(getattr(one, axis) for axis in axes)
            if place not in best or (one.accuracy, -one.cells) > (best[place].accuracy, -best[place].cells):
                best[place] = one
        for place, one in best.items():
            interval = f"{one.accuracy:.4g} [{one.accuracy_low:.4g}, {one.accuracy_high:.4g}]"
            table.add_row(*map(_shown, place), f"{one.p:.3g}", f"{one.cells:.3g}", interval)
        return table

    def plot(self) -> "Figure":
        """Accuracy over each axis that was varied, the others as in the chosen point, by window; and the front.

        Needs `qtaml[plot]`.

        Raises:
            QtamlError: if matplotlib is not installed.
        """
        base = self.chosen or self.points[0]
        panels = [self._slice(axis, base) for axis in self._varied if axis != "window"]
        panels = panels or [self._slice("window", base)]
        front = _accuracies("front", [one.power for one in self.front], self.front, points_only=True)
        panels.append(Panel([front], "Pareto front", "power (W)", "accuracy", log_x=True, legend="none"))
        return panels_figure(panels)

    def _slice(self, axis: str, base: ExplorationPoint) -> Panel:
        """Best accuracy over an axis, a curve for each of at most nine windows."""
        fixed = [one for one in AXES if one not in (axis, "window")]
        found = [one for one in self.points if all(getattr(one, name) == getattr(base, name) for name in fixed)]
        windows = sorted({one.window for one in found}) if axis != "window" else [None]
        places = np.unique(np.linspace(0, len(windows) - 1, _MOST_CURVES).astype(int))
        curves = []
        for window in (windows[place] for place in places):
            best: dict[float, ExplorationPoint] = {}
            for one in (one for one in found if window in (None, one.window)):
                x = getattr(one, axis)
                best[x] = max(best.get(x, one), one, key=lambda one: one.accuracy)
            label = "best way to store" if window is None else f"{window:.3g} s"
            curves.append(_accuracies(label, sorted(best), [best[x] for x in sorted(best)]))
        return Panel(curves, f"over {axis}", f"{axis} ({_UNITS[axis]})", "accuracy", log_x=axis == "window")

    @property
    def _varied(self) -> list[str]:
        return [axis for axis in AXES if len({getattr(one, axis) for one in self.points}) > 1]

    def to_json(self) -> str:
        """Title, rows and what was asked, as `qtaml explore` reads them."""
        manifest = {
            "wanted": self.wanted,
            "minimise": self.minimise,
            "beyond": self.beyond,
            "unaffordable": self.unaffordable,
            "missing": self.missing,
        }
        chosen = None if self.chosen is None else asdict(self.chosen)
        record = {
            "title": "device and storage together",
            "rows": [asdict(one) for one in self.points],
            "manifest": {**manifest, "chosen": chosen, "versions": self.versions},
        }
        return json.dumps(record, indent=1, allow_nan=False) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the rows as JSON, atomically."""
        _files.write_text(path, self.to_json())

    def to_pandas(self) -> Any:
        """A data frame with a row for each point.

        Raises:
            QtamlError: if pandas is not installed.
        """
        return _tables.as_frame([asdict(one) for one in self.points])

    def __str__(self) -> str:
        return _tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def table(self, most: int = 12) -> Table:
        """The chosen point, and the front thinned to so many rows."""
        _checks.integer("most", most, 1)
        caption = f"{len(self.points):,} points; {self.beyond:,} device points have a higher p than any plan"
        if self.unaffordable:
            caption += f"; {self.unaffordable:,} plans did not fit their budget"
        if self.missing:
            caption += f"\nNo source, in no number: {', '.join(self.missing)}."
        if self.chosen is None:
            caption += f"\nNo point reaches an accuracy of {self.wanted}."
        else:
            caption += "\nFirst row: the chosen point. It is the luckiest of many; confirm it on other reads."
        table = _tables.captioned_table(f"device and storage: least {self.minimise}", caption)
        # An axis with one value is in the caption of whoever asked; it would only narrow the others.
        hardened = ["hardening"] if len({one.hardening for one in self.points}) > 1 else []
        columns = [*self._varied, *hardened, "p", "decoders", "cells", "least_cells", "accuracy", "area", "power"]
        units = {**_UNITS, "area": "mm2", "power": "W"}
        for column in columns:
            table.add_column(
                f"{column.replace('_', ' ')}" + (f" ({units[column]})" if column in units else ""), overflow="fold"
            )
        front = self.front
        shown = [front[place] for place in np.unique(np.linspace(0, len(front) - 1, most).astype(int))] if front else []
        for one in ([] if self.chosen is None else [self.chosen]) + shown:
            table.add_row(*(_shown(getattr(one, column)) for column in columns), end_section=one is self.chosen)
        return table


def _accuracies(
    label: str, x: Sequence[float], points: Sequence[ExplorationPoint], *, points_only: bool = False
) -> Curve:
    """Accuracies of points, with their intervals over reads."""
    mean, low, high = ([getattr(one, f"accuracy{end}") for one in points] for end in ("", "_low", "_high"))
    return Curve(label, x, mean, low, high, points=points_only)


def on_front(accuracy: Sequence[float], area: Sequence[float], power: Sequence[float]) -> NDArray[np.bool_]:
    """Which points no other is at least as good as in all three and better in one.

    Example:
        >>> on_front([0.9, 0.8, 0.9], [1.0, 0.5, 2.0], [1.0, 1.0, 1.0]).tolist()
        [True, True, False]
    """
    costs = np.stack([-np.asarray(accuracy), np.asarray(area), np.asarray(power)], axis=1)
    kept, first = np.unique(costs, axis=0, return_inverse=True)
    good = np.ones(len(kept), dtype=bool)
    for place, one in enumerate(kept):
        good[place] = not ((kept <= one).all(1) & (kept < one).any(1)).any()
    return np.asarray(good[first.ravel()])


def _shown(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.4g}"
