"""The law of a read word by enumeration: every stored word, with every error mask."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def enumerated_transitions(p01: Sequence[float], p10: Sequence[float]) -> NDArray[np.float64]:
    """Probability of each read word (columns) given each stored word (rows), bit 0 first in `p01` and `p10`."""
    bits = len(p01)
    words = np.arange(2**bits)
    matrix = np.zeros((2**bits, 2**bits))
    for mask in range(2**bits):
        probability = np.ones(2**bits)
        for position in range(bits):
            stored_one = (words >> position & 1).astype(bool)
            error = np.where(stored_one, p10[position], p01[position])
            probability *= error if mask >> position & 1 else 1 - error
        matrix[words, words ^ mask] = probability
    return matrix


def enumerated_moments(
    values: NDArray[np.float64], p01: Sequence[float], p10: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the value read, for each stored word; `values` gives that of each word."""
    matrix = enumerated_transitions(p01, p10)
    mean = matrix @ values
    variance = (matrix * (values[np.newaxis] - mean[:, np.newaxis]) ** 2).sum(axis=1)
    return mean, variance


def protected_rates(p: float, bits: int, most_significant: int) -> list[float]:
    """Flip probability of each bit, bit 0 first, when the most significant ones never fail."""
    return [p] * (bits - most_significant) + [0.0] * most_significant
