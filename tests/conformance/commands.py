"""Every command with a valid line, and wrong values for each of its arguments and options."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import typer

from qtaml.cli.main import app
from qtaml.export import write_binary
from tests.conformance import valid_values


class Line(NamedTuple):
    """A command line of which one value is wrong: what it is, and the words of the line."""

    told: str
    words: list[str]


def commands(group: Any = None, *path: str) -> Iterator[tuple[str, Any]]:
    """The name of each command, and the command."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name)), command


VALID: dict[str, list[str]] = {
    "sweep": ["sweep.toml", "--out", "new"],
    "demo": ["--out", "new", "--trials", "2"],
    "compensate": ["network:make", "--calibration", "data.npz", "--out", "new", "--p", "0.1", "--overhead", "0.1"],
    "design": ["network:make", "--calibration", "data.npz", "--out", "new", "--p", "0.1", "--cells", "4"],
    "cost": ["stored", "--array", "gain_cell_3t", "--node", "28", "--window", "1e-3"],
    "tune": ["network:make", "--train", "data.npz", "--out", "new", "--plan", "stored", "--epochs", "1"],
    "inspect": ["m.safetensors"],
    "protect": ["m.safetensors", "--cells", "1.2", "--p", "0.1", "--decoders", "majority", "--weights", "64"],
    "predict": ["network:make", "--calibration", "data.npz", "--p", "0.1"],
    "evaluate": ["stored", "--test", "test.npz", "--model", "network:make", "--trials", "2"],
    "rewrite": [
        "stored",
        "--zeros",
        "image.bin",
        "--ones",
        "image.bin",
        "--out",
        "new",
        "--model",
        "network:make",
    ],
    "export": ["stored", "new.pt2", "--data", "data.npz", "--model", "network:make"],
    "verify": ["stored", "--model", "network:make"],
    "readback": ["stored", "image.bin", "--test", "test.npz", "--model", "network:make"],
    "report": [
        "stored",
        "--out",
        "new.html",
        "--model",
        "network:make",
        "--test",
        "test.npz",
        "--trials",
        "2",
        "--chips",
        "2",
    ],
    "explore": ["results.json", "--out", "new.html"],
    "device list": [],
    "device show": ["fg_dt_3p0"],
    "device sweep": ["fg_dt_3p0", "--points", "3"],
    "device leakage": ["fg_dt_3p0"],
    "device fit": ["retention.csv", "--out", "new.json"],
    "device failures": [
        "fg_dt_3p0",
        "--profile",
        "mission.csv",
        "--bits",
        "1000",
        "--tolerated",
        "0.1",
        "--window",
        "20",
    ],
}
"""The arguments of a valid line of each command. Where an option is given twice, the last one counts."""

NO_NUMBERS = ("no", "", "nan", "1j", "0,1", "1e999", "-1")
NAMES = ("no", "", "math:pi", "os:getcwd", ":", "missing.pt2", "\0", "uniform:p=nan", "[1]", "\x1b[31m")
PATHS = ("missing", "", "\0", "x" * 300, "image.bin/below", "sweep.toml", "/dev/null")
TAKEN = ("", "\0", "x" * 300, "image.bin/below", "foreign", "sweep.toml", "/dev/null")
"""Of what is written: names of what is there already, too."""

RIGHT: dict[tuple[str, str], set[str]] = {
    ("demo", "out"): {"", "foreign"},
    ("sweep", "out"): {"", "foreign"},
    # The current folder, in which there is a result.
    ("explore", "sources"): {""},
    ("report", "bar"): {"-1"},
    # A picture gets the ending .png where its name has none.
    ("device sweep", "out"): {"foreign", "/dev/null"},
    ("device leakage", "out"): {"foreign", "/dev/null"},
    ("device fit", "picture"): {"missing", "/dev/null"},
    ("cost", "picture"): {"missing", "/dev/null"},
}
"""Reviewed: values that are right for an option: a folder for what is measured may hold other things."""


def wrong_lines(name: str, command: Any) -> Iterator[Line]:
    """Lines of which one value is wrong."""
    valid = VALID[name]
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    for one in command.params:
        kind = one.type_descriptor.annotation
        for value in _wrong(one, kind):
            if value in RIGHT.get((name, one.name), ()):
                continue
            told = f"{name}: {one.name}={value!r}"
            if one in arguments:
                number = arguments.index(one)
                words = [*valid[len(arguments) :], "--", *valid[:number], value, *valid[number + 1 : len(arguments)]]
            elif kind is bool:
                words = [*valid, one.opts[0] + value]
            else:
                words = [*valid, one.opts[0], value]
            yield Line(told, [*name.split(), *words])


def _wrong(one: Any, kind: Any) -> tuple[str, ...]:
    if kind is bool:
        return ("=no", "=", "=1")
    if kind is int:
        return (*NO_NUMBERS, "1.5")
    if kind is float:
        return NO_NUMBERS
    if kind is Path:
        return TAKEN if one.name in ("out", "checkpoint", "read_back", "zigzag", "timeloop") else PATHS
    return NAMES


def make_folder(folder: Path) -> None:
    """A user's folder with all that valid lines need."""
    # A network of its own for each call: an output that is chosen stays chosen.
    (folder / "network.py").write_text(
        "from copy import deepcopy\nfrom tests.conformance import valid_values\n"
        "make = lambda: deepcopy(valid_values.model())\n"
    )
    inputs, labels = valid_values.batch().numpy(), np.array([0, 1, 0, 1, 0, 1])
    np.savez(folder / "data.npz", inputs=inputs)
    np.savez(folder / "test.npz", inputs=inputs, labels=labels)
    valid_values.memory().save(folder / "stored")
    write_binary(valid_values.memory().artifact, folder / "image.bin")
    (folder / "m.safetensors").write_bytes(valid_values.checkpoint().source.path.read_bytes())
    (folder / "results.json").write_text('{"title": "two", "rows": [{"cells": 0.5, "accuracy": 0.9}], "manifest": {}}')
    (folder / "sweep.toml").write_text("[[sweep]]\n")
    (folder / "retention.csv").write_text("time (us),temperature (C)\n1,25\n2,25\n4,25\n9,25\n")
    (folder / "mission.csv").write_text("temperature (C),time (h)\n25,100\n")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thesis.txt").write_text("years of work")
