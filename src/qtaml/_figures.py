"""Figures of results: curves with intervals, and heat maps. Computes nothing."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qtaml import _checks, _files
from qtaml.errors import ArgumentError, QtamlError, StoredFileError

# For types alone: matplotlib is an extra, and slow to import.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# By the place of a curve in its panel, so that the legend of one panel serves others of the same curves.
COLORS = ("#6c757d", "#d1495b", "#0b6e99", "#edae49", "#4a7c59", "#8e6c8a", "#e07a5f", "#3d405b", "#2a9d8f")


@dataclass(frozen=True)
class Curve:
    """A line, with an interval at each point if it has one.

    Attributes:
        label: name in the legend.
        x: abscissae.
        mean: ordinates.
        low: lower ends of their intervals; none drawn if empty.
        high: upper ends of their intervals.
        points: markers that no line joins.
        steps: a staircase, each ordinate holding back to the abscissa before; intervals are a band around it.
        band: a smooth line without markers; intervals are a band around it.
    """

    label: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    points: bool = field(default=False, kw_only=True)
    steps: bool = field(default=False, kw_only=True)
    band: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its curves.

    Attributes:
        curves: at most nine; one of a single point is drawn as a marker.
        title: what the panel shows.
        x_label: name of the abscissa, with its unit.
        y_label: name of the ordinate, with its unit.
        reference: label and height of a dashed horizontal line.
        log_x: logarithmic abscissa.
        log_y: limits of a logarithmic ordinate; linear if not given.
        limits: limits of a linear ordinate; those of the curves if not given.
        legend: place of the legend, "outside" for right of the axes, "none" where another panel's serves; one that
            suits the ordinate if not given.
        x_names: names of the abscissae 0, 1, 2, ..., in place of their numbers.
    """

    curves: Sequence[Curve]
    title: str
    x_label: str
    y_label: str
    reference: tuple[str, float] | None = None
    log_x: bool = False
    log_y: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    legend: Literal["best", "center", "upper left", "lower right", "outside", "none"] | None = None
    x_names: Sequence[str] = ()


@dataclass(frozen=True)
class HeatMap:
    """One pair of axes with a coloured field for each pair of names.

    Attributes:
        values: what the colours show: for each name of the ordinate, a number for each name of the abscissa.
        texts: text of each field, in the same order.
        x_names: names of the columns, from the left.
        y_names: names of the rows, from the bottom.
        title: what the panel shows.
        x_label: name of the abscissa, with its unit.
        y_label: name of the ordinate, with its unit.
        color_label: name of the values, with their unit.
    """

    values: Sequence[Sequence[float]]
    texts: Sequence[Sequence[str]]
    x_names: Sequence[str]
    y_names: Sequence[str]
    title: str
    x_label: str
    y_label: str
    color_label: str


def panels_figure(panels: Sequence[Panel | HeatMap], *, columns: int | None = None, caption: str = "") -> "Figure":
    """Draw panels side by side, in rows.

    Args:
        panels: one or more.
        columns: panels in a row; all if not given.
        caption: a sentence or two below the panels.

    Returns:
        A matplotlib figure.

    Raises:
        QtamlError: if matplotlib is not installed.
    """
    try:
        # Not pyplot, which would keep every figure and choose a window system.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise QtamlError("pictures need matplotlib: pip install 'qtaml[plot]'") from error
    if not panels:
        raise ArgumentError("panels must be one or more, got none")
    if columns is not None:
        _checks.integer("columns", columns, 1)
    columns = min(columns or len(panels), len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(7.5 if columns == 1 else 5.5 * columns, 4.5 * rows), layout="constrained")
    for place, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place)
        if isinstance(panel, HeatMap):
            _draw_fields(axes, panel)
        else:
            _draw(axes, panel)
    if caption:
        # supxlabel does not wrap; about 12 characters of this size fit an inch.
        characters = int(12 * figure.get_figwidth())
        figure.supxlabel(textwrap.fill(caption, characters), x=0.01, ha="left", fontsize=9.5, color="0.25")
    return figure


def save_figure(figure: "Figure", path: str | Path) -> Path:
    """Write a figure in the format of the file's ending (.png if it has none), by an atomic rename.

    Returns:
        The path of the picture.

    Raises:
        StoredFileError: if it cannot be written there, or not in that format.
    """
    if not hasattr(figure, "savefig"):
        raise ArgumentError(f"figure must be a figure of matplotlib, got {figure!r}")
    path = Path(path)
    if not path.name:
        raise ArgumentError(f"path must name a file, got {str(path)!r}")
    path = path if path.suffix else path.with_name(f"{path.name}.png")
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise StoredFileError(f"cannot write {path}: a picture must end in one of .{', .'.join(sorted(known))}")
    # A temporary file with an atomic rename: an interrupted run leaves the older picture whole.
    with _files.new_file(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return path


def _draw(axes: "Axes", panel: Panel) -> None:
    if panel.reference:
        axes.axhline(panel.reference[1], color="0.4", linestyle="--", linewidth=1, label=panel.reference[0])
    for curve, color in zip(panel.curves, COLORS, strict=False):
        if curve.steps or curve.band:
            shape = "steps-pre" if curve.steps else "default"
            axes.plot(curve.x, curve.mean, drawstyle=shape, color=color, label=curve.label)
            axes.fill_between(
                curve.x,
                curve.low,
                curve.high,
                step="pre" if curve.steps else None,
                color=color,
                alpha=0.2,
                linewidth=0,
            )
        elif curve.low:
            below = [mean - low for mean, low in zip(curve.mean, curve.low, strict=True)]
            above = [high - mean for mean, high in zip(curve.mean, curve.high, strict=True)]
            style = "o-" if len(curve.x) > 1 and not curve.points else "o"
            axes.errorbar(
                curve.x, curve.mean, (below, above), fmt=style, color=color, capsize=3, ms=5, label=curve.label
            )
        else:
            axes.plot(curve.x, curve.mean, "o" if curve.points else "-", color=color, label=curve.label)
    if panel.x_names:
        axes.set_xticks(range(len(panel.x_names)), panel.x_names, rotation=35, ha="right", rotation_mode="anchor")
    if panel.log_x:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        # Where a power of ten is in view, labels of the ticks between would overlap.
        axes.tick_params(axis="x", which="minor", labelbottom=high < 10 * low)
    if panel.log_y:
        # Masked: an interval that reaches 0 would otherwise be drawn at a tiny number of matplotlib's choice.
        axes.set_ylim(*panel.log_y)
        axes.set_yscale("log", nonpositive="mask")
    if panel.limits:
        axes.set_ylim(*panel.limits)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axes.set_title(panel.title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.legend == "outside":
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    elif panel.legend != "none":
        axes.legend(frameon=False, loc=panel.legend or ("lower right" if not panel.log_y else "best"))


def _draw_fields(axes: "Axes", panel: HeatMap) -> None:
    image = axes.imshow(panel.values, origin="lower", aspect="auto", cmap="viridis")
    low, high = image.get_clim()
    for row, (values, texts) in enumerate(zip(panel.values, panel.texts, strict=True)):
        for column, (value, text) in enumerate(zip(values, texts, strict=True)):
            # Viridis is bright at its upper end.
            color = "black" if value > (low + high) / 2 else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=color)
    axes.set_xticks(range(len(panel.x_names)), panel.x_names)
    axes.set_yticks(range(len(panel.y_names)), panel.y_names)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axes.set_title(panel.title, loc="left", fontsize=11)
    bar = axes.figure.colorbar(image, ax=axes)
    bar.set_label(panel.color_label)
