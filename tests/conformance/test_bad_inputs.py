"""Wrong kinds of arguments at every public door, of the library and of the command line: refused by name, or right."""

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qtaml.cli.main import main
from qtaml.errors import QtamlError
from tests.conformance import commands, public_doors, valid_values
from tests.conformance.public_doors import ONCE, SLOW, WRONG, Door, called, fits, instance, values

COMMANDS = dict(commands.commands())
DOORS = list(public_doors.doors())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder for what calls write, which is the current one: a text may be a path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(valid_values, "FOLDER", tmp_path)
    return tmp_path


def wrong_calls(door: Door) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """Parameter, label of the value, arguments, and whether the value is of a kind that the parameter cannot take."""
    valid = values(door)
    for name, parameter in door.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        for label, make in WRONG.items():
            value = make()
            # What is left as it is by default is right, even where the annotation does not tell.
            nonsense = not fits(door.hints[name], value) and value is not parameter.default
            # What a function of the user does, and how long a right call takes, is not looked at here.
            left_out = door.name in SLOW or label == "2**70" or callable(value)
            if nonsense or not (left_out or (label == "generator" and door.name in ONCE)):
                yield name, label, valid | {name: value}, nonsense


def failures(door: Door) -> list[str]:
    """Calls with a wrong argument that end in an error from inside, or are accepted."""
    found = []
    own = () if door.of is None else (instance(door.of),)
    before = valid_values.fingerprint()
    for name, label, arguments, nonsense in wrong_calls(door):
        told = f"{door.name}({name}={label})"
        try:
            called(door, *own, **arguments)
        except QtamlError as error:
            if nonsense and name not in str(error):
                found.append(f"{told} does not name the argument: {error}")
        except Exception as error:
            found.append(f"{told} ends in {type(error).__name__}: {error}")
        else:
            if nonsense:
                found.append(f"{told} is accepted")
        if valid_values.fingerprint() != before:
            found.append(f"{told} changes the model")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("room", sorted({door.room for door in DOORS}))
@pytest.mark.filterwarnings("ignore")
def test_wrong_kinds_are_refused_by_name(room):
    """No error from inside, nothing accepted that makes no sense, and the model is as it was."""
    found = [one for door in DOORS if door.room == room for one in failures(door)]
    assert not found, "\n".join(["", *found])


@pytest.mark.slow
def test_the_matrix_is_large():
    """It finds the doors: far more than two thousand wrong calls, and more than five hundred wrong lines."""
    assert sum(len(door.parameters) for door in DOORS) * len(WRONG) >= 30_000
    assert sum(1 for name, command in COMMANDS.items() for _ in commands.wrong_lines(name, command)) >= 500


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[object, str]:
    """Exit code and standard error of a command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["qtaml", *words])
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as ended:
            return ended.code, told.getvalue()
    return 0, told.getvalue()


def contents(folder: Path) -> dict[str, int]:
    """The files of a folder and their sizes."""
    return {
        str(path.relative_to(folder)): path.stat().st_size if path.is_file() else 0
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.filterwarnings("ignore")
def test_wrong_command_lines_are_refused(name, folder, monkeypatch):
    """An exit code, a message without a traceback, of one line where it is ours, and no file touched."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    commands.make_folder(folder)
    before, model, found = contents(folder), valid_values.fingerprint(), []
    for line in commands.wrong_lines(name, COMMANDS[name]):
        try:
            code, told = run(line.words, monkeypatch)
        except Exception as error:
            found.append(f"{line.told} ends in {type(error).__name__}: {error}")
            continue
        if code not in (2, 3, 4):
            found.append(f"{line.told} ends with {code}: {told}")
        if "Traceback" in told or not told.strip() or (told.startswith("qtaml:") and len(told.splitlines()) > 1):
            found.append(f"{line.told} says {told}")
        if contents(folder) != before or valid_values.fingerprint() != model:
            found.append(f"{line.told} leaves {contents(folder).keys() ^ before.keys()}")
    assert not found, "\n".join(["", *found])
