"""The TOML file of a sweep: read and checked, with the line of a mistake in the message."""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from qtaml import _files
from qtaml._records import Key, TableError, from_table
from qtaml.errors import ArgumentError
from qtaml.faults import KINDS, AnyFault, FlipProbability, from_kind, given, of_device
from qtaml.laboratory.cases import METHODS
from qtaml.networks import NETWORKS
from qtaml.planning import AnySettings, Settings
from qtaml.planning.words import word_levels
from qtaml.training import LossName, Tune


def _flip_probability(value: Any) -> FlipProbability:
    """A flip probability or a range of it, as a file writes it."""
    p: FlipProbability = tuple(value) if isinstance(value, list) else value
    # For its errors alone.
    given(p, None)
    return p


# Not a union of types: pydantic would name each of them in the place of an error.
_Probability = Annotated[FlipProbability, PlainValidator(_flip_probability)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Seed = Annotated[int, Field(ge=0)]

_RECORDS = {record.kind: record for record in METHODS}
# Tables that may be written as a text alone, and the key whose value the text is.
_BRIEF = {"networks": "name", "faults": "kind", "methods": "method"}
# tomllib says nothing of lines: tokens of TOML as far as they tell where a statement ends, which are strings, comments,
# ends of lines, and other characters.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|'
    + r"'''.*?'{3,5}|"
    + r'"(?:\\.|[^"\\\n])*"|'
    + r"'[^'\n]*'|#[^\n]*|\n|[^\s\"'#\[\]{}]+|\S",
    re.DOTALL,
)
# Rounded: 0.1 * 6 is 0.6000000000000001, which would be another measurement than 0.6.
_BUDGETS: dict[str, Callable[[float, Any], float]] = {
    "overhead": lambda overhead, settings: overhead,
    "protected_bits": lambda overhead, settings: round(overhead * word_levels(settings).bits, 12),
    "cells": lambda overhead, settings: round(1 + overhead, 12),
}
"""By the setting in which a method takes its budget: its value for an overhead, given the other settings."""
_GOALS = {*_BUDGETS, "error"}
# Settings that the sweep has for all methods, or that need a metric.
_NOT_HERE = {"fault", "seed", "accuracy", "chips", "kind"}
# Settings of a training that need one chip to be read, or samples that are held out.
_NOT_TUNED = {"chip", "patience"}


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NetworkEntry(_Table):
    """A network: a built-in one by its name, or the user's by its files, relative to the folder of the sweep file.

    Attributes:
        name: a key of `qtaml.networks.NETWORKS`, or any name for the user's.
        model: "package.module:factory", or a `.pt2`, `.onnx`, `.tflite` or `.gguf` file.
        weights: `.safetensors` file of its state dict; with "{seed}" in it, one for each training seed.
        calibration: file of calibration inputs.
        test: file of test inputs and labels.
        train: file of samples to train on; for methods with `tune`.
    """

    name: str
    model: str | None = None
    weights: str | None = None
    calibration: str | None = None
    test: str | None = None
    train: str | None = None


class MethodEntry(_Table):
    """A method and its settings, which are the keys not named here.

    Attributes:
        method: kind of a record in `METHODS`.
        name: what it is called in the results; the method if not given.
        overheads: its own budgets; those of the sweep if not given.
        tune: settings of `qtaml.training.Tune`, and the `loss`: the network is trained for each plan.
    """

    model_config = ConfigDict(extra="allow")
    method: str
    name: str | None = None
    overheads: list[_Number] | None = None
    tune: dict[str, Any] | None = None


class _DeviceEntry(_Table):
    """A memory by its cells: a preset or the file (.json) of a measured cell, and seconds between refreshes."""

    device: str
    window: _Number | None = None


