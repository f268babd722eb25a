"""Roots behind the inverse questions: the exposure that gives a wanted p, and monotone functions turned round."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from qtaml import _checks
from qtaml.device._arrays import Array


def required_log_exposure(p: ArrayLike, electrons: int, threshold: int) -> Array:
    """Logarithm of the exposure at which a cell loses its bit with probability p, in closed form.

    p_e = I^-1(p; n + 1, N - n) and exposure = -ln(1 - p_e); above p_e = 1/2 the complement is inverted.

    Args:
        p: wanted probabilities, in (0, 1).
        electrons: N_e.
        threshold: n_th.

    Returns:
        Natural logarithms, of the shape of p.

    Raises:
        ArgumentError: if a p is not in (0, 1).

    Source:
        theory.md 1.1 "Closed inverses".

    Example:
        >>> round(float(np.exp(required_log_exposure(0.5, 1, 0))), 6)
        0.693147
    """
    wanted = _checks.open_probability_array("p", p)
    a, b = threshold + 1, electrons - threshold
    escape = special.betaincinv(a, b, wanted)
    stay = special.betainccinv(b, a, wanted)
    smaller = np.where(escape < 0.5, escape, 0.5)
    return np.asarray(np.where(escape < 0.5, np.log(-np.log1p(-smaller)), np.log(-np.log(np.maximum(stay, 1e-300)))))


def bisect(function: Callable[[Array], Array], low: Array, high: Array, halvings: int = 60) -> Array:
    """Root of an increasing function, element by element, by halving.

    Args:
        function: array to array of the same shape, increasing in each element.
        low: where it is at most 0.
        high: where it is at least 0.
        halvings: 60 leave 1e-18 of the interval.

    Returns:
        The roots; an end of the interval where the sign never changes.

    Example:
        >>> bisect(lambda x: x**2 - 2, np.array([0.0]), np.array([2.0])).round(6)
        array([1.414214])
    """
    for _ in range(halvings):
        middle = (low + high) / 2
        below = function(middle) < 0
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def solve(function: Callable[[Array], Array], guess: Array) -> Array:
    """Root of an increasing function that is somewhere around a guess, element by element.

    Args:
        function: array to array of the same shape, increasing in each element.
        guess: where to start; the interval around it is widened by doubling, 40 times at most.

    Returns:
        The roots.

    Example:
        >>> solve(lambda x: x - 5, np.array([0.0])).round(6)
        array([5.])
    """
    reach = np.ones_like(guess)
    for _ in range(40):
        missed = (function(guess - reach) > 0) | (function(guess + reach) < 0)
        if not missed.any():
            break
        reach = np.where(missed, 2 * reach, reach)
    return bisect(function, guess - reach, guess + reach)


def double_until(function: Callable[[Array], Array], start: Array, limit: float) -> Array:
    """Smallest of start, 2 start, 4 start, ... at which an increasing function is at least 0, element by element.

    Args:
        function: array to array of the same shape, increasing in each element.
        start: first values, above 0.
        limit: no doubling once the largest value has reached it.

    Returns:
        The values; where none was found, the function is still below 0 there.

    Example:
        >>> double_until(lambda x: x - 5, np.array([1.0]), limit=100.0)
        array([8.])
    """
    values = start
    while values.max() < limit:
        below = function(values) < 0
        if not below.any():
            break
        values = np.where(below, 2 * values, values)
    return values
