"""Residual error rates of codes as polynomials in p: how many error patterns of each weight leave a bit wrong."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def signed_binomials(minus: int, plus: int) -> list[int]:
    """Coefficients of (1 - z)**minus (1 + z)**plus, exact: Krawtchouk numbers.

    Example:
        >>> signed_binomials(1, 2)
        [1, 1, -1, -1]
    """
    # The coefficients solve (1 - z**2) f' = (plus - minus - n z) f: each follows from the two before it.
    n, before, row = minus + plus, 0, [1]
    for k in range(n):
        now = row[k]
        row.append(((plus - minus) * now - (n - k + 1) * before) // (k + 1))
        before = now
    return row


def as_floats(patterns: Sequence[Fraction]) -> NDArray[np.float64]:
    """Exact numbers of patterns as a read-only array."""
    array = np.array([float(number) for number in patterns])
    # Read-only, since it lies in a cache that all callers share.
    array.flags.writeable = False
    return array


def error_rate(patterns: NDArray[np.float64], p: float) -> float:
    """Sum of patterns[j] p**j (1-p)**(n-j): every term is positive, so small rates keep their digits."""
    weights = np.arange(len(patterns))
    # Rounding, or a bound instead of an exact count, may exceed 1.
    return min(1.0, float(patterns @ (np.power(p, weights) * np.power(1 - p, weights[::-1]))))


@lru_cache(maxsize=4096)
def binomials(n: int) -> tuple[int, ...]:
    """Row n of Pascal's triangle."""
    return tuple(signed_binomials(0, n))
