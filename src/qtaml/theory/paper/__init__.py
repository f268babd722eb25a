"""The closed forms of the paper, against which tests check the machinery of qtaml; nothing else in it needs them.

`closed_forms` (offset binary, symmetric errors, all moments) and `encoding_forms` (mean and variance of each encoding,
asymmetric errors) are modules to be used by name.
"""

from qtaml._kinds import guard_doors
from qtaml.theory.paper import closed_forms, encoding_forms
from qtaml.theory.paper.bit_contributions import bit_weights, lyapunov_ratio, variance_shares
from qtaml.theory.paper.linear_response import output_error, predicted_error, uniform_error

__all__ = [
    "bit_weights",
    "closed_forms",
    "encoding_forms",
    "lyapunov_ratio",
    "output_error",
    "predicted_error",
    "uniform_error",
    "variance_shares",
]

guard_doors(__name__)
