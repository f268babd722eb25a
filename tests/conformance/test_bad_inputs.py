"""Wrong kinds of arguments at every public door, of the library and of the command line: refused by name, or right."""

from collections.abc import Iterator
from typing import Any

import pytest

from qtaml.errors import QtamlError
from tests.conformance import public_doors
from tests.conformance.public_doors import ONCE, SLOW, WRONG, Door, fits, instance, values

DOORS = list(public_doors.doors())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder for what calls write, which is the current one: a text may be a path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(public_doors, "FOLDER", tmp_path)
    return tmp_path


def wrong_calls(door: Door) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """Parameter, label of the value, arguments, and whether the value is of a kind that the parameter cannot take."""
    for name, parameter in door.parameters.items():
        for label, make in WRONG.items():
            value = make()
            # What is left as it is by default is right, even where the annotation does not tell.
            nonsense = not fits(door.hints[name], value) and value is not parameter.default
            # What a function of the user does, and how long a right call takes, is not looked at here.
            if nonsense or not (door.name in SLOW or label == "2**70" or callable(value)):
                yield name, label, values(door) | {name: value}, nonsense


def failures(door: Door) -> list[str]:
    """Calls with a wrong argument that end in an error from inside, or are accepted."""
    found = []
    own = () if door.of is None else (instance(door.of),)
    before = public_doors.fingerprint()
    for name, label, arguments, nonsense in wrong_calls(door):
        told = f"{door.name}({name}={label})"
        try:
            door.call(*own, **arguments)
        except QtamlError as error:
            if nonsense and name not in str(error):
                found.append(f"{told} does not name the argument: {error}")
        except Exception as error:
            found.append(f"{told} ends in {type(error).__name__}: {error}")
        else:
            if nonsense:
                found.append(f"{told} is accepted")
        if public_doors.fingerprint() != before:
            found.append(f"{told} changes the model")
    return found


@pytest.mark.parametrize("room", sorted({door.room for door in DOORS}))
@pytest.mark.filterwarnings("ignore")
def test_wrong_kinds_are_refused_by_name(room):
    """No error from inside, nothing accepted that makes no sense, and the model is as it was."""
    found = [one for door in DOORS if door.room == room for one in failures(door)]
    assert not found, "\n".join(["", *found])


def test_the_matrix_is_large():
    """At least two thousand calls with what is wrong."""
    assert sum(nonsense for door in DOORS for *_, nonsense in wrong_calls(door)) >= 2000
