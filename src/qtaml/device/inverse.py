"""Inverse functions: the exposure that gives a wanted p, and roots of monotone functions, element by element."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.tails import log_binomial_tail

# scipy's inverse of the incomplete beta function fails for some p below 1e-160.
_SMALLEST_CLOSED = 1e-150


def required_log_exposure(p: ArrayLike, electrons: int, threshold: int) -> Array:
    """Logarithm of the exposure at which a cell loses its bit with probability p, in closed form.

    p_e = I^-1(p; n_th + 1, N_e - n_th) and exposure = -ln(1 - p_e); above p_e = 1/2 the complement is inverted, and
    for p below 1e-150 the tail is inverted in log space by root finding.

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
    result = _closed_inverse(np.maximum(wanted, _SMALLEST_CLOSED), electrons, threshold)
    far = wanted < _SMALLEST_CLOSED
    if not far.any():
        return result
    # There p is nearly C(N, n + 1) p_e^(n + 1), which is solved for p_e to start the search.
    order = threshold + 1
    log_ways = special.gammaln(electrons + 1) - special.gammaln(order + 1) - special.gammaln(electrons - threshold)
    log_p = np.log(wanted[far])
    result[far] = solve(
        lambda x, wanted: log_binomial_tail(electrons, threshold, x) - wanted, (log_p - log_ways) / order, log_p
    )
    return result


def _closed_inverse(p: Array, electrons: int, threshold: int) -> Array:
    """Logarithm of the required exposure by the inverse incomplete beta function."""
    a, b = threshold + 1, electrons - threshold
    escape, stay = np.asarray(special.betaincinv(a, b, p)), np.asarray(special.betainccinv(b, a, p))
    few = escape < 0.5
    # Each branch sees harmless values where the other one holds.
    from_escape = -np.log1p(-np.where(few, escape, 0.5))
    from_stay = -np.log(np.where(few, 0.5, stay))
    return np.array(np.log(np.where(few, from_escape, from_stay)))


def bisect(function: Callable[[Array], Array], low: Array, high: Array, halvings: int = 60) -> Array:
    """Root of an increasing function by bisection, element by element: for steps, which have no slope to follow.

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


def find_root(function: Callable[..., Array], low: Array, high: Array, wanted: Array) -> Array:
    """Root of a function between two points where its signs differ, element by element, to rounding error.

    Args:
        function: of x and the wanted values for it, two arrays of the same shape.
        low: where it is at most 0.
        high: where it is at least 0.
        wanted: of the shape of `low`.

    Returns:
        The roots, by Chandrupatla's method; NaN where the signs do not differ.

    Example:
        >>> find_root(lambda x, wanted: x**2 - wanted, np.zeros(2), np.full(2, 2.0), np.array([2.0, 0.25])).round(6)
        array([1.414214, 0.5     ])
    """
    from scipy.optimize import elementwise

    # Roots may lie at 0 (nm, ln s), where SciPy's default tolerance, which is relative, asks for digits that mean
    # nothing: hence an absolute one. Small function values do not end the search, since they have no common scale.
    found = elementwise.find_root(
        function, (low, high), args=(wanted,), tolerances={"xatol": 2e-14, "xrtol": 4e-16, "fatol": 0.0}
    )
    return np.asarray(found.x)


def solve(function: Callable[[Array, Array], Array], guess: Array, wanted: Array) -> Array:
    """Root of an increasing function near a guess, element by element, to rounding error.

    Args:
        function: of x and the wanted values for it, two arrays of the same shape; increasing in x.
        guess: where to start; the interval around it is widened by doubling, 40 times at most.
        wanted: of the shape of `guess`.

    Returns:
        The roots.

    Example:
        >>> solve(lambda x, wanted: x - wanted, np.array([0.0, 0.0]), np.array([5.0, -3.0])).round(6)
        array([ 5., -3.])
    """
    reach = np.ones_like(guess)
    for _ in range(40):
        missed = (function(guess - reach, wanted) > 0) | (function(guess + reach, wanted) < 0)
        if not missed.any():
            break
        reach = np.where(missed, 2 * reach, reach)
    return find_root(function, guess - reach, guess + reach, wanted)


def double_until(function: Callable[[Array], Array], start: Array, limit: float) -> Array:
    """Smallest of start, 2 start, 4 start, ... at which an increasing function is at least 0, element by element.

    Args:
        function: array to array of the same shape, increasing in each element.
        start: first values, above 0.
        limit: no doubling once the largest value has reached it.

    Returns:
        The values; where `limit` ended the search, the function may still be negative there.

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
