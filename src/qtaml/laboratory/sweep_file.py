"""The file that describes a sweep: read, checked, and where a mistake is in it."""

import dataclasses
import inspect
import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from qtaml import _files
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault
from qtaml.laboratory.cases import METHODS, Method, Settings
from qtaml.networks import NETWORKS

_Key = Sequence[str | int]
_Probability = Annotated[float, Field(ge=0, lt=0.5)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Seed = Annotated[int, Field(ge=0)]

_FAULTS = {kind.__dataclass_fields__["kind"].default: kind for kind in get_args(get_args(AnyFault)[0])}
_TableT = TypeVar("_TableT", bound=BaseModel)
_BRIEF = {"networks": "name", "faults": "kind", "methods": "method"}
"""Tables that a text alone stands for, and the key that the text is the value of."""
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|'
    + r"'''.*?'{3,5}|"
    + r'"(?:\\.|[^"\\\n])*"|'
    + r"'[^'\n]*'|#[^\n]*|\n|[^\s\"'#\[\]{}]+|\S",
    re.DOTALL,
)
"""Tokens of TOML as far as they tell where a statement ends: strings, comments, ends of lines, and other characters."""
_BUDGETS: dict[str, Callable[[float, int], float]] = {
    "overhead": lambda overhead, bits: overhead,
    "protected_bits": lambda overhead, bits: _whole(overhead * bits),
    "cells": lambda overhead, bits: round(1 + overhead, 12),
}
"""The setting in which a method takes its budget, from an overhead and the bits of a word."""


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NetworkEntry(_Table):
    """A network: a built-in one by its name, or one's own by its files, named from the folder of the sweep file.

    Attributes:
        name: a key of `qtaml.networks.NETWORKS`, or any name for one's own.
        model: "package.module:factory", or a `.pt2` file.
        weights: `.safetensors` file of its state dict; with "{seed}" in it, one for each training seed.
        calibration: file of calibration inputs.
        test: file of test inputs and labels.
    """

    name: str
    model: str | None = None
    weights: str | None = None
    calibration: str | None = None
    test: str | None = None


class MethodEntry(_Table):
    """A method and its settings, which are the keys not named here.

    Attributes:
        method: a key of `METHODS`.
        name: what it is called in the results; its key if not given.
        overheads: its own budgets; those of the sweep if not given.
    """

    model_config = ConfigDict(extra="allow")
    method: Method
    name: str | None = None
    overheads: list[_Number] | None = None


class SweepFile(_Table):
    """A sweep: every network stored by every method within every budget in every memory.

    Attributes:
        networks: what is stored.
        methods: how.
        faults: in what memory; those whose kind has a flip probability and do not say it get each of `p`.
        p: flip probabilities of a cell.
        overheads: budgets, in cells beyond a plain memory as a share of it; below 0 for fewer cells.
        training_seeds: seeds of the trained networks.
        trials: reads of each plan.
        seed: seed of calibration and errors.
        metric: what is measured of each read.
    """

    networks: Annotated[list[NetworkEntry], Field(min_length=1)]
    methods: Annotated[list[MethodEntry], Field(min_length=1)]
    faults: Annotated[list[dict[str, Any]], Field(min_length=1)] = [{"kind": "uniform"}]
    p: list[_Probability] = []
    overheads: list[_Number] = []
    training_seeds: Annotated[list[_Seed], Field(min_length=1)] = [0]
    trials: Annotated[int, Field(ge=2)] = 30
    seed: _Seed = 0
    metric: Literal["accuracy", "output_error"] = "accuracy"


@dataclasses.dataclass(frozen=True)
class Storage:
    """A method with its settings and one budget.

    Attributes:
        name: what it is called in the results.
        method: a key of `METHODS`.
        overhead: budget asked; None for a method without, or whose settings say it.
        settings: of the method.
    """

    name: str
    method: Method
    overhead: float | None
    settings: Settings


