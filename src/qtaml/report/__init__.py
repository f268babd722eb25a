"""Figures and pages from results. Computes nothing."""

from qtaml.report.figures import Curve, HeatMap, Panel, panels_figure, save_figure
from qtaml.report.reproduction import Finding, Part, reproduction_page

__all__ = ["Curve", "Finding", "HeatMap", "Panel", "Part", "panels_figure", "reproduction_page", "save_figure"]
