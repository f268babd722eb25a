"""The union of all fault models, told apart by `kind`, and the choice of one by `p=`, by `fault=` or by a table."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, cast, get_args

from pydantic import Field, InstanceOf

from qtaml._kinds import Short
from qtaml._records import TableError, from_table
from qtaml.device import MeasuredCell, Preset, RetentionCell, TwoWayCell, cell_and_window
from qtaml.errors import ArgumentError
from qtaml.faults.base import FaultModel
from qtaml.faults.independent import Asymmetric, Uniform
from qtaml.faults.several import OneFault, Several, over_range

AnyFault = Annotated[OneFault | Several, Field(discriminator="kind")]
"""Union of all fault models."""

GivenFault = Annotated[AnyFault, Short(Sequence[AnyFault])]
"""What `fault=` may be: a fault model, or several of which a chip is one."""

GivenDevice = InstanceOf[Preset] | InstanceOf[RetentionCell] | str
"""What `device=` may be: a cell, a preset or its name, or the file (.json) of a measured cell."""

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


def of_memory(
    p: FlipProbability | None,
    fault: AnyFault | Sequence[AnyFault] | None,
    device: GivenDevice | None,
    window: float | None,
) -> AnyFault:
    """The fault model of a memory, of which exactly one of `p`, `fault` and `device` is given.

    Args:
        p: as for `given`.
        fault: as for `given`.
        device: as for `of_device`.
        window: with a device, s between refreshes.

    Raises:
        ArgumentError: if none or several are given, or a window without a device; as `given` and `of_device`.
        StoredFileError: if the file of a device cannot be read.

    Example:
        >>> of_memory(None, None, "gaincell_2t_sion", 10e-6) == of_device("gaincell_2t_sion", 10e-6)
        True
    """
    if window is not None and device is None:
        raise ArgumentError(f"window must be given with a device, whose time it is, got {window!r} without")
    if sum(one is not None for one in (p, fault, device)) != 1:
        named = getattr(device, "name", device)
        raise ArgumentError(f"give exactly one of p, fault and device, got p={p!r}, fault={fault!r} and device={named}")
    return given(p, fault) if device is None else of_device(device, window)


def of_device(device: GivenDevice, window: float | None = None) -> AnyFault:
    """The fault model of a device: `Uniform`; of a measured cell any flip probability in its band of 95%.

    A `TwoWayCell`, which knows both directions, is `Asymmetric`, with charged cells as ones.

    Args:
        device: a cell, a preset or its name, or the file (.json) of a measured cell.
        window: s between refreshes; that of the preset if not given.

    Raises:
        ArgumentError: if a cell comes without a window, or its flip probability is 1/2 or more.
        StoredFileError: if the file cannot be read.

    Warns:
        ExtrapolationWarning: if a measured cell is asked about a window outside its data.

    Source:
        theory.md 2.10.

    Example:
        >>> of_device("gaincell_2t_sion", window=10e-6).p < of_device("gaincell_2t_sion").p
        True
    """
    cell, window = cell_and_window(device, window)
    if isinstance(cell, TwoWayCell):
        return _both_ways(cell, window)
    if isinstance(cell, MeasuredCell):
        told, (low, high) = " at the upper end of its band", cell.band(window)
    else:
        told, low = "", float(cell.flip_probability(window))
        high = low
    if not high < 0.5:
        raise ArgumentError(f"window must be shorter: p{told} is {high:.3g} after {window:g} s, and must be below 0.5")
    # A lower end that underflows is no end of a range in ln p.
    return given((low, high) if 0 < low < high else high, None)


def _both_ways(cell: TwoWayCell, window: float) -> Asymmetric:
    p01, p10 = cell.rates(window)
    if not max(p01, p10) < 0.5:
        raise ArgumentError(
            f"window must be shorter: p01 and p10 are {p01:.3g} and {p10:.3g} after {window:g} s, and must be below 0.5"
        )
    return Asymmetric(float(p01), float(p10))


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