@dataclasses.dataclass(frozen=True)
class Description:
    """A sweep file that was read, with everything in it checked.

    Attributes:
        path: the file.
        file: what it says.
        faults: every memory.
        storages: every method within every budget.
    """

    path: Path
    file: SweepFile
    faults: tuple[AnyFault, ...]
    storages: tuple[Storage, ...]


class _WrongError(Exception):
    """Something in the file is wrong, at a key."""

    def __init__(self, key: _Key, reason: str) -> None:
        super().__init__(reason)
        self.key = key


def read_sweep(path: Path) -> Description:
    r"""Read the description of a sweep.

    Args:
        path: a TOML file; docs/sweeps.md describes it.

    Returns:
        What it says.

    Raises:
        StoredFileError: if the file cannot be read.
        ArgumentError: if it says something that is not allowed; the message names the file, the line and the key.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "sweep.toml")
        ...     _ = path.write_text('networks = ["SmallCNN"]\nmethods = ["tac"]\np = [0.1]\noverheads = [0.05]')
        ...     read_sweep(path).storages
        (Storage(name='tac', method='tac', overhead=0.05, settings={'overhead': 0.05}),)
    """
    try:
        text = _files.read_bytes(path).decode()
        content = tomllib.loads(text)
    except ValueError as error:
        if isinstance(error, UnicodeDecodeError | tomllib.TOMLDecodeError):
            raise ArgumentError(f"{path} must be a TOML file: {error}") from error
        raise
    try:
        file = _validated(SweepFile, _in_full(content), ())
        for index, network in enumerate(file.networks):
            _check_network(network, ("networks", index))
        return Description(path, file, _faults(file), _storages(file))
    except _WrongError as wrong:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in wrong.key).lstrip(".")
        raise ArgumentError(f"{path}{_line(text, content, wrong.key)}: {place}: {wrong}") from wrong


def _in_full(content: dict[str, Any]) -> dict[str, Any]:
    """The content with a table for each text that stands for one."""
    lists = {name: content[name] for name in _BRIEF if isinstance(content.get(name), list)}
    full = {
        name: [{_BRIEF[name]: one} if isinstance(one, str) else one for one in values] for name, values in lists.items()
    }
    return content | full


def _validated(kind: type[_TableT], content: Any, key: _Key) -> _TableT:
    """Check what a table says; JSON, since that is what strict types are read from."""
    try:
        return kind.model_validate_json(json.dumps(content, default=str))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        given = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise _WrongError((*key, *first["loc"]), first["msg"] + given) from error


def _check_network(entry: NetworkEntry, key: _Key) -> None:
    files = {name: getattr(entry, name) for name in ("calibration", "test", "weights")}
    if entry.model is None:
        if entry.name not in NETWORKS:
            known = ", ".join(map(repr, NETWORKS))
            raise _WrongError((*key, "name"), f"must be one of {known}, or have a model, got {entry.name!r}")
        for name in (name for name, value in files.items() if value is not None):
            raise _WrongError((*key, name), f"is for a network that is not built in, got {files[name]!r}")
    else:
        for name in (name for name in ("calibration", "test") if files[name] is None):
            raise _WrongError((*key, name), "must be given for a network that is not built in")


def _faults(file: SweepFile) -> tuple[AnyFault, ...]:
    adapter: pydantic.TypeAdapter[AnyFault] = pydantic.TypeAdapter(AnyFault)
    found: list[AnyFault] = []
    p_used = False
    for index, table in enumerate(file.faults):
        key = ("faults", index)
        kind = _FAULTS.get(str(table.get("kind")))
        if kind is None:
            allowed = ", ".join(map(repr, _FAULTS))
            raise _WrongError((*key, "kind"), f"must be one of {allowed}, got {table.get('kind')!r}")
        names = [field.name for field in dataclasses.fields(kind)]
        for name in (name for name in table if name not in names):
            raise _WrongError((*key, name), f"must be one of {', '.join(map(repr, names))}")
        crossed = "p" in names and "p" not in table
        p_used |= crossed
        if crossed and not file.p:
            raise _WrongError(("p",), f"must be given for the fault {table['kind']!r}")
        for one in [{"p": p} for p in file.p] if crossed else [{}]:
            try:
                found.append(adapter.validate_json(json.dumps(table | one, default=str), strict=True))
            except pydantic.ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise _WrongError((*key, *first["loc"][1:]), first["msg"].removeprefix("Value error, ")) from error
    if file.p and not p_used:
        raise _WrongError(("p",), "is for faults that do not say their own p, and there is none")
    return tuple(found)


