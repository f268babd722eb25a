"""Kinds of arguments, held against the types that signatures state: one check for every public door.

A room ends with `guard_doors(__name__)`. Its public functions, constructors and methods then refuse what their
annotations do not allow, with a message of the same form as those of `_checks`, before anything is computed: texts and
truth values as numbers, NaN, a generator where a sequence is read twice, another object than the one that is needed.
What values are allowed within a kind is checked where they are used.

Python's own rules of types, by which typeguard and beartype check, let True be a number and a text a sequence of texts,
and NumPy's numbers none.
"""

import dataclasses
import inspect
import re
import sys
import types
from abc import ABC
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike

from qtaml.errors import ArgumentError, QtamlError

# Whole values are shown up to this length: the printed form of a network or a tensor can fill a screen.
_LONGEST = 200


class Short(NamedTuple):
    """In `Annotated`: what may be given for what the annotation says, of which it is a short form."""

    form: Any


class _Kind(NamedTuple):
    """What an annotation allows: a test of a value, and how a message says it."""

    holds: Callable[[Any], bool]
    told: str


_ANYTHING = _Kind(lambda value: True, "anything")


def guard_doors(room: str) -> None:
    """Let the public functions, constructors and methods of a room check the kinds of their arguments.

    Args:
        room: name of the module, whose `__all__` says what is public.
    """
    module = sys.modules[room]
    for name in module.__all__:
        thing = getattr(module, name)
        if not getattr(thing, "__module__", "").startswith("qtaml") or isinstance(thing, types.ModuleType):
            continue
        if not inspect.isclass(thing):
            if callable(thing) and hasattr(thing, "__name__"):
                # Pickle and the doctests find a function by its module and name, so it is the guarded one there too.
                guarded = _guarded(thing)
                setattr(module, name, guarded)
                setattr(sys.modules[thing.__module__], name, guarded)
        elif not issubclass(thing, BaseException) and not getattr(thing, "_is_protocol", False):
            for part in thing.__mro__:
                if part.__module__.startswith("qtaml"):
                    _guard_class(part)


def _guard_class(thing: type) -> None:
    for name, member in list(vars(thing).items()):
        if name != "__init__" and (name.startswith("_") or name == "forward"):
            continue
        if isinstance(member, staticmethod | classmethod):
            setattr(thing, name, type(member)(_guarded(member.__func__)))
        elif inspect.isfunction(member):
            setattr(thing, name, _guarded(member, thing))


def _guarded(function: Any, of: type | None = None) -> Any:
    """The function behind a check of its arguments; `of` is its class where it is a constructor."""
    if hasattr(function, "_kinds"):
        return function
    parameters = list(inspect.signature(function).parameters.values())
    positional = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    kinds: dict[str, _Kind] = {}
    record = dataclasses.is_dataclass(of) and function.__name__ == "__init__"

    @wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        # At the first call: annotations may name what is defined further down, and most are never needed.
        if not kinds:
            kinds.update(_kinds_of(function, parameters, of))
        for name, value in (*zip(positional, arguments, strict=False), *keywords.items()):
            if name in kinds and not kinds[name].holds(value):
                if record:
                    _own_refusal(name, function, arguments, keywords)
                raise ArgumentError(f"{name} must be {kinds[name].told}, got {_shown(value)}")
        return function(*arguments, **keywords)

    call._kinds = kinds  # type: ignore[attr-defined]  # also the mark of what is guarded
    return call


def _own_refusal(name: str, function: Any, arguments: Any, keywords: Any) -> None:
    """What a record says itself of a wrong value is more exact. To make one changes nothing."""
    try:
        function(*arguments, **keywords)
    except Exception as error:
        if isinstance(error, QtamlError) and name in str(error):
            raise


def _kinds_of(function: Any, parameters: list[inspect.Parameter], of: type | None) -> dict[str, _Kind]:
    # Settings that a function takes by name (`takes`) have no annotation of its own: their record checks them.
    names = {one.name for one in parameters}
    hints = {name: hint for name, hint in getattr(function, "__annotations__", {}).items() if name in names}
    for source in (function, of) if of is not None and function.__name__ == "__init__" else (function,):
        try:
            hints |= {name: hint for name, hint in get_type_hints(source, include_extras=True).items() if name in names}
        except NameError:
            # Names that are imported for type checkers only.
            continue
    found = {"": _ANYTHING}
    for one in parameters:
        if one.name in hints and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            found[one.name] = _or_default(_kind(hints[one.name]), one.default)
    return found


def _or_default(kind: _Kind, default: Any) -> _Kind:
    """A default is right even where the annotation is narrower: it stands for what is made later."""
    if default is inspect.Parameter.empty or kind.holds(default):
        return kind
    return _Kind(lambda value: value is default or kind.holds(value), kind.told)


def _kind(hint: Any) -> _Kind:
    """What an annotation allows. What it cannot tell, such as a type variable, allows anything."""
    if isinstance(hint, dataclasses.InitVar):
        hint = hint.type
    if hint == ArrayLike:
        return _Kind(_is_numbers, "numbers, none of them NaN")
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, TypeVar):
        return _union(hint.__constraints__) if hint.__constraints__ else _ANYTHING
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(parts)
    if origin is Annotated:
        return _union((parts[0], *(one.form for one in parts[1:] if isinstance(one, Short))))
    if origin is Literal:
        return _Kind(
            lambda value: any(isinstance(value, type(one)) and value == one for one in parts),
            f"one of {', '.join(map(repr, parts))}",
        )
    return _class(hint) if origin is None else _container(origin, parts)


