"""The path of a codesign: the metric of each design over its cells, before the network was tuned for it and after."""

from qtaml._figures import Curve, Panel
from qtaml.showing.estimate_text import columns
from qtaml.training import Codesigned


def codesign_panel(path: Codesigned, metric: str = "metric") -> Panel:
    """The metric over the cells of each step, with intervals over reads.

    Args:
        path: what `qtaml.codesign` returned.
        metric: its name.
    """
    steps = sorted(path.steps, key=lambda step: step.plan.cells)
    cells = [step.plan.cells for step in steps]
    curves = [
        Curve("as designed", cells, *columns([step.untuned.reads_estimate for step in steps]), points=True),
        Curve("tuned", cells, *columns([step.tuned.reads_estimate for step in steps]), points=True),
    ]
    return Panel(curves, "Designs and networks tuned for them", "cells, as a share of a plain memory", metric)