def _storages(file: SweepFile) -> tuple[Storage, ...]:
    found: list[Storage] = []
    overheads_used = False
    for index, entry in enumerate(file.methods):
        settings: Settings = dict(entry.model_extra or {})
        allowed = _settings(entry.method)
        budget = next((name for name in _BUDGETS if name in allowed.model_fields and name not in settings), None)
        overheads_used |= budget is not None and entry.overheads is None
        if budget is None and entry.overheads is not None:
            raise _WrongError(
                ("methods", index, "overheads"), f"must not be given: {entry.method!r} has no budget left open"
            )
        overheads = file.overheads if entry.overheads is None else entry.overheads
        if budget and not overheads:
            raise _WrongError(("overheads",), f"must be given for the method {entry.method!r}")
        bits = settings.get("bits")
        for overhead in overheads if budget else [None]:
            given = dict(settings)
            if budget is not None and overhead is not None:
                given[budget] = _BUDGETS[budget](overhead, bits if isinstance(bits, int) else 8)
            _validated(allowed, given, ("methods", index))
            found.append(Storage(entry.name or entry.method, entry.method, overhead, given))
    if file.overheads and not overheads_used:
        raise _WrongError(("overheads",), "is for methods that do not say their own budget, and there is none")
    return tuple(found)


def _settings(method: Method) -> type[BaseModel]:
    """The settings of a method, from the keyword arguments of the function that plans."""
    function = METHODS[method]
    hints = get_type_hints(function)
    wanted = {
        name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in ("p", "fault", "seed")
    }
    model: type[BaseModel] = pydantic.create_model(method, __base__=_Table, **wanted)  # type: ignore[call-overload]
    return model


def _whole(number: float) -> float | int:
    # One spelling of a number, so that the same storage is one measurement.
    number = round(number, 12)
    return int(number) if number.is_integer() else number


def _line(text: str, content: dict[str, Any], key: _Key) -> str:
    """Where the file says what is under a key, or under as much of it as is there: ", line 3"; "" if nothing is."""
    depth = max(depth for depth in range(len(key) + 1) if _says(content, key[:depth]))
    if depth == 0:
        return ""
    statements = _statements(text)
    lines = text.splitlines(keepends=True)
    # The first statement with which the file says it. To read all before it once for each line would take time by the
    # square of their number; by bisection a file of 10,000 lines is read 14 times.
    number = bisect_left(
        statements, True, key=lambda lines_of: _says(tomllib.loads("".join(lines[: lines_of[1]])), key[:depth])
    )
    first, last = statements[number]
    return f", line {last}" if first == last else f", lines {first} to {last}"


def _statements(text: str) -> list[tuple[int, int]]:
    """First and last line of each statement of a valid TOML text, counted from 1."""
    found, line, first, brackets = [], 1, 0, 0
    for token in _TOKEN.finditer(text):
        kind = token.group()
        if kind == "\n":
            if first and not brackets:
                found.append((first, line))
                first = 0
        elif not kind.startswith("#"):
            first = first or line
            brackets += (kind in "[{") - (kind in "]}")
        line += kind.count("\n")
    return [*found, (first, line)] if first else found


def _says(content: Any, key: _Key) -> bool:
    for part in key:
        try:
            content = content[part]
        except (LookupError, TypeError):
            return False
    return True