class SweepFile(_Table):
    """A sweep: every network stored by every method within every budget in every memory.

    Attributes:
        networks: the networks.
        methods: the methods, with their settings.
        faults: fault models; those whose kind has a flip probability and do not say it get each of `p`; or a `device`
            with its `window`.
        p: flip probabilities of a cell; a pair is a range in which it lies.
        overheads: budgets, in cells beyond a plain memory as a share of it; below 0 for fewer cells.
        training_seeds: seeds of the trained networks.
        trials: reads of each plan.
        seed: seed of calibration and errors.
        metric: metric of each read.
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


@dataclass(frozen=True)
class Storage:
    """A method with its settings and one budget, for one memory.

    Attributes:
        name: what it is called in the results.
        overhead: budget asked; None for a method without, or whose settings say it.
        settings: of the method; those that it does not say are as by default.
        tune: training for the plan, as in a `Case`.
        loss: as there.
    """

    name: str
    overhead: float | None
    settings: AnySettings
    tune: Tune | None = None
    loss: LossName = "output_error"


@dataclass(frozen=True)
class Description:
    """A sweep file that was read, with everything in it checked.

    Attributes:
        path: the file.
        file: what it says.
        storages: every method within every budget, for one memory after the other.
    """

    path: Path
    file: SweepFile
    storages: tuple[Storage, ...]


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
        ...     [(one.overhead, str(one.settings)) for one in read_sweep(path).storages]
        [(0.05, 'Tac(fault=Uniform(p=0.1), overhead=0.05)')]
    """
    try:
        text = _files.read_bytes(path).decode()
        content = tomllib.loads(text)
    except ValueError as error:
        # StoredFileError is a ValueError too, and goes through unchanged.
        if isinstance(error, UnicodeDecodeError | tomllib.TOMLDecodeError):
            raise ArgumentError(f"{path} must be a TOML file: {error}") from error
        raise
    try:
        file = from_table(SweepFile, _in_full(content))
        tuned = any(method.tune is not None for method in file.methods)
        for index, network in enumerate(file.networks):
            _check_network(network, ("networks", index), tuned)
        return Description(path, file, _storages(file, _faults(file, path.parent)))
    except TableError as wrong:
        raise ArgumentError(f"{path}{_line(text, content, wrong.key)}: {wrong}") from wrong


def _in_full(content: dict[str, Any]) -> dict[str, Any]:
    """The content with every abbreviated table, which is a text, written out."""
    lists = {name: content[name] for name in _BRIEF if isinstance(content.get(name), list)}
    full = {
        name: [{_BRIEF[name]: one} if isinstance(one, str) else one for one in values] for name, values in lists.items()
    }
    return content | full


def _check_network(entry: NetworkEntry, key: Key, tuned: bool) -> None:
    files = {name: getattr(entry, name) for name in ("calibration", "test", "train", "weights")}
    if entry.model is None:
        if entry.name not in NETWORKS:
            known = ", ".join(map(repr, NETWORKS))
            raise TableError((*key, "name"), f"must be one of {known}, or have a model, got {entry.name!r}")
        for name in (name for name, value in files.items() if value is not None):
            raise TableError((*key, name), f"is for a network that is not built in, got {files[name]!r}")
    else:
        for name in (name for name in ("calibration", "test") if files[name] is None):
            raise TableError((*key, name), "must be given for a network that is not built in")
        if tuned and entry.train is None:
            raise TableError((*key, "train"), "must be given for a network that is not built in, since a method tunes")


def _faults(file: SweepFile, base: Path) -> list[AnyFault]:
    found: list[AnyFault] = []
    p_used = False
    for index, table in enumerate(file.faults):
        crossed = _takes_p(table) and "p" not in table
        p_used |= crossed
        if crossed and not file.p:
            raise TableError(("p",), f"must be given for the fault {table['kind']!r}")
        try:
            if "device" in table:
                found.append(_of_device(table, base))
            else:
                found += [from_kind(table | one) for one in ([{"p": p} for p in file.p] if crossed else [{}])]
        except TableError as wrong:
            raise wrong.below(("faults", index)) from wrong
    if file.p and not p_used:
        raise TableError(("p",), "is for faults that do not say their own p, and there is none")
    return found


def _of_device(table: dict[str, Any], base: Path) -> AnyFault:
    """The memory of a device: a preset, or the file of a measured cell as seen from a folder."""
    asked = from_table(_DeviceEntry, table)
    try:
        return of_device(str(base / asked.device) if asked.device.endswith(".json") else asked.device, asked.window)
    except ArgumentError as wrong:
        raise TableError(("window" if str(wrong).startswith("window") else "device",), str(wrong)) from wrong


