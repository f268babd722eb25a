"""What one looks at: figures, table cells, the report and the explorer, from finished numbers. Computes nothing."""

from qtaml._figures import Curve, HeatMap, Panel, panels_figure, save_figure
from qtaml._kinds import guard_doors
from qtaml.showing.codesign_curve import codesign_panel
from qtaml.showing.estimate_text import cell, columns, percent
from qtaml.showing.explorer_page import explorer_page, save_explorer
from qtaml.showing.measured_report import report
from qtaml.showing.report_page import report_page, save_report

__all__ = [
    "Curve",
    "HeatMap",
    "Panel",
    "cell",
    "codesign_panel",
    "columns",
    "explorer_page",
    "panels_figure",
    "percent",
    "report",
    "report_page",
    "save_explorer",
    "save_figure",
    "save_report",
]

guard_doors(__name__)
