"""Closed forms of the mean and variance of a weight when read, for each encoding, under asymmetric errors.

Every unprotected bit is read as 1 where 0 is stored with probability p01, as 0 where 1 is stored with p10; equal ones
give the paper's symmetric case. The `protected` most significant bits are never read wrong. All values are in units of
the full scale. Below, m = bits - protected, l is the unprotected part of the code, s = p01 + p10, D the step.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.formats import Grid, quantisation_step
from qtaml.theory.scores import Floats


def offset_binary_moments(
    stored: ArrayLike, *, p01: float, p10: float, bits: int, protected: int = 0, grid: Grid = "half_step"
) -> tuple[Floats, Floats]:
    """Mean and variance in offset binary: the mean moves towards the centre c of the cell of the protected bits.

    Args:
        stored: stored codes, whole numbers, any shape.
        p01: probability of reading 1 where 0 is stored.
        p10: probability of reading 0 where 1 is stored.
        bits: bits of a word.
        protected: protected most significant bits, 0 to `bits`.
        grid: "half_step" or the paper's "integer".

    Returns:
        (mean, variance), of the shape of `stored`: w - s (w - c) + (p01 - p10) D (2**m - 1) / 2, and the variance of
        the unprotected bits.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        theory.md 1.4 and 3; for p01 = p10 and no protection paper, theorems 3.2 and A.11.

    Example:
        >>> mean, variance = offset_binary_moments([0, 255], p01=0.1, p10=0.1, bits=8)
        >>> mean.round(6).tolist(), variance.round(4).tolist()
        ([-0.8, 0.8], [0.1209, 0.1209])
    """
    codes, m = _checked(stored, p01, p10, bits, protected)
    step, low = quantisation_step(bits, grid), codes & (1 << m) - 1
    weight = step * (codes - _origin(bits, grid))
    centre = weight - step * (low - (2**m - 1) / 2)
    mean = weight - (p01 + p10) * (weight - centre) + (p01 - p10) * step * (2**m - 1) / 2
    return mean, _variance_of_bits(low, m, p01, p10) * step**2


def twos_complement_moments(
    stored: ArrayLike, *, p01: float, p10: float, bits: int, protected: int = 0, grid: Grid = "half_step"
) -> tuple[Floats, Floats]:
    """Mean and variance in two's complement: offset binary with the top bit inverted, and so its errors swapped.

    Args:
        stored: stored words, whole numbers, any shape.
        p01: probability of reading 1 where 0 is stored.
        p10: probability of reading 0 where 1 is stored.
        bits: bits of a word.
        protected: protected most significant bits, 0 to `bits`.
        grid: "half_step" or the paper's "integer".

    Returns:
        (mean, variance), of the shape of `stored`. Without protection the mean is (1 - s) w - p01 D on the integer grid
        and (1 - s) w + (p10 - p01) D / 2 on the half-step grid; with it, w + D (p01 (2**m - 1) - s l).

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        theory.md 1.3 and 3; paper A.8 for p01 = p10.

    Example:
        >>> mean, _ = twos_complement_moments(128, p01=0.0, p10=0.1, bits=8, grid="integer")
        >>> mean.item()
        -0.9
    """
    codes, m = _checked(stored, p01, p10, bits, protected)
    step, low = quantisation_step(bits, grid), codes & (1 << m) - 1
    # Unprotected, the inverted top bit fails with p01 and p10 swapped, so the formula of offset binary holds only where
    # that bit is protected.
    weight = step * ((codes ^ 1 << bits - 1) - _origin(bits, grid))
    if protected:
        mean = weight + step * (p01 * (2**m - 1) - (p01 + p10) * low)
    elif grid == "integer":
        mean = (1 - p01 - p10) * weight - p01 * step
    else:
        mean = (1 - p01 - p10) * weight + (p10 - p01) * step / 2
    return mean, _variance_of_bits(low, m, p01, p10) * step**2


def sign_magnitude_moments(
    stored: ArrayLike, *, p01: float, p10: float, bits: int, protected: int = 0, grid: Grid = "half_step"
) -> tuple[Floats, Floats]:
    """Mean and variance in sign-magnitude: the magnitude moves like offset binary, and the sign may turn.

    Args:
        stored: stored words, whole numbers, any shape; the sign is the top bit, 1 for negative.
        p01: probability of reading 1 where 0 is stored.
        p10: probability of reading 0 where 1 is stored.
        bits: bits of a word.
        protected: protected most significant bits, 0 to `bits`; the sign is the first of them.
        grid: "half_step" or the paper's "integer".

    Returns:
        (mean, variance), of the shape of `stored`: sign * eta * M and v + (1 - eta**2) M**2, where M and v are mean and
        variance of the magnitude and eta is the expected factor of the sign, 1 if that is protected.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        theory.md 1.3 and 3; paper A.8 for p01 = p10 on the integer grid.

    Example:
        >>> mean, variance = sign_magnitude_moments([0, 127], p01=0.1, p10=0.1, bits=8, grid="integer")
        >>> mean.round(6).tolist(), variance.round(4).tolist()
        ([0.079375, 0.714375], [0.0335, 0.3171])
    """
    codes, m = _checked(stored, p01, p10, bits, protected)
    # The sign is no part of the magnitude: unprotected, it enters by its factor alone.
    m = min(m, bits - 1)
    step, low = quantisation_step(bits, grid), codes & (1 << m) - 1
    negative = codes >> bits - 1 == 1
    magnitude = step * ((codes & (1 << bits - 1) - 1) + (0.5 if grid == "half_step" else 0.0))
    expected = magnitude + step * (p01 * (2**m - 1) - (p01 + p10) * low)
    factor = 1.0 if protected else 1 - 2 * np.where(negative, p10, p01)
    mean = np.where(negative, -1.0, 1.0) * factor * expected
    return mean, _variance_of_bits(low, m, p01, p10) * step**2 + (1 - factor**2) * expected**2


def _checked(stored: ArrayLike, p01: float, p10: float, bits: int, protected: int) -> tuple[NDArray[np.int64], int]:
    """The codes as integers, and the number of unprotected bits."""
    _checks.flip_probability("p01", p01)
    _checks.flip_probability("p10", p10)
    _checks.integer("bits", bits, 2, 16)
    return _checks.words("stored", stored, bits), bits - _checks.integer("protected", protected, 0, bits)


def _origin(bits: int, grid: Grid) -> float:
    """Steps from the lowest level to zero."""
    return (2**bits - 1) / 2 if grid == "half_step" else 2.0 ** (bits - 1)


def _variance_of_bits(low: NDArray[np.int64], m: int, p01: float, p10: float) -> Floats:
    """Sum of 4**i times the variance of bit i as read, over the m unprotected bits, in squared steps."""
    q0, q1 = p01 * (1 - p01), p10 * (1 - p10)
    spread = sum((4.0**i * (low >> i & 1) for i in range(m)), np.zeros(low.shape))
    return np.asarray(q0 * (4.0**m - 1) / 3 + (q1 - q0) * spread)
