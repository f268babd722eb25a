"""A plan as a figure: what a weight of each tensor costs, and how much of the error it makes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtaml._figures import Curve, Panel, panels_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 40
"""Tensors whose names fit below an axis."""


def plan_figure(tensors: Sequence[tuple[str, float, float | None]]) -> "Figure":
    """Draw tensors of a plan; of many, those with most of the error, or else the first.

    Args:
        tensors: name, cells of a weight, and share of the predicted output error of each, None where that is not known.

    Raises:
        QtamlError: if matplotlib is not installed.
    """
    chosen = sorted(range(len(tensors)), key=lambda place: tensors[place][2] or 0.0, reverse=True)[:_MOST]
    shown = [tensors[place] for place in sorted(chosen)]
    names, places = [_short(name) for name, _, _ in shown], [float(place) for place in range(len(shown))]

    def panel(title: str, unit: str, heights: list[float]) -> Panel:
        limits = (0.0, 1.1 * max(heights) or 1.0)
        curve = Curve(unit, places, heights, points=True)
        return Panel([curve], title, "tensor", unit, limits=limits, legend="none", x_names=names)

    panels = [panel("What a weight costs", "cells of a weight", [cells for _, cells, _ in shown])]
    if shares := [100 * share for _, _, share in shown if share is not None]:
        panels.append(panel("Where the predicted error comes from", "share of the output error (%)", shares))
    return panels_figure(panels)


def _short(name: str) -> str:
    # Dollar signs begin formulas in matplotlib.
    short = name if len(name) <= 24 else f"{name[:11]}...{name[-10:]}"
    return short.replace("$", r"\$")
