"""Every table and figure that can be reproduced, by name."""

from typing import Any

from qtaml.experiments import ablation, architectures, correction, error_law, methods, overhead_curve
from qtaml.experiments.experiment import Experiment

CATALOG: dict[str, Experiment[Any]] = {
    "figure1": error_law.FIGURE1,
    "table2": overhead_curve.TABLE2,
    "figure2": overhead_curve.FIGURE2,
    "table3": ablation.TABLE3,
    "table4": architectures.TABLE4,
    "table5": architectures.TABLE5,
    "figure5": architectures.FIGURE5,
    "figure8": methods.FIGURE8,
    "table9": correction.TABLE9,
}
