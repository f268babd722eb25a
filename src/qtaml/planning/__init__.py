"""From a trained network to a plan of how to store it: TAC and the baselines."""

from qtaml._kinds import guard_doors
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
from qtaml.planning.base_settings import GivenOutput, Settings
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
from qtaml.planning.design_settings import REAL_DECODERS, Decoding, Design
from qtaml.planning.keywords import MEASURED, calibrated, setting_help, setting_parameters, takes
from qtaml.planning.measured import curvature_for
from qtaml.planning.plan import Plan
from qtaml.planning.plan_parts import Confirmation, TensorPlan
from qtaml.planning.prediction import Prediction, predict, savings
from qtaml.planning.protection import Protected, protection_options, spread_protection
from qtaml.planning.settings import (
    AnySettings,
    ByHand,
    FixedPoint,
    Magnitude,
    Predict,
    RandomProtection,
    Sensitivity,
    Tac,
    UniformMsp,
    WeightScaling,
)
from qtaml.planning.side_values import side_cells
from qtaml.planning.tac import compensate, tac

__all__ = [
    "ALLOCATIONS",
    "MEASURED",
    "REAL_DECODERS",
    "Allocation",
    "AnySettings",
    "ByHand",
    "Choice",
    "Confirmation",
    "CorrectionTest",
    "Decoding",
    "Design",
    "FixedPoint",
    "GivenOutput",
    "Magnitude",
    "Options",
    "Plan",
    "Predict",
    "Prediction",
    "Protected",
    "RandomProtection",
    "Sensitivity",
    "Settings",
    "Tac",
    "TensorPlan",
    "UniformMsp",
    "WeightScaling",
    "allocate",
    "allocated_error",
    "calibrated",
    "cell_price",
    "compensate",
    "curvature_for",
    "error_bound",
    "fixed_point",
    "magnitude_protection",
    "measure_correction",
    "predict",
    "predict_corrections",
    "protection_options",
    "random_protection",
    "savings",
    "sensitivity_gains",
    "sensitivity_protection",
    "setting_help",
    "setting_parameters",
    "side_cells",
    "spread_protection",
    "tac",
    "takes",
    "uniform_msp",
    "weight_scaling",
]

guard_doors(__name__)
