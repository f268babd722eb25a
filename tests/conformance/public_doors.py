"""Every public callable with a valid call, and values of wrong kinds for each of its parameters."""

import dataclasses
import importlib
import inspect
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

import qtaml
from qtaml.device._arrays import Quantity
from qtaml.faults import Uniform
from tests.conformance import valid_values
from tests.conformance.valid_values import BY_DOOR, BY_KIND, BY_NAME

PARTS = ("exploration", "theory.paper", "memory", "export", "laboratory", "overview", "showing", "networks", "sampling")
"""Rooms that `qtaml` does not name among its own."""


class Door(NamedTuple):
    """A public callable: a function, a constructor or a method.

    Attributes:
        room: the room that offers it.
        name: room, name, and method.
        call: what is called; a method is that of a class.
        parameters: without `self`.
        hints: the type of each.
        of: class of the instance of a method; None for all others.
    """

    room: str
    name: str
    call: Callable[..., Any]
    parameters: dict[str, inspect.Parameter]
    hints: dict[str, Any]
    of: type | None


def doors() -> Iterator[Door]:
    """Functions, constructors and public methods of all rooms, each once."""
    seen: set[int] = set()
    rooms = [name for name in qtaml.__all__ if inspect.ismodule(getattr(qtaml, name))]
    for room in ("", *rooms, *PARTS):
        module = importlib.import_module(f"qtaml.{room}".rstrip("."))
        for name in module.__all__:
            thing = getattr(module, name)
            if id(thing) not in seen and (inspect.isfunction(thing) or inspect.isclass(thing)):
                seen.add(id(thing))
                yield from _doors_of(room or "qtaml", f"{room}.{name}".lstrip("."), thing)


def _doors_of(room: str, name: str, thing: Any) -> Iterator[Door]:
    if not inspect.isclass(thing):
        yield Door(room, name, thing, dict(inspect.signature(thing).parameters), _hints(thing), None)
        return
    if issubclass(thing, BaseException) or inspect.isabstract(thing) or getattr(thing, "_is_protocol", False):
        return
    if "__init__" in vars(thing):
        yield Door(room, name, thing, dict(inspect.signature(thing).parameters), _hints(thing), None)
    for member, raw in vars(thing).items():
        method = getattr(thing, member)
        if not member.startswith("_") and callable(method) and not issubclass(thing, nn.Module):
            parameters = dict(inspect.signature(method).parameters)
            static = isinstance(raw, staticmethod | classmethod)
            if not static:
                del parameters["self"]
            if parameters:
                yield Door(room, f"{name}.{member}", method, parameters, _hints(method), None if static else thing)


def _hints(thing: Any) -> dict[str, Any]:
    signature = inspect.signature(thing)
    hints = {name: one.annotation for name, one in signature.parameters.items()}
    for part in (*reversed(thing.__mro__), thing.__init__) if inspect.isclass(thing) else (thing,):
        # Names that type checkers alone import are not known when the code runs.
        with suppress(NameError):
            hints |= {name: hint for name, hint in get_type_hints(part).items() if name in hints}
    return {name: hint.type if isinstance(hint, dataclasses.InitVar) else hint for name, hint in hints.items()}


def values(door: Door) -> dict[str, Any]:
    """A valid call of it: what has no default, and what is to be given."""
    own = dict(BY_DOOR.get(door.name, {}))
    if {"p", "fault"} <= door.parameters.keys() and "fault" not in own:
        own.setdefault("p", lambda: 0.1)
    found = {}
    for name, one in door.parameters.items():
        if one.kind is one.VAR_KEYWORD:
            # What may be given by any name is given by those that are asked for.
            found |= {name: make() for name, make in own.items() if name not in door.parameters}
        elif name in own:
            found[name] = own[name]()
        elif one.default is one.empty:
            try:
                found[name] = _value(name, door.hints[name])
            except LookupError:
                raise LookupError(
                    f"{__file__}: give a valid value for {name} of {door.name}, {door.hints[name]}"
                ) from None
    return found


def called(door: Door, *own: Any, **arguments: Any) -> Any:
    """A call of it, by names where they are allowed."""
    placed = [
        arguments.pop(name, one.default) for name, one in door.parameters.items() if one.kind is one.POSITIONAL_ONLY
    ]
    return door.call(*own, *placed, **arguments)


@cache
def instance(of: type) -> Any:
    """An object of a class, for its methods."""
    if of in BY_KIND:
        return BY_KIND[of]()
    door = next(door for door in doors() if door.call is of)
    return of(**values(door))


