"""`--fault`: a fault model from a file, or written as KIND:NAME=VALUE,..."""

import ast
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qtaml import _files
from qtaml._records import TableError
from qtaml.errors import ArgumentError, StoredFileError
from qtaml.faults import AnyFault, FlipProbability, from_kind, given, of_device

FAULT_FORMS = "FILE|KIND:NAME=VALUE,..."
P_FORMS = "P|LOW:HIGH"
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar=FAULT_FORMS,
        help="Another fault model than the plan's: a .json or .toml file, or such as 'asymmetric:p01=0,p10=.1'. Given "
        "several times, a chip is one of these memories.",
    ),
]
ReadProbabilityOption = Annotated[
    str | None,
    typer.Option("--p", metavar=P_FORMS, help="Another flip probability, or range of it, than the plan's; or"),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="or a device: a preset (`qtaml device list`), or a cell of `qtaml device fit` (.json)."),
]
WindowOption = Annotated[
    float | None, typer.Option(help="With --device: seconds between refreshes; that of the preset if not given.")
]


def parse_fault(text: str) -> AnyFault:
    """The fault model of an option `--fault`.

    Args:
        text: "KIND:NAME=VALUE,...", or the name of a `.json` or `.toml` file with `kind` and the fields of the model.

    Raises:
        ArgumentError: if the text is neither, or names a kind, a field or a value that does not exist.
        StoredFileError: if the file cannot be read, or is no JSON or TOML.

    Example:
        >>> parse_fault("asymmetric:p01=0,p10=.1"), parse_fault("per_bit:p01=[.1, .2]").p01
        (Asymmetric(p01=0.0, p10=0.1), (0.1, 0.2))
    """
    kind, _, rest = text.partition(":")
    try:
        # By the suffix, not by whether the file exists: a misspelt file is reported as missing.
        if Path(text).suffix in (".json", ".toml"):
            return from_kind(_read_table(Path(text)))
        return from_kind({"kind": kind, **named_values(rest)})
    except TableError as error:
        raise ArgumentError(f"--fault must be {FAULT_FORMS} (a .json or .toml file), got {text!r}: {error}") from error


def parse_faults(texts: Sequence[str]) -> AnyFault:
    """The fault model of one or more options `--fault`; `Several` where there are more."""
    return given(None, [parse_fault(text) for text in texts])


def parse_flip_probability(text: str) -> FlipProbability:
    """The flip probability, or the two ends of its range, of an option `--p`.

    Raises:
        ArgumentError: if the text has another form; whether the numbers are allowed is seen where they are used.

    Example:
        >>> parse_flip_probability("0.1"), parse_flip_probability("0.05:0.2")
        (0.1, (0.05, 0.2))
    """
    low, colon, high = text.partition(":")
    try:
        return (float(low), float(high)) if colon else float(low)
    except ValueError:
        raise ArgumentError(f"--p must be a number such as 0.1, or a range such as 0.05:0.2, got {text!r}") from None


def another_fault(
    p: str | None, faults: Sequence[str] | None, device: str | None, window: float | None
) -> AnyFault | None:
    """The fault model that `--p`, `--fault` or `--device` puts in the place of the plan's; None if none is given.

    Raises:
        ArgumentError: if more than one are given, one is not allowed, or a window comes without a device.
    """
    if sum((p is not None, bool(faults), device is not None)) > 1:
        named = ", ".join(map(repr, faults or ()))
        raise ArgumentError(f"give at most one of --p, --fault and --device, got {p}, {named or None} and {device}")
    if window is not None and device is None:
        raise ArgumentError(f"--window must be given with --device, whose time it is, got {window:g} without")
    if device is not None:
        return of_device(device, window)
    if faults:
        return parse_faults(faults)
    return None if p is None else given(parse_flip_probability(p), None)


def named_values(text: str) -> dict[str, Any]:
    """Values by name from a text such as "p01=[0, .1],p10=.2"; a value that is no Python literal is a text.

    Raises:
        TableError: if a value has no name.

    Example:
        >>> named_values("p01=[0, .1], p10=.2, name=any")
        {'p01': [0, 0.1], 'p10': 0.2, 'name': 'any'}
    """
    # Only commas before NAME= separate: those inside of lists are not followed by a name.
    parts = [part.partition("=") for part in re.split(r",(?=\s*\w+\s*=)", text) if part.strip()]
    for name, equals, value in parts:
        if not (name.strip().isidentifier() and equals and value.strip()):
            raise TableError((), f"must be NAME=VALUE, got {name + equals + value!r}")
    return {name.strip(): _value(value.strip()) for name, _, value in parts}


def _value(text: str) -> Any:
    try:
        # Literals only: eval would run what a script puts together from elsewhere.
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _read_table(path: Path) -> dict[str, Any]:
    data = _files.read_bytes(path)
    try:
        table = json.loads(data) if path.suffix == ".json" else tomllib.loads(data.decode())
    except ValueError as error:
        raise StoredFileError(f"{path} is not {path.suffix.removeprefix('.').upper()}: {error}") from error
    if not isinstance(table, dict):
        raise StoredFileError(f"{path} must hold one table, with the kind and the fields of a fault model")
    return table
