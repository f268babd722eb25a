"""The exact law of the weight error, the closed forms of the paper, and what they mean for the output.

`ErrorLaw` is the whole law of one weight from its bits and probabilities alone; the functions of the same names serve
any format and fault model. The closed forms of one weight are modules to be used by name: `closed_forms` (offset
binary, symmetric errors, all moments) and `encoding_forms` (mean and variance of each encoding, asymmetric errors).
"""

from qtaml.theory import closed_forms, encoding_forms
from qtaml.theory.allocation import ROUNDING_BOUND, saturation_ratio, water_filling
from qtaml.theory.bit_contributions import bit_weights, lyapunov_ratio, variance_shares
from qtaml.theory.error_law import ErrorLaw
from qtaml.theory.linear_response import output_error, predicted_error, tensor_scores, uniform_error
from qtaml.theory.rate_distortion import entropy_power, least_bits, least_error
from qtaml.theory.saturation import boundary_slopes, error_ratio, interior_range
from qtaml.theory.weight_error import characteristic_function, error_distribution, excess_kurtosis, skewness

__all__ = [
    "ROUNDING_BOUND",
    "ErrorLaw",
    "bit_weights",
    "boundary_slopes",
    "characteristic_function",
    "closed_forms",
    "encoding_forms",
    "entropy_power",
    "error_distribution",
    "error_ratio",
    "excess_kurtosis",
    "interior_range",
    "least_bits",
    "least_error",
    "lyapunov_ratio",
    "output_error",
    "predicted_error",
    "saturation_ratio",
    "skewness",
    "tensor_scores",
    "uniform_error",
    "variance_shares",
    "water_filling",
]
