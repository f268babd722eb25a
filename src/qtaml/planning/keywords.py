"""Functions that take the fields of a settings record as keyword arguments, or the record itself."""

import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import InitVar
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from torch import nn

from qtaml.model import Batches
from qtaml.planning.base_settings import Settings
from qtaml.sensitivity import Calibration

P = ParamSpec("P")
SettingsT = TypeVar("SettingsT")
SettingsT_contra = TypeVar("SettingsT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class OfModel(Protocol[SettingsT_contra, P, ResultT_co]):
    """A function of a model and settings."""

    @overload
    def __call__(self, model: nn.Module, settings: SettingsT_contra, /) -> ResultT_co: ...
    @overload
    def __call__(self, model: nn.Module, *args: P.args, **settings: P.kwargs) -> ResultT_co: ...


class OfCalibratedModel(Protocol[SettingsT_contra, P, ResultT_co]):
    """A function of a model, calibration inputs and settings."""

    @overload
    def __call__(self, model: nn.Module, calibration: Batches, settings: SettingsT_contra, /) -> ResultT_co: ...
    @overload
    def __call__(self, model: nn.Module, calibration: Batches, *args: P.args, **settings: P.kwargs) -> ResultT_co: ...


class takes(Generic[SettingsT, P]):  # noqa: N801  # a decorator
    """Decorator: a function whose last argument is a record takes the record's fields as keyword arguments as well.

    Signature and docstring are made from the record, the only place where a setting is written.

    Args:
        record: class of the record.

    Example:
        >>> from qtaml.planning.settings import UniformMsp
        >>> @takes(UniformMsp)
        ... def share(model: nn.Module, settings: UniformMsp) -> float:
        ...     return settings.protected_bits / settings.bits
        >>> share(nn.Linear(2, 2), p=0.1, protected_bits=2), share(nn.Linear(2, 2), UniformMsp(p=0.1, protected_bits=4))
        (0.25, 0.5)
    """

    def __init__(self, record: Callable[P, SettingsT]) -> None:
        self.record: Any = record

    @overload
    def __call__(self, function: Callable[[nn.Module, SettingsT], ResultT]) -> OfModel[SettingsT, P, ResultT]: ...
    @overload
    def __call__(
        self, function: Callable[[nn.Module, Batches, SettingsT], ResultT]
    ) -> OfCalibratedModel[SettingsT, P, ResultT]: ...
    def __call__(self, function: Callable[..., Any]) -> Any:
        """The decorated function, which takes the record or its fields."""
        own, fields = inspect.signature(function), inspect.signature(self.record)
        others = [one for name, one in own.parameters.items() if name != "settings"]

        @wraps(function)
        def call(*inputs: Any, **keywords: Any) -> Any:
            # Models and calibration batches are never records, so the last positional argument tells the two forms
            # apart.
            if inputs and isinstance(inputs[-1], self.record):
                return function(*inputs, **keywords)
            # Arguments that are no settings, such as the metric of a design, stay the function's own.
            given = {one.name: keywords.pop(one.name) for one in others if one.name in keywords}
            try:
                fields.bind(**keywords)
            except TypeError as error:
                # In the name of the function that was called, not of the record behind it.
                raise TypeError(f"{function.__name__}() {error}") from None
            return function(*inputs, settings=self.record(**keywords), **given)

        told = [*others, *setting_parameters(self.record).values()]
        # For help(), editors and the command line, which read the signature.
        call.__signature__ = own.replace(parameters=told)  # type: ignore[attr-defined]
        call.__doc__ = _with_settings(inspect.getdoc(function) or "", self.record)
        return call


MEASURED = ("passes", "include", "exclude", "unreached_floor", "seed", "output")
"""Settings of methods that `Calibration` takes."""


def calibrated(model: nn.Module, calibration: Batches, settings: Settings) -> Calibration:
    """What is to be measured of a network, as the settings ask for it."""
    asked = {name: getattr(settings, name) for name in MEASURED if hasattr(settings, name)}
    return Calibration(model, calibration, **asked)


def setting_parameters(record: type[Settings]) -> dict[str, inspect.Parameter]:
    """The settings that a record takes, with their types and defaults, as keyword arguments."""
    found = dict(inspect.signature(record).parameters)
    del found["kind"]
    factories: dict[str, Any] = {one.name: one.default_factory for one in record.__dataclass_fields__.values()}
    for name, one in found.items():
        # `p` is no field but an InitVar, a short form of the fault model.
        kind = one.annotation.type if isinstance(one.annotation, InitVar) else one.annotation
        default = factories[name]() if callable(factories[name]) else one.default
        found[name] = one.replace(annotation=kind, default=default)
    return found


def setting_help(record: type[Settings]) -> dict[str, str]:
    """The description of each setting, from `Attributes:` in the docstrings of a record and of its base classes."""
    found: dict[str, str] = {}
    # The record itself comes last, so that it may describe an inherited setting anew.
    for base in reversed(record.__mro__[:-1]):
        attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        entries = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", attributes, re.MULTILINE)
        found |= {name: " ".join(text.split()) for name, text in entries}
    return found


def _with_settings(text: str, record: type[Settings]) -> str:
    """The docstring of a function with the settings after its other arguments."""
    help_of = setting_help(record)
    entries = [
        textwrap.fill(f"{name}: {help_of[name]}", 116, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for name in setting_parameters(record)
    ]
    arguments, returns, rest = text.partition("\n\nReturns:")
    return "\n".join([arguments, *entries]) + returns + rest
