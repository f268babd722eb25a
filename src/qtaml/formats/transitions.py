"""The exact law of a read word given the stored one, and the exact mean and variance of the value read."""

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw

# A matrix of float64 takes 8 MiB at 10 bits, and four times as much for each further bit; fitting multiplies by it.
LARGEST_MATRIX_BITS = 10


def transition_matrix(law: WordLaw) -> NDArray[np.float64]:
    """Probability of reading each word, given each stored word.

    P[u, v] = product of P_g[u_g, v_g] over the independent groups g of bits: the Kronecker product of their matrices.

    Args:
        law: law of the word read, after protection; of at most 10 bits.

    Returns:
        Array of shape (2**bits, 2**bits): entry [stored, read]. Rows sum to 1.

    Raises:
        ArgumentError: if there are more than 10 bits.

    Source:
        theory.md section 8, `channel`.

    Example:
        >>> transition_matrix(WordLaw.of_bits((0.25,), (0.5,))).tolist()
        [[0.75, 0.25], [0.5, 0.5]]
    """
    if law.bits > LARGEST_MATRIX_BITS:
        raise ArgumentError(
            f"a transition matrix is made for at most {LARGEST_MATRIX_BITS} bits, got {law.bits}; "
            "central_moments has no such limit"
        )
    matrix: NDArray[np.float64] = np.ones((1, 1))
    for group in law.groups:
        # The right factor of a Kronecker product varies fastest: the less significant bits stand there.
        matrix = np.asarray(np.kron(group, matrix), dtype=np.float64)
    return matrix


def central_moments(
    values: NDArray[np.float64], law: WordLaw
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Exact mean, variance, third and fourth central moment of the value read, for every stored word.

    Args:
        values: value of each word when read, shape (2**bits,).
        law: law of the word read, after protection.

    Returns:
        (mean, variance, third, fourth), each of shape (2**bits,), indexed by the stored word.

    Source:
        theory.md 1.2 to 1.4 and 3 give closed forms for single encodings.

    Example:
        >>> mean, variance, _, _ = central_moments(np.array([0.0, 1.0]), WordLaw.of_bits((0.25,), (0.5,)))
        >>> mean.tolist(), variance.tolist()
        ([0.25, 0.5], [0.1875, 0.25])
    """
    drift, variance, third, fourth = table_error_moments(values, law)
    return values + drift, variance, third, fourth


def table_error_moments(
    values: NDArray[np.float64], law: WordLaw
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """`error_moments` of tables that may hold infinity and NaN.

    Where one of them may be read, mean and third moment are NaN, the others infinite.

    Source:
        theory.md 6.10.
    """
    finite = np.isfinite(values)
    moments = error_moments(np.where(finite, values, 0.0), law)
    if finite.all():
        return moments
    # The chance of reading one: exactly 0 behind protections that let none through.
    lost = error_moments(1.0 - finite, law)[0] + ~finite > 0
    none = zip(moments, (np.nan, np.inf, np.nan, np.inf), strict=True)
    mean, variance, third, fourth = (np.where(lost, instead, moment) for moment, instead in none)
    return mean, variance, third, fourth


def error_moments(
    values: NDArray[np.float64], law: WordLaw
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Exact mean, variance, third and fourth central moment of the error, read minus stored, for every stored word.

    One group of bits after the other is averaged over by the laws of total moments: Var = E[Var given the group] +
    Var(E given the group), and likewise for the higher ones. In the variance every term is non-negative, so nothing
    cancels however small the error rates are. The cost is bits x 2**bits.

    Args:
        values: value of each word when read, shape (2**bits,).
        law: law of the word read, after protection.

    Returns:
        (mean, variance, third, fourth), each of shape (2**bits,), indexed by the stored word. The mean keeps its digits
        however small it is beside the values.

    Source:
        theory.md 1.2 to 1.4 and 3 give closed forms for single encodings.

    Example:
        >>> mean, variance, _, _ = error_moments(np.array([0.0, 1.0]), WordLaw.of_bits((0.25,), (0.5,)))
        >>> mean.tolist(), variance.tolist()
        ([0.25, -0.5], [0.1875, 0.25])
    """
    mean = np.asarray(values, dtype=np.float64)
    total_drift, variance, third, fourth = (np.zeros_like(mean) for _ in range(4))
    below = 1
    for matrix in law.groups:
        shape = (-1, 1, len(matrix), below)
        m, v, t, f = (moment.reshape(shape) for moment in (mean, variance, third, fourth))
        weight = matrix[:, :, np.newaxis]
        # Differences from the stored value: a drift of 1e-12 beside a value of 1 keeps its digits, which the difference
        # of two means would lose.
        stored = m.swapaxes(1, 2)
        away = m - stored
        drift = (weight * away).sum(2, keepdims=True)
        shift = away - drift
        # The drift is summed by itself for the same reason: taken from `mean` at the end, it would be rounding error.
        mean = (stored + drift).reshape(-1)
        total_drift = total_drift + drift.reshape(-1)
        variance = (weight * (v + shift**2)).sum(2).reshape(-1)
        third = (weight * (t + 3 * shift * v + shift**3)).sum(2).reshape(-1)
        fourth = (weight * (f + 4 * shift * t + 6 * shift**2 * v + shift**4)).sum(2).reshape(-1)
        below *= len(matrix)
    return total_drift, variance, third, fourth
