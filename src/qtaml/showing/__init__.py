"""Figures and table cells from finished numbers. Computes nothing."""

from qtaml._figures import Curve, HeatMap, Panel, panels_figure, save_figure
from qtaml._kinds import guard_doors
from qtaml.showing.estimate_text import cell, columns, percent
from qtaml.showing.yield_curve import yield_panel

__all__ = ["Curve", "HeatMap", "Panel", "cell", "columns", "panels_figure", "percent", "save_figure", "yield_panel"]

guard_doors(__name__)
