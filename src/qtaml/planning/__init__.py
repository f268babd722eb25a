"""From a trained network to a plan of how to store it: TAC and the baselines."""

from qtaml.planning.allocation import (
    ALLOCATIONS,
    Allocation,
    Choice,
    Options,
    allocate,
    allocated_error,
    cell_price,
    error_bound,
)
from qtaml.planning.baselines import (
    fixed_point,
    magnitude_protection,
    random_protection,
    sensitivity_gains,
    sensitivity_protection,
    uniform_msp,
    weight_scaling,
)
from qtaml.planning.correction import CorrectionTest, measure_correction, predict_corrections
from qtaml.planning.plan import Plan, Setting, TensorPlan, side_cells
from qtaml.planning.prediction import Prediction, predict
from qtaml.planning.protection import Protected, protection_options, spread_protection
from qtaml.planning.tac import compensate

__all__ = [
    "ALLOCATIONS",
    "Allocation",
    "Choice",
    "CorrectionTest",
    "Options",
    "Plan",
    "Prediction",
    "Protected",
    "Setting",
    "TensorPlan",
    "allocate",
    "allocated_error",
    "cell_price",
    "compensate",
    "error_bound",
    "fixed_point",
    "magnitude_protection",
    "measure_correction",
    "predict",
    "predict_corrections",
    "protection_options",
    "random_protection",
    "sensitivity_gains",
    "sensitivity_protection",
    "side_cells",
    "spread_protection",
    "uniform_msp",
    "weight_scaling",
]
