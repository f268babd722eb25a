"""Fault models: the exact law of the word read given the stored one, and samples of it.

A new fault model is one subclass of `FaultModel`, and one more name in `OneFault`.
"""

from qtaml._kinds import guard_doors
from qtaml.faults.base import AllBitsAlike, BitErrorRates, FaultModel, WordLaw
from qtaml.faults.choice import KINDS, AnyFault, FlipProbability, GivenDevice, GivenFault, from_kind, given, of_device
from qtaml.faults.clustered import Clustered
from qtaml.faults.independent import Asymmetric, PerBit, Ramp, Uniform
from qtaml.faults.multi_level import MultiLevel
from qtaml.faults.several import Several
from qtaml.faults.static_cells import StaticCells
from qtaml.faults.tensor_variation import TensorVariation

__all__ = [
    "KINDS",
    "AllBitsAlike",
    "AnyFault",
    "Asymmetric",
    "BitErrorRates",
    "Clustered",
    "FaultModel",
    "FlipProbability",
    "GivenDevice",
    "GivenFault",
    "MultiLevel",
    "PerBit",
    "Ramp",
    "Several",
    "StaticCells",
    "TensorVariation",
    "Uniform",
    "WordLaw",
    "from_kind",
    "given",
    "of_device",
]

guard_doors(__name__)
