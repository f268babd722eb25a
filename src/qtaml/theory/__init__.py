"""What the formulas say: the exact law of the weight error, water filling, and the limits of Shannon.

`ErrorLaw` is the whole law of one weight from its bits and probabilities alone; the functions of the same names serve
any format and fault model. `qtaml.theory.paper` has the closed forms that are written in the paper.
"""

from qtaml._kinds import guard_doors
from qtaml.theory.allowable_rates import allowable_rates
from qtaml.theory.capacity import capacity, weak_cell_capacity
from qtaml.theory.error_law import ErrorLaw
from qtaml.theory.float_law import FloatMoments, bit_shares, float_error_moments
from qtaml.theory.rate_distortion import entropy_power, least_bits, least_error
from qtaml.theory.saturation import boundary_slopes, error_ratio, interior_range, saturation_ratio
from qtaml.theory.scores import tensor_scores
from qtaml.theory.trellis_law import neighbour_covariance
from qtaml.theory.water_filling import ROUNDING_BOUND, water_filling
from qtaml.theory.weight_error import characteristic_function, error_distribution, excess_kurtosis, skewness

__all__ = [
    "ROUNDING_BOUND",
    "ErrorLaw",
    "FloatMoments",
    "allowable_rates",
    "bit_shares",
    "boundary_slopes",
    "capacity",
    "characteristic_function",
    "entropy_power",
    "error_distribution",
    "error_ratio",
    "excess_kurtosis",
    "float_error_moments",
    "interior_range",
    "least_bits",
    "least_error",
    "neighbour_covariance",
    "saturation_ratio",
    "skewness",
    "tensor_scores",
    "water_filling",
    "weak_cell_capacity",
]

guard_doors(__name__)