def _value(name: str, hint: Any) -> Any:
    for make in BY_NAME.get(name, ()):
        if fits(hint, value := make()):
            return value
    with suppress(TypeError):  # some hints have no hash
        if hint in BY_KIND:
            return BY_KIND[hint]()
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return parts[0]
    if origin in (Union, types.UnionType):
        for part in parts:
            with suppress(LookupError):
                return _value("", part)
    if (origin is tuple and parts[-1] is ...) or origin in (Sequence, Iterable, list):
        return tuple(_value("", parts[0]) for _ in range(2))
    if origin is tuple:
        return tuple(_value("", part) for part in parts)
    if origin in (Mapping, dict):
        return {"text": _value("", parts[1])}
    raise LookupError


def fits(hint: Any, value: Any) -> bool:
    """Whether a value is of the kind that a hint asks for, whatever its size."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any or hint is inspect.Parameter.empty:
        return True
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and _is_numbers(value)
    if hint == ArrayLike or hint is Quantity:
        return _is_numbers(value) or fits(float, value)
    if origin is Annotated:
        return fits(parts[0], value)
    if origin in (Union, types.UnionType):
        return any(fits(part, value) for part in parts)
    if origin is Literal:
        return any(value is part or (type(value) is str and value == part) for part in parts)
    if origin is type:
        return isinstance(value, type) and issubclass(value, parts[0])
    if hint is None or hint is types.NoneType:
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, TypeVar):
        return True
    if origin in (Sequence, tuple, list):
        if isinstance(value, np.ndarray):
            return (_is_numbers(value) and parts[0] is float) or (value.dtype.kind == "U" and parts[0] is str)
        return isinstance(value, list | tuple) and all(fits(parts[0], one) for one in value)
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(fits(parts[0], a) and fits(parts[1], b) for a, b in value.items())
    if origin is Iterable:
        return isinstance(value, Iterator) or (
            isinstance(value, list | tuple) and all(fits(parts[0], one) for one in value)
        )
    if origin is Callable:
        return callable(value)
    if isinstance(hint, str):
        return type(value).__name__ == hint
    return isinstance(value, origin or hint)


def _is_numbers(value: Any) -> bool:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return False
    return array.dtype.kind in "iuf" and not np.isnan(array).any()


class Other:
    """Of no use to anything."""

    def __repr__(self) -> str:
        return "Other()"


WRONG: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "no": lambda: "no",
    "empty": lambda: "",
    "bytes": lambda: b"1",
    "True": lambda: True,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-1": lambda: -1,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "2**70": lambda: 2**70,
    "complex": lambda: 1j,
    "[]": list,
    "{}": dict,
    "set": lambda: {1},
    "[None]": lambda: [None],
    "['no']": lambda: ["no"],
    "[nan]": lambda: [math.nan],
    "{1: Other}": lambda: {1: Other()},
    "{'a': Other}": lambda: {"a": Other()},
    "object": Other,
    "class": lambda: Other,
    "generator": lambda: (one for one in [Other()]),
    "NaN array": lambda: np.full(2, np.nan),
    "texts": lambda: np.array(["no"]),
    "NaN tensor": lambda: torch.full((2,), math.nan),
    "complex tensor": lambda: torch.ones(2, dtype=torch.complex64),
    "Path": lambda: valid_values.FOLDER / "some",
    "lambda": lambda: lambda: 3,
    "Linear": lambda: nn.Linear(2, 2),
    "Uniform": lambda: Uniform(0.1),
}
"""Values, of which most are wrong for any parameter."""

SLOW = {
    "Memory.read_together",
    "Memory.save",
    "Result.from_json",
    "codesign",
    "compensate",
    "design",
    "predict",
    "tune",
    "export.write_onnx",
    "export.write_program",
    "faults.StaticCells.from_cell",
    "laboratory.Case.plan",
    "laboratory.Laboratory.network",
    "laboratory.Laboratory.plan",
    "measuring.check_prediction",
    "networks.load_digits",
    "networks.python_sources",
    "networks.sum_of_ends",
    "networks.train_classifier",
    "networks.trained",
    "planning.sensitivity_protection",
    "protections.BlockCoder",
    "showing.save_figure",
    "search.Designer",
    "search.Designer.plan",
}
"""Calls of these take long where they are right: only what is wrong is tried."""

ONCE = ("sensitivity.output_deviations", "showing.columns")
"""Reviewed: these go through what can be gone through once, and the items that it gives are its own affair."""
