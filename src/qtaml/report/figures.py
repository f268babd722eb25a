"""Pictures of results. Computes nothing."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtaml.errors import QtamlError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = ("#6c757d", "#d1495b", "#0b6e99", "#edae49", "#4a7c59", "#8e6c8a")


@dataclass(frozen=True)
class Curve:
    """A line with an interval at each point.

    Attributes:
        label: name in the legend.
        x: abscissae.
        mean: ordinates.
        low: lower ends of their intervals.
        high: upper ends of their intervals.
    """

    label: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def curves_figure(
    curves: Sequence[Curve], *, title: str, x_label: str, y_label: str, reference: tuple[str, float] | None = None
) -> "Figure":
    """Draw curves with their intervals.

    Args:
        curves: at most six; a curve of one point is drawn as a marker.
        title: what the picture shows.
        x_label: name of the abscissa, with its unit.
        y_label: name of the ordinate, with its unit.
        reference: label and height of a dashed horizontal line.

    Returns:
        A matplotlib figure.

    Raises:
        QtamlError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise QtamlError("pictures need matplotlib: pip install 'qtaml[plot]'") from error
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    if reference:
        axes.axhline(reference[1], color="0.4", linestyle="--", linewidth=1, label=reference[0])
    for curve, color in zip(curves, COLORS, strict=False):
        below = [mean - low for mean, low in zip(curve.mean, curve.low, strict=True)]
        above = [high - mean for mean, high in zip(curve.mean, curve.high, strict=True)]
        style = "o-" if len(curve.x) > 1 else "o"
        axes.errorbar(curve.x, curve.mean, (below, above), fmt=style, color=color, capsize=3, ms=5, label=curve.label)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure


def save_figure(figure: "Figure", path: str | Path) -> Path:
    """Write a figure, in the format of the file's ending, all at once; returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    try:
        figure.savefig(temporary, dpi=150)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
