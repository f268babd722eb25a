"""The fault models that a plan can name on disk, and the one meant by the arguments `p=` and `fault=`."""

from typing import Annotated

from pydantic import Field

from qtaml.errors import ArgumentError
from qtaml.faults.base import FaultModel
from qtaml.faults.clustered import Clustered
from qtaml.faults.independent import Asymmetric, PerBit, Ramp, Uniform
from qtaml.faults.multi_level import MultiLevel
from qtaml.faults.static_cells import StaticCells
from qtaml.faults.tensor_variation import TensorVariation

AnyFault = Annotated[
    Uniform | Asymmetric | PerBit | Ramp | StaticCells | MultiLevel | Clustered | TensorVariation,
    Field(discriminator="kind"),
]
"""Every fault model; a new one is one more name here."""


def given(p: float | None, fault: AnyFault | None) -> AnyFault:
    """The fault model meant by a pair of arguments `p=` and `fault=`, of which exactly one is given.

    Raises:
        ArgumentError: if both or neither are given, or `p` is outside [0, 0.5).

    Example:
        >>> given(0.1, None)
        Uniform(p=0.1)
    """
    if (p is None) == (fault is None):
        raise ArgumentError(f"give exactly one of p and fault, got p={p!r} and fault={fault!r}")
    if p is not None:
        return Uniform(p)
    if not isinstance(fault, FaultModel):
        raise ArgumentError(f"fault must be a fault model such as qtaml.faults.Uniform(0.1), got {fault!r}")
    return fault
