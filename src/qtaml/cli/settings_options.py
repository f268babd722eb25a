"""Options of a command from a settings record: one for each field, with its type, its default and its help."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer

from qtaml._records import TableError, from_table
from qtaml.cli.fault_option import FAULT_FORMS, P_FORMS, named_values, parse_faults, parse_flip_probability
from qtaml.errors import ArgumentError
from qtaml.faults import FlipProbability, GivenFault
from qtaml.planning import GivenOutput, Settings, setting_help, setting_parameters

CommandT = TypeVar("CommandT", bound=Callable[..., None])


@dataclass(frozen=True)
class _Form:
    """How a setting is written on the command line.

    Attributes:
        kind: its type there.
        read: makes the setting from the text or number that is given.
        default: as the help shows it; None for an option that may be left out.
        name: of the option; that of the setting if empty.
        metavar: what the help shows for the value; as for the type if None.
    """

    kind: Any
    read: Callable[[Any], Any] = lambda value: value
    default: Any = None
    name: str = ""
    metavar: str | None = None


def options_of(record: type[Settings]) -> Callable[[CommandT], CommandT]:
    """Give a command an option for each setting of a record, which it gets as its argument `settings`.

    Args:
        record: class of the record.

    Example:
        >>> from qtaml.planning import RandomProtection
        >>> @options_of(RandomProtection)
        ... def command(name: str, settings: RandomProtection) -> None:
        ...     print(name, settings)
        >>> list(inspect.signature(command).parameters)
        ['name', 'p', 'fault', 'device', 'window', 'overhead', 'seed']
        >>> command(name="any", p=None, fault=["uniform:p=0.2"], device=None, window=None, overhead=0.1, seed=3)
        any RandomProtection(fault=Uniform(p=0.2), overhead=0.1, seed=3)
    """
    parameters, told = setting_parameters(record), setting_help(record)
    forms = {name: _form(one) for name, one in parameters.items()}

    def decorate(command: CommandT) -> CommandT:
        def call(**given: Any) -> None:
            written = {name: given.pop(name) for name in forms}
            # Options that are not given are left out, so that the record's own defaults hold: typer gives None or an
            # empty list.
            settings = {name: forms[name].read(value) for name, value in written.items() if value not in (None, [])}
            try:
                command(settings=record(**settings), **given)
            except ArgumentError as error:
                raise ArgumentError(_as_typed(str(error), forms)) from error

        own = dict(inspect.signature(command).parameters)
        del own["settings"]
        options = [_option(name, forms[name], parameters[name].default, told[name]) for name in forms]
        signature = inspect.Signature(
            # Settings without a default may not follow arguments with one, unless all are by keyword.
            [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own.values()), *options]
        )
        # Typer reads signature and annotations to make the options: no option is typed in by hand.
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
        call.__name__, call.__doc__ = command.__name__, command.__doc__
        return call  # type: ignore[return-value]

    return decorate


def _as_typed(message: str, forms: Mapping[str, _Form]) -> str:
    """A message about settings as they are called in Python, with the names of the options."""
    flags = {name: _flag(name, form) for name, form in forms.items()}
    names = "|".join(flags)
    message = re.sub(rf"^({names})(?= must)", lambda found: flags[found[1]], message)
    message = re.sub(rf"\b({names})=None\b", lambda found: f"no {flags[found[1]]}", message)
    message = re.sub(rf"\b({names})=True\b", lambda found: flags[found[1]], message)
    message = re.sub(rf"\b({names})=", lambda found: f"{flags[found[1]]} ", message)
    # Elsewhere a name may be a word: "error" is one.
    choice = re.match("give (exactly|at most) one of .*?, got ", message)
    end = choice.end() if choice else 0
    return re.sub(rf"\b(?<!-)({names})\b", lambda found: flags[found[1]], message[:end]) + message[end:]


def _flag(name: str, form: _Form) -> str:
    return "--" + (form.name or name).replace("_", "-")


def _option(name: str, form: _Form, default: Any, told: str) -> inspect.Parameter:
    # Docstrings of settings begin in lower case, after the name.
    option = typer.Option(_flag(name, form), help=f"{told[0].upper()}{told[1:]}", metavar=form.metavar)
    # typer takes a parameter without a default as required.
    shown = form.default if default is not inspect.Parameter.empty else default
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=shown, annotation=Annotated[form.kind, option])


def _form(setting: inspect.Parameter) -> _Form:
    """The form of a setting, by its type."""
    kind, default = setting.annotation, setting.default
    origin, items = get_origin(kind), get_args(kind)
    if kind in (GivenFault, GivenFault | None):
        return _Form(list[str] | None, parse_faults, metavar=FAULT_FORMS)
    if kind == GivenOutput:
        return _Form(str | None)
    if kind == FlipProbability | None:
        return _Form(str | None, parse_flip_probability, metavar=P_FORMS)
    if origin is Mapping:
        return _Form(list[str] | None, _numbers, name=setting.name.removesuffix("s"), metavar="PATTERN=BITS")
    if origin is Sequence and items == (str,):
        return _Form(list[str] | None, tuple)
    if origin is Sequence and isinstance(items[0], type):
        read = partial(_records, setting.name, items[0])
        return _Form(list[str] | None, read, metavar=",".join(f"{name}=.." for name in _fields(items[0])))
    if origin is Sequence:
        return _Form(str if default else str | None, _names, ",".join(default) or None)
    if origin in (Union, UnionType) and any(get_origin(item) is Literal for item in items):
        # One of some names, or a number.
        names = (name for item in items for name in (get_args(item) or ("N",)))
        return _Form(str, lambda text: int(text) if text.isdecimal() else text, default, metavar="|".join(names))
    if origin in (Union, UnionType) and str in items:
        return _Form(str | None)
    return _Form(kind, default=default)


def _numbers(texts: Sequence[str]) -> dict[str, int]:
    return dict(map(parse_floor, texts))


def parse_floor(text: str) -> tuple[str, int]:
    """Pattern and number of bits of a floor such as "block*=1".

    Raises:
        ArgumentError: if the text has another form.

    Example:
        >>> parse_floor("block*=1")
        ('block*', 1)
    """
    # From the right: a pattern may hold "=", a number of bits does not.
    pattern, equals, bits = text.rpartition("=")
    if not (pattern and equals and bits.isdecimal()):
        raise ArgumentError(f"floor must be a pattern and a number of bits such as 'block*=1', got {text!r}")
    return pattern, int(bits)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _fields(record: type[Any]) -> list[str]:
    return [name for name in record.__dataclass_fields__ if name != "kind"]


def _records(option: str, record: type[Any], texts: Sequence[str]) -> tuple[Any, ...]:
    try:
        return tuple(from_table(record, named_values(text), _fields(record)) for text in texts)
    except TableError as error:
        form = ",".join(f"{name}=.." for name in _fields(record))
        raise ArgumentError(f"--{option} must be {form}, got {', '.join(texts)!r}: {error}") from error
