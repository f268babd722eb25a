"""What happens to stored bits. A new fault model is one subclass of `FaultModel`, and one more name in `AnyFault`."""

from qtaml.faults.base import BitErrorRates, FaultModel, Residual
from qtaml.faults.choice import AnyFault, given
from qtaml.faults.independent import PerBit, Uniform
from qtaml.faults.sampler import error_mask, flip, word_dtype

__all__ = [
    "AnyFault",
    "BitErrorRates",
    "FaultModel",
    "PerBit",
    "Residual",
    "Uniform",
    "error_mask",
    "flip",
    "given",
    "word_dtype",
]
