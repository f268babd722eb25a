"""Figures and table cells from finished numbers. Computes nothing."""

from qtaml._kinds import guard_doors
from qtaml.report.codesign_curve import codesign_panel
from qtaml.report.estimate_text import cell, columns, percent
from qtaml.report.figures import Curve, HeatMap, Panel, panels_figure, save_figure
from qtaml.report.yield_curve import yield_panel

__all__ = [
    "Curve",
    "HeatMap",
    "Panel",
    "cell",
    "codesign_panel",
    "columns",
    "panels_figure",
    "percent",
    "save_figure",
    "yield_panel",
]

guard_doors(__name__)
