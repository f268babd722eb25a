"""What happens to stored bits. A new fault model is one subclass of `FaultModel`, and one more name in `AnyFault`."""

from qtaml.faults.base import BitErrorRates, FaultModel, Residual, WordLaw
from qtaml.faults.choice import AnyFault, given
from qtaml.faults.independent import Asymmetric, PerBit, Uniform
from qtaml.faults.sampler import error_mask, flip, flip_asymmetric, word_dtype

__all__ = [
    "AnyFault",
    "Asymmetric",
    "BitErrorRates",
    "FaultModel",
    "PerBit",
    "Residual",
    "Uniform",
    "WordLaw",
    "error_mask",
    "flip",
    "flip_asymmetric",
    "given",
    "word_dtype",
]
