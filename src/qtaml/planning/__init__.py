"""From a trained network to a plan of how to store it."""

from qtaml.planning.allocation import ALLOCATIONS, Allocation, Choice, Options, allocate, allocated_error, error_bound
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
from qtaml.planning.designer import REAL_DECODERS, Decoding, Designer
from qtaml.planning.plan import Plan, Setting, TensorPlan
from qtaml.planning.prediction import Prediction, predict
from qtaml.planning.protection import Protected, protection_options, spread_protection
from qtaml.planning.rounding import RoundingCost, rounding_cost, rounding_table
from qtaml.planning.tac import compensate

__all__ = [
    "ALLOCATIONS",
    "REAL_DECODERS",
    "Allocation",
    "Choice",
    "CorrectionTest",
    "Decoding",
    "Designer",
    "Options",
    "Plan",
    "Prediction",
    "Protected",
    "RoundingCost",
    "Setting",
    "TensorPlan",
    "allocate",
    "allocated_error",
    "compensate",
    "error_bound",
    "fixed_point",
    "magnitude_protection",
    "measure_correction",
    "predict",
    "predict_corrections",
    "protection_options",
    "random_protection",
    "rounding_cost",
    "rounding_table",
    "sensitivity_gains",
    "sensitivity_protection",
    "spread_protection",
    "uniform_msp",
    "weight_scaling",
]
