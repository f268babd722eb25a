"""The union of all fault models, told apart by `kind`, and the choice of one by `p=`, by `fault=` or by a table."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, cast, get_args

from pydantic import Field

from qtaml._kinds import Short
from qtaml._records import TableError, from_table
from qtaml.errors import ArgumentError
from qtaml.faults.base import FaultModel
from qtaml.faults.independent import Uniform
from qtaml.faults.several import OneFault, Several, over_range

AnyFault = Annotated[OneFault | Several, Field(discriminator="kind")]
"""Union of all fault models."""

GivenFault = Annotated[AnyFault, Short(Sequence[AnyFault])]
"""What `fault=` may be: a fault model, or several of which a chip is one."""

FlipProbability = float | tuple[float, float]
"""What `p=` may be: one number, or the two ends of a range in which it is known to lie."""

KINDS: dict[str, type[FaultModel]] = {model.kind: model for model in get_args(get_args(AnyFault)[0])}
"""Fault models by the name under which files and options know them."""


def given(p: FlipProbability | None, fault: AnyFault | Sequence[AnyFault] | None) -> AnyFault:
    """The fault model for arguments `p=` and `fault=`, exactly one of which is given.

    Args:
        p: a flip probability, for `Uniform(p)`; or a range (low, high), for `Several` within it.
        fault: a fault model; or several of them, one of which a chip is, for `Several(fault)`.

    Raises:
        ArgumentError: if both or neither are given, `p` is outside [0, 0.5), or a range is empty or reversed.

    Example:
        >>> given(0.1, None)
        Uniform(p=0.1)
        >>> given((0.05, 0.2), None).members[-1]
        Uniform(p=0.2)
    """
    if (p is None) == (fault is None):
        raise ArgumentError(f"give exactly one of p and fault, got p={p!r} and fault={fault!r}")
    if p is not None:
        return cast(AnyFault, over_range(Uniform, p) if isinstance(p, (tuple, list)) else Uniform(p))
    if isinstance(fault, (tuple, list)) and fault:
        return Several(tuple(fault)) if len(fault) > 1 else given(None, fault[0])
    if not isinstance(fault, FaultModel):
        raise ArgumentError(f"fault must be a fault model such as qtaml.faults.Uniform(0.1), got {fault!r}")
    return fault


def from_kind(table: Mapping[str, Any]) -> AnyFault:
    """Parse a fault model from a table (of a file or an option): its `kind`, and its fields.

    Where the kind has a flip probability `p`, two of them are the ends of a range.

    Raises:
        TableError: if the kind, a field or a value is not allowed; the message says which are.

    Example:
        >>> from_kind({"kind": "asymmetric", "p01": 0, "p10": 0.1})
        Asymmetric(p01=0.0, p10=0.1)
        >>> from_kind({"kind": "ramp", "p": [0.05, 0.2]}).members[0]
        Ramp(p=0.05, most_significant=1.5)
    """
    # Looked up first, so that a wrong kind is named before any field is judged.
    model = KINDS.get(str(table.get("kind")))
    if model is None:
        raise TableError(("kind",), f"must be one of {', '.join(map(repr, KINDS))}, got {table.get('kind')!r}")
    names = [field.name for field in fields(cast(Any, model))]
    p = table.get("p")
    if "p" not in names or not isinstance(p, (tuple, list)):
        return cast(AnyFault, from_table(model, table, names))
    try:
        return cast(AnyFault, over_range(lambda one: from_table(model, {**table, "p": one}, names), p))
    except TableError:
        raise
    except ArgumentError as error:
        raise TableError((), str(error)) from error
