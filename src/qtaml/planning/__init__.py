"""From a trained network to a plan of how to store it."""

from qtaml.planning.allocation import ALLOCATIONS, Allocation, Choice, Options, allocate, allocated_error, error_bound
from qtaml.planning.baselines import uniform_msp
from qtaml.planning.correction import CorrectionTest, measure_correction
from qtaml.planning.plan import Plan, TensorPlan
from qtaml.planning.rounding import RoundingCost, rounding_cost, rounding_table
from qtaml.planning.tac import compensate, protection_options

__all__ = [
    "ALLOCATIONS",
    "Allocation",
    "Choice",
    "CorrectionTest",
    "Options",
    "Plan",
    "RoundingCost",
    "TensorPlan",
    "allocate",
    "allocated_error",
    "compensate",
    "error_bound",
    "measure_correction",
    "protection_options",
    "rounding_cost",
    "rounding_table",
    "uniform_msp",
]
