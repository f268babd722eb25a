"""Checks of arguments, each with the same form of message: what, the value received, what is allowed."""

import math
import operator
from collections.abc import Collection

from qtaml.errors import ArgumentError


def flip_probability(name: str, value: float) -> float:
    """Return `value` as a float if it lies in [0, 0.5), else raise `ArgumentError`."""
    number = real(name, value)
    if not 0.0 <= number < 0.5:
        raise ArgumentError(f"{name} must be a flip probability in [0, 0.5), got {value!r}")
    return number


def probability(name: str, value: float) -> float:
    """Return `value` as a float if it lies in [0, 1], else raise `ArgumentError`."""
    number = real(name, value)
    if not 0.0 <= number <= 1.0:
        raise ArgumentError(f"{name} must be a probability in [0, 1], got {value!r}")
    return number


def real(name: str, value: float) -> float:
    """Return `value` as a finite float, else raise `ArgumentError`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ArgumentError(f"{name} must be finite, got {value!r}")
    return number


def positive(name: str, value: float) -> float:
    """Return `value` as a float if it is finite and above 0, else raise `ArgumentError`."""
    number = real(name, value)
    if number <= 0:
        raise ArgumentError(f"{name} must be above 0, got {value!r}")
    return number


def integer(name: str, value: int, low: int, high: int | None = None) -> int:
    """Return `value` as an int if it is a whole number from `low` to `high`, else raise `ArgumentError`."""
    allowed = f"a whole number from {low} to {high}" if high is not None else f"a whole number of at least {low}"
    if isinstance(value, bool):
        raise ArgumentError(f"{name} must be {allowed}, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name} must be {allowed}, got {value!r}") from None
    if number < low or (high is not None and number > high):
        raise ArgumentError(f"{name} must be {allowed}, got {value!r}")
    return number


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return `value` if it is among `allowed`, else raise `ArgumentError` with the list."""
    if value not in allowed:
        raise ArgumentError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value
