"""The closed forms of the paper for one weight in offset binary, under one symmetric flip probability.

They hold in units of the full scale, for each of the 2**bits codes, with the `protected` most significant bits never
read wrong. `encoding_forms` has the means and variances of the other labels and of asymmetric errors; `weight_error`
has everything for any format. With p = 0 or every bit protected nothing is left to have a shape: skewness, kurtosis
and Lyapunov ratio are 0 then.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.formats import Grid, quantisation_step

Floats = NDArray[np.float64]


def mean_drift(weight: ArrayLike, p: float, bits: int, *, grid: Grid = "half_step") -> Floats:
    """Expected error of a weight without protection: -2 p w, and -p D more on the integer grid.

    Args:
        weight: stored weights, each on a level of the grid, any shape.
        p: flip probability.
        bits: bits of a word.
        grid: "half_step" or the paper's "integer".

    Returns:
        Array of the shape of `weight`.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, theorem 3.2; theory.md 1.2 and 1.3.

    Example:
        >>> mean_drift(0.5, 0.1, 8, grid="integer").item()
        -0.10078125
    """
    p, step = _checks.flip_probability("p", p), quantisation_step(bits, grid)
    return np.asarray(-2 * p * np.asarray(weight, dtype=np.float64) - (p * step if grid == "integer" else 0.0))


def variance(p: float, bits: int, *, protected: ArrayLike = 0, grid: Grid = "half_step") -> Floats:
    """Variance of a weight when read, the same for every code: p (1 - p) D**2 (4**m - 1) / 3 with m = bits - protected.

    On the integer grid this is the paper's (4/3) p (1 - p) (4**-protected - 4**-bits).

    Args:
        p: flip probability.
        bits: bits of a word.
        protected: protected most significant bits, 0 to `bits`, any shape; fractions are allowed (they stand for the
            continuous relaxation).
        grid: "half_step" or the paper's "integer".

    Returns:
        Array of the shape of `protected`.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, theorem A.11 and lemma 4.2; theory.md 1.2, 1.4 and 1.5.

    Example:
        >>> variance(0.1, 8, protected=[0, 1], grid="integer").round(5).tolist()
        [0.12, 0.03]
    """
    p, step = _checks.flip_probability("p", p), quantisation_step(bits, grid)
    k = np.asarray(protected, dtype=np.float64)
    if not ((k >= 0) & (k <= bits)).all():
        raise ArgumentError(f"protected must lie between 0 and {bits} bits, got {protected!r}")
    # expm1 keeps the digits of 4**m - 1 where m is near 0.
    return np.asarray(p * (1 - p) * step**2 * np.expm1(math.log(4) * (bits - k)) / 3)


def top_bits_share(bits: int, count: int = 1) -> float:
    """Share of the most significant bits in the variance of an unprotected weight.

    Args:
        bits: bits of a word.
        count: how many of the most significant bits, 0 to `bits`.

    Returns:
        (1 - 4**-count) 4**bits / (4**bits - 1): 3/4 for one and 15/16 for two bits of a long word.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, theorem 3.4 and proposition A.12; theory.md 1.2.

    Example:
        >>> top_bits_share(2), round(top_bits_share(8), 6)
        (0.8, 0.750011)
    """
    _checks.integer("bits", bits, 2, 16)
    _checks.integer("count", count, 0, bits)
    return float((4**bits - 4 ** (bits - count)) / (4**bits - 1))


def skewness(stored: ArrayLike, p: float, bits: int, *, protected: int = 0) -> Floats:
    """Skewness of a weight when read.

    Args:
        stored: stored codes, whole numbers from 0 to 2**bits - 1, any shape.
        p: flip probability.
        bits: bits of a word.
        protected: protected most significant bits, 0 to `bits`.

    Returns:
        (1 - 2p) / sqrt(p (1 - p)) times sum(8**i (1 - 2 b_i)) / ((4**m - 1) / 3)**(3/2) over the m unprotected bits, of
        the shape of `stored`.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, theorem A.13; theory.md 1.2.

    Example:
        >>> skewness([0, 255], 0.1, 8).round(4).tolist()
        [1.9795, -1.9795]
    """
    p, m = _checks.flip_probability("p", p), _unprotected(bits, protected)
    codes = _checks.words("stored", stored, bits)
    if p == 0 or m == 0:
        return np.zeros(codes.shape)
    # Exact in floats: the sum is whole and below 8**16 = 2**48.
    signed = sum(8.0**i * (1 - 2 * (codes >> i & 1)) for i in range(m))
    return np.asarray((1 - 2 * p) / math.sqrt(p * (1 - p)) * signed / ((4.0**m - 1) / 3) ** 1.5)


def excess_kurtosis(p: float, bits: int, *, protected: int = 0) -> float:
    """Excess kurtosis of a weight when read, the same for every code.

    Args:
        p: flip probability.
        bits: bits of a word.
        protected: protected most significant bits, 0 to `bits`.

    Returns:
        (3/5) (1 - 6 p (1 - p)) / (p (1 - p)) (4**m + 1) / (4**m - 1) for m unprotected bits; about 3 / (5 p).

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, theorem A.14; theory.md 1.2.

    Example:
        >>> round(excess_kurtosis(0.1, 8), 4)
        3.0668
    """
    p, m = _checks.flip_probability("p", p), _unprotected(bits, protected)
    if p == 0 or m == 0:
        return 0.0
    return 0.6 * (1 - 6 * p * (1 - p)) / (p * (1 - p)) * (4.0**m + 1) / (4.0**m - 1)


def lyapunov_ratio(p: float, bits: int | None = None, *, protected: int = 0) -> float:
    """Lyapunov ratio of the bits of a weight, the same for every code, or its limit for ever longer words.

    Args:
        p: flip probability.
        bits: bits of a word; None for the limit of infinitely many, which is not 0: more bits bring no Gaussian.
        protected: protected most significant bits, 0 to `bits`; it has no effect on the limit.

    Returns:
        (1 - 2p + 2p**2) / sqrt(p (1 - p)) times (8**m - 1) / 7 (3 / (4**m - 1))**(3/2) for m unprotected bits; in the
        limit the second factor is 3 sqrt(3) / 7 = 0.742.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, theorem 3.4; theory.md 1.2.

    Example:
        >>> round(lyapunov_ratio(0.1, 8), 4), round(lyapunov_ratio(0.1), 4)
        (2.029, 2.029)
    """
    p = _checks.flip_probability("p", p)
    m = None if bits is None else _unprotected(bits, protected)
    if p == 0 or m == 0:
        return 0.0
    # As m grows the second factor tends to 3 sqrt(3) / 7, which is not 0.
    of_the_bits = 3 * math.sqrt(3) / 7 if m is None else (8**m - 1) / 7 * (3 / (4**m - 1)) ** 1.5
    return (1 - 2 * p + 2 * p**2) / math.sqrt(p * (1 - p)) * of_the_bits


def characteristic_function(
    stored: int, frequencies: ArrayLike, *, bit_weights: ArrayLike, p01: ArrayLike, p10: ArrayLike
) -> NDArray[np.complex128]:
    """E[exp(i t error)] as a product over the bits, for values that are a sum over independent bits.

    Args:
        stored: the stored code, 0 to 2**bits - 1.
        frequencies: t, in units of one over the full scale, any shape.
        bit_weights: what each bit adds to the value, bit 0 first: D 2**i in offset binary; `theory.bit_weights`.
        p01: probability of reading 1 where 0 is stored, one for all bits or one for each; 0 where protected.
        p10: probability of reading 0 where 1 is stored.

    Returns:
        The product of 1 - r_i + r_i exp(i t beta_i (1 - 2 b_i)), where r_i is p01 or p10 as bit i is 0 or 1; complex,
        of the shape of `frequencies`.

    Raises:
        ArgumentError: if the code is out of range.

    Source:
        paper, theorem 3.1; theory.md 1.2 and 3.

    Example:
        >>> characteristic_function(0, [0.0, 2.0], bit_weights=[0.5, 1.0], p01=0.25, p10=0.25).round(3).tolist()
        [(1+0j), (0.524+0.337j)]
    """
    weights = np.asarray(bit_weights, dtype=np.float64)
    bits = int(_checks.words("stored", stored, len(weights))) >> np.arange(len(weights)) & 1
    rates = np.where(bits == 1, p10, p01)
    t = np.asarray(frequencies, dtype=np.float64)[..., np.newaxis]
    return np.asarray((1 - rates + rates * np.exp(1j * t * weights * (1 - 2 * bits))).prod(-1))


def _unprotected(bits: int, protected: int) -> int:
    _checks.integer("bits", bits, 2, 16)
    return bits - _checks.integer("protected", protected, 0, bits)
