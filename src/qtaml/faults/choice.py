"""The union of all fault models, told apart by `kind`, and the choice of one by `p=`, by `fault=` or by a table."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, cast, get_args

from pydantic import Field

from qtaml._records import TableError, from_table
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
"""Union of all fault models; a new one is added here."""

KINDS: dict[str, type[FaultModel]] = {model.kind: model for model in get_args(get_args(AnyFault)[0])}
"""Fault models by the name under which files and options know them."""


def given(p: float | None, fault: AnyFault | None) -> AnyFault:
    """The fault model for arguments `p=` and `fault=`, exactly one of which is given: `Uniform(p)`, or `fault`.

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


def from_kind(table: Mapping[str, Any]) -> AnyFault:
    """Parse a fault model from a table (of a file or an option): its `kind`, and its fields.

    Raises:
        TableError: if the kind, a field or a value is not allowed; the message says which are.

    Example:
        >>> from_kind({"kind": "asymmetric", "p01": 0, "p10": 0.1})
        Asymmetric(p01=0.0, p10=0.1)
    """
    # Looked up first, so that a wrong kind is named before any field is judged.
    model = KINDS.get(str(table.get("kind")))
    if model is None:
        raise TableError(("kind",), f"must be one of {', '.join(map(repr, KINDS))}, got {table.get('kind')!r}")
    names = [field.name for field in fields(cast(Any, model))]
    return cast(AnyFault, from_table(model, table, names))
