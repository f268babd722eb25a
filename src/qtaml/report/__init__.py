"""Tables and figures from results. Computes nothing."""

from qtaml.report.figures import Curve, curves_figure, save_figure

__all__ = ["Curve", "curves_figure", "save_figure"]
