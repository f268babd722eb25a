"""Figures and table cells from finished numbers. Computes nothing."""

from qtaml._kinds import guard_doors
from qtaml.report.estimate_text import cell, columns, percent
from qtaml.report.figures import Curve, HeatMap, Panel, panels_figure, save_figure

__all__ = ["Curve", "HeatMap", "Panel", "cell", "columns", "panels_figure", "percent", "save_figure"]

guard_doors(__name__)
