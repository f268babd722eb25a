"""What people look at: figures from numbers. Computes nothing."""

from qtaml.report.figures import Curve, HeatMap, Panel, panels_figure, save_figure

__all__ = ["Curve", "HeatMap", "Panel", "panels_figure", "save_figure"]
