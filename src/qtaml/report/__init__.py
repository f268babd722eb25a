"""Figures from results. Computes nothing."""

from qtaml.report.figures import Curve, Panel, panels_figure, save_figure

__all__ = ["Curve", "Panel", "panels_figure", "save_figure"]
