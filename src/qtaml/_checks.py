"""Checks of arguments, with messages of one form: the argument, what is allowed, the value received."""

import math
import operator
from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def real(name: str, value: float | str) -> float:
    """Return `value` as a finite float, else raise `ArgumentError`."""
    try:
        # float() takes texts too, and a number in quotes is more likely a mistake than meant.
        if isinstance(value, str):
            raise TypeError
        number = float(value)
    except OverflowError:
        # A whole number too long for a float is as far out of range as infinity.
        number = math.inf
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
    # bool is an int in Python.
    if isinstance(value, bool):
        raise ArgumentError(f"{name} must be {allowed}, got {value!r}")
    try:
        # NumPy integers pass, and floats, even 3.0, do not: int() would cut 3.7 to 3.
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


def confidence(value: float) -> float:
    """Return the coverage of an interval as a float if it lies between 0 and 1, else raise `ArgumentError`."""
    number = real("confidence", value)
    if not 0 < number < 1:
        raise ArgumentError(f"confidence must lie between 0 and 1, got {number!r}")
    return number


def at_least(name: str, value: float, low: float) -> float:
    """Return `value` as a float if it is finite and at least `low`, else raise `ArgumentError`."""
    number = real(name, value)
    if number < low:
        raise ArgumentError(f"{name} must be at least {low:g}, got {value!r}")
    return number


def non_negative(name: str, value: float) -> float:
    """Return `value` as a float if it is finite and at least 0, else raise `ArgumentError`."""
    return at_least(name, value, 0.0)


def covers(name: str, given: Collection[str], needed: Collection[str]) -> None:
    """Raise `ArgumentError` unless `given`, names or a mapping by them, has all the names that are needed."""
    for one in needed:
        if one not in given:
            raise ArgumentError(f"{name} must have {one!r}, got {', '.join(map(repr, given)) or 'none'}")


def words(name: str, values: ArrayLike, bits: int) -> NDArray[np.int64]:
    """Return `values` as an array of integers if each fits into `bits` bits, else raise `ArgumentError`."""
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer) or ((array < 0) | (array >= 2**bits)).any():
        raise ArgumentError(f"{name} must be whole numbers from 0 to {2**bits - 1}, got {values!r}")
    return array.astype(np.int64)


def positive_array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as an array of floats if all are finite and above 0, else raise `ArgumentError`."""
    return _array_within(name, values, 0.0, math.inf, "above 0 and finite")


def open_probability_array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as an array of floats if all lie in (0, 1), else raise `ArgumentError`."""
    return _array_within(name, values, 0.0, 1.0, "above 0 and below 1")


def _array_within(name: str, values: ArrayLike, low: float, high: float, rule: str) -> NDArray[np.float64]:
    """Return `values` as an array of floats if all lie in (low, high), else raise `ArgumentError`."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} must be {rule}, got {values!r}") from None
    # Negated, so that NaN, for which every comparison is false, is wrong too.
    wrong = ~((array > low) & (array < high))
    if wrong.any():
        raise ArgumentError(f"{name} must be {rule}, got {float(array[wrong][0])!r}")
    return array