def _takes_p(table: dict[str, Any]) -> bool:
    # An unknown kind is reported where the fault is made, with the list of those that exist.
    model = KINDS.get(str(table.get("kind")))
    return model is not None and any(field.name == "p" for field in fields(cast(Any, model)))


def _storages(file: SweepFile, faults: Sequence[AnyFault]) -> tuple[Storage, ...]:
    storages = [one for index, entry in enumerate(file.methods) for one in _of_method(entry, index, file.overheads)]
    asked = [entry for entry in file.methods if entry.overheads is None and _budget(entry)]
    if file.overheads and not asked:
        raise TableError(("overheads",), "is for methods that do not say their own budget, and there is none")
    return tuple(replace(one, settings=replace(one.settings, fault=fault)) for fault in faults for one in storages)


def _of_method(entry: MethodEntry, index: int, overheads: list[float]) -> Iterator[Storage]:
    """A method within each budget, for no memory yet."""
    key, record, settings = ("methods", index), _RECORDS.get(entry.method), entry.model_extra or {}
    if record is None:
        raise TableError((*key, "method"), f"must be one of {', '.join(map(repr, _RECORDS))}, got {entry.method!r}")
    for name in (name for name in settings if name not in _names(record)):
        raise TableError((*key, name), f"must be one of {', '.join(map(repr, _names(record)))}")
    budget = _budget(entry)
    if not budget and entry.overheads is not None:
        raise TableError((*key, "overheads"), f"must not be given: {entry.method!r} has no budget left open")
    overheads = overheads if entry.overheads is None else entry.overheads
    tune, loss = _training(entry, key)
    name = entry.name or f"{entry.method}{', tuned' if tune else ''}"
    if budget and not overheads:
        raise TableError(("overheads",), f"must be given for the method {entry.method!r}")
    try:
        # With any budget and memory for now: a wrong setting is reported once, under its own key, before they are put
        # in.
        asked = cast(Any, from_table(record, {**settings, **({budget: 1} if budget else {}), "p": 0.0}))
    except TableError as wrong:
        raise wrong.below(key) from wrong
    if not budget:
        yield Storage(name, None, asked, tune, loss)
        return
    place = ("overheads",) if entry.overheads is None else (*key, "overheads")
    for number, overhead in enumerate(overheads):
        try:
            within = replace(asked, **{budget: _BUDGETS[budget](overhead, asked)})
        except ArgumentError as wrong:
            raise TableError((*place, number), str(wrong)) from wrong
        yield Storage(name, overhead, within, tune, loss)


def _training(entry: MethodEntry, key: Key) -> tuple[Tune | None, LossName]:
    """What a method trains for its plans, and by which loss."""
    if entry.tune is None:
        return None, "output_error"
    asked = {"loss": "output_error", **entry.tune}
    if (loss := asked.pop("loss")) not in get_args(LossName):
        known = ", ".join(map(repr, get_args(LossName)))
        raise TableError((*key, "tune", "loss"), f"must be one of {known}, got {loss!r}")
    try:
        return from_table(Tune, asked, [name for name in _names(Tune) if name not in _NOT_TUNED]), loss
    except TableError as wrong:
        raise wrong.below((*key, "tune")) from wrong


def _names(record: type[Settings]) -> list[str]:
    """Settings that a sweep file may say."""
    return [field.name for field in fields(record) if field.name not in _NOT_HERE]


def _budget(entry: MethodEntry) -> str:
    """The setting in which a method takes the budget of the sweep; empty if it has none, or says it itself."""
    names = _names(_RECORDS[entry.method])
    said = _GOALS & (entry.model_extra or {}).keys()
    return next((name for name in _BUDGETS if name in names and not said), "")


def _line(text: str, content: dict[str, Any], key: Key) -> str:
    """Line of the statement that sets a key, or the longest part of it that is set: ", line 3"; "" if none is."""
    depth = max(depth for depth in range(len(key) + 1) if _says(content, key[:depth]))
    if depth == 0:
        return ""
    statements = _statements(text)
    lines = text.splitlines(keepends=True)
    # The first statement with which the file says it. To parse all before each line would take time by the square of
    # their number; by bisection a file of 10,000 lines is parsed 14 times.
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


def _says(content: Any, key: Key) -> bool:
    for part in key:
        try:
            content = content[part]
        except (LookupError, TypeError):
            return False
    return True
