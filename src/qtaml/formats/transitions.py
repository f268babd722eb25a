"""The exact law of a read word given the stored one, and the exact mean and variance of the value read."""

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import BitErrorRates

LARGEST_MATRIX_BITS = 10


def transition_matrix(rates: BitErrorRates) -> NDArray[np.float64]:
    """Probability of reading each word, given each stored word.

    Args:
        rates: error rates of each bit position, after protection; at most 10 positions.

    Returns:
        Array of shape (2**bits, 2**bits): entry [stored, read]. Rows sum to 1.

    Raises:
        ArgumentError: if there are more than 10 bits.

    Source:
        theory.md section 8, `channel`.

    Example:
        >>> transition_matrix(BitErrorRates((0.25,), (0.5,))).tolist()
        [[0.75, 0.25], [0.5, 0.5]]
    """
    if rates.bits > LARGEST_MATRIX_BITS:
        raise ArgumentError(
            f"a transition matrix is made for at most {LARGEST_MATRIX_BITS} bits, got {rates.bits}; "
            "read_moments has no such limit"
        )
    matrix = np.ones((1, 1))
    for p01, p10 in zip(rates.p01, rates.p10, strict=True):
        matrix = np.kron(np.array([[1 - p01, p01], [p10, 1 - p10]]), matrix)
    return matrix


def read_moments(values: NDArray[np.float64], rates: BitErrorRates) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exact mean and variance of the value read, for every stored word.

    One bit position after the other is averaged over, by the law of total variance. Every term is non-negative, so
    nothing cancels however small the error rates are, and the cost is bits x 2**bits.

    Args:
        values: value of each word when read, shape (2**bits,).
        rates: error rates of each bit position, after protection.

    Returns:
        (mean, variance), each of shape (2**bits,), indexed by the stored word.

    Source:
        theory.md 1.2 to 1.4 and 3 give closed forms for single encodings.

    Example:
        >>> mean, variance = read_moments(np.array([0.0, 1.0]), BitErrorRates((0.25,), (0.5,)))
        >>> mean.tolist(), variance.tolist()
        ([0.25, 0.5], [0.1875, 0.25])
    """
    mean = np.asarray(values, dtype=np.float64)
    variance = np.zeros_like(mean)
    for position, (p01, p10) in enumerate(zip(rates.p01, rates.p10, strict=True)):
        shape = (-1, 2, 2**position)
        m, v = mean.reshape(shape), variance.reshape(shape)
        read_one = np.array([p01, 1 - p10]).reshape(2, 1)
        low, high = m[:, :1], m[:, 1:]
        spread = read_one * (1 - read_one) * (high - low) ** 2
        mean = (low + read_one * (high - low)).reshape(-1)
        variance = (v[:, :1] + read_one * (v[:, 1:] - v[:, :1]) + spread).reshape(-1)
    return mean, variance