def _union(parts: Sequence[Any]) -> _Kind:
    classes = [part for part in parts if inspect.isclass(part) and part.__module__.startswith("qtaml.")]
    if len(classes) > 2 and (bases := set.intersection(*(set(one.__mro__) for one in classes)) - {object, ABC}):
        # The variants of one thing: the thing is named, and its own check tells which of them are right.
        return _union(
            (max(bases, key=lambda base: len(base.__mro__)), *(part for part in parts if part not in classes))
        )
    kinds = [_kind(part) for part in parts]
    told = list(dict.fromkeys(kind.told for kind in kinds))
    # A description with a comma would take what comes after it for its own.
    between = ", or " if any("," in one for one in told) else " or "
    return _Kind(lambda value: any(kind.holds(value) for kind in kinds), between.join(told))


def _class(hint: Any) -> _Kind:
    if not isinstance(hint, type) or (
        getattr(hint, "_is_protocol", False) and not getattr(hint, "_is_runtime_protocol", False)
    ):
        return _ANYTHING
    return _Kind(lambda value: isinstance(value, hint), _named(hint))


def _named(hint: type) -> str:
    """A class in words: "a fault model" for FaultModel."""
    words = re.sub("(?<=[a-z])(?=[A-Z])", " ", hint.__name__).lower()
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _container(origin: Any, parts: tuple[Any, ...]) -> _Kind:
    if origin is np.ndarray:
        return _array(np.dtype(get_args(parts[1])[0]).kind)
    if origin is Callable:
        return _Kind(callable, "a function")
    if origin is type:
        return _Kind(
            lambda value: isinstance(value, type) and issubclass(value, parts[0]), f"a {parts[0].__name__} class"
        )
    items = [_kind(part) for part in parts if part is not ...]
    if not isinstance(origin, type) or not issubclass(origin, Iterable):
        return _class(origin)
    if issubclass(origin, Mapping):
        keys, values = items
        return _Kind(
            lambda value: (
                isinstance(value, Mapping) and all(keys.holds(key) and values.holds(one) for key, one in value.items())
            ),
            f"a mapping from {keys.told} to {values.told}",
        )
    if issubclass(origin, tuple) and parts[-1] is not ...:
        return _Kind(
            lambda value: (
                _is_sequence(value)
                and len(value) == len(items)
                and all(item.holds(one) for item, one in zip(items, value, strict=True))
            ),
            f"({', '.join(item.told for item in items)})",
        )
    (item,) = items
    if item is _ANYTHING:
        return _Kind(lambda value: isinstance(value, Sequence) and not isinstance(value, str | bytes), "a sequence")
    if issubclass(origin, Sequence):
        return _Kind(lambda value: _is_sequence(value) and all(map(item.holds, value)), f"a sequence, each {item.told}")
    return _Kind(
        lambda value: (
            isinstance(value, Iterable)
            and not isinstance(value, str | bytes | Mapping)
            # What can be gone through once only is left to who goes through it.
            and (not isinstance(value, Collection) or all(map(item.holds, value)))
        ),
        f"several, each {item.told}",
    )


def _array(kind: str) -> _Kind:
    allowed = {"f": "iuf", "i": "iu", "u": "u"}[kind]
    told = "an array of numbers, none of them NaN" if kind == "f" else "an array of whole numbers"
    return _Kind(
        lambda value: isinstance(value, np.ndarray) and value.dtype.kind in allowed and not (value != value).any(), told
    )


def _is_sequence(value: Any) -> bool:
    """Whether it has a length and can be gone through again and again, in one order; a text is one thing."""
    return (isinstance(value, Sequence) and not isinstance(value, str | bytes)) or getattr(value, "ndim", 0) >= 1


def _is_numbers(value: Any) -> bool:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return array.dtype.kind in "iuf" and not np.isnan(array).any()


def _is_real(value: Any) -> bool:
    # NaN is the number that is not equal to itself.
    return value == value if type(value) in (float, int) else np.ndim(value) == 0 and _is_numbers(value)


def _is_whole(value: Any) -> bool:
    return type(value) is int or (hasattr(value, "__index__") and not isinstance(value, bool) and _is_real(value))


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{type(value).__name__} {shown[:_LONGEST]}..."


_PLAIN: dict[Any, _Kind] = {
    Any: _ANYTHING,
    inspect.Parameter.empty: _ANYTHING,
    None: _Kind(lambda value: value is None, "None"),
    types.NoneType: _Kind(lambda value: value is None, "None"),
    bool: _Kind(lambda value: isinstance(value, bool | np.bool_), "True or False"),
    int: _Kind(_is_whole, "a whole number"),
    float: _Kind(_is_real, "a number"),
    str: _Kind(lambda value: isinstance(value, str), "a text"),
    Path: _Kind(lambda value: isinstance(value, Path), "a path"),
}
"""The kinds of the plain types."""
