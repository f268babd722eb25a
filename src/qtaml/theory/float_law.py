"""The exact law of the error of float words, read minus stored, in units of the numbers themselves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats import FLOAT_FORMATS, NONFINITE, FloatFormat, Nonfinite, transition_matrix
from qtaml.formats.transitions import table_error_moments

Floats = NDArray[np.float64]
# Moments of all 256 words take no time; those of all 65,536 take half a second.
_LARGEST_TABLE_BITS = 8


class FloatMoments(NamedTuple):
    """Moments of the error of float words, each of the shape of the words.

    Attributes:
        mean: mean error; NaN where infinity or NaN may be read and are kept.
        mean_square: expected squared error; infinite there.
    """

    mean: Floats
    mean_square: Floats


def float_error_moments(
    words: ArrayLike, name: str, *, p01: Sequence[float], p10: Sequence[float], nonfinite: Nonfinite = "clamp"
) -> FloatMoments:
    """Exact mean and mean square of the error of float words whose bits fail independently.

    Words of up to 8 bits are looked up in moments of all of them (`error_moments`), longer ones go by arithmetic
    (`moments_by_parts`). The distribution of words of up to 16 bits is `ErrorLaw(NamedLevels(name), ...).pmf`.

    Args:
        words: stored words, finite numbers, whole numbers of any shape.
        name: a key of `qtaml.formats.FLOAT_FORMATS`.
        p01: for each bit, bit 0 first, the probability of reading 1 where 0 is stored; 0 for protected bits.
        p10: the probability of reading 0 where 1 is stored.
        nonfinite: what infinity and NaN are read as; see `qtaml.formats.NamedLevels`.

    Returns:
        The moments, float64.

    Raises:
        ArgumentError: if a name is unknown, there is not one probability for each bit, or a word is no finite number.

    Source:
        theory.md 6.10.

    Example:
        >>> moments = float_error_moments([0x3F800000], "fp32", p01=[1e-6] * 32, p10=[1e-6] * 32)
        >>> [f"{float(moment[0]):.4g}" for moment in moments]
        ['3.403e+32', '1.158e+71']
    """
    fmt, law = _checked(words, name, p01, p10, nonfinite)
    if fmt.bits > _LARGEST_TABLE_BITS:
        return moments_by_parts(words, fmt, p01=p01, p10=p10, nonfinite=nonfinite)
    mean, variance, _, _ = table_error_moments(fmt.values(np.arange(2**fmt.bits), nonfinite), law)
    word = np.asarray(words)
    square = np.where(np.isfinite(variance), variance + mean**2, np.inf)
    return FloatMoments(mean[word], square[word])


def bit_shares(
    words: ArrayLike, name: str, *, p01: Sequence[float], p10: Sequence[float], nonfinite: Nonfinite = "clamp"
) -> Floats:
    """Share of the expected squared error, summed over float words, that would be gone if one bit never failed.

    In fixed point these shares add up to about 1. In floats they may add up to more: two flips in one exponent
    multiply, so that most of the error is gone when either of them is.

    Args:
        words: as in `float_error_moments`, as all other arguments.
        name: as there.
        p01: as there.
        p10: as there.
        nonfinite: as there.

    Returns:
        Shape (bits,), bit 0 first; 0 where there is no error, NaN where the error stays infinite.

    Raises:
        ArgumentError: as there.

    Source:
        theory.md 6.10.

    Example:
        >>> bit_shares([0x3C, 0xB4], "fp8_e4m3", p01=[0.01] * 8, p10=[0.01] * 8).round(3).tolist()
        [0.002, 0.003, -0.006, 0.0, -0.009, -0.01, 1.0, 0.0]
    """
    given = {"p01": list(p01), "p10": list(p10)}
    total = float_error_moments(words, name, **given, nonfinite=nonfinite).mean_square.sum()
    left = []
    for bit in range(FLOAT_FORMATS[name].bits):
        without = {side: [rate * (i != bit) for i, rate in enumerate(rates)] for side, rates in given.items()}
        left.append(float_error_moments(words, name, **without, nonfinite=nonfinite).mean_square.sum())
    with np.errstate(invalid="ignore"):
        return 1 - np.array(left) / total if total > 0 else np.zeros(len(left))


def moments_by_parts(
    words: ArrayLike, fmt: FloatFormat, *, p01: Sequence[float], p10: Sequence[float], nonfinite: Nonfinite = "clamp"
) -> FloatMoments:
    """`float_error_moments` from sign, exponent and mantissa, which fail independently: no table over all words.

    Args:
        words: as in `float_error_moments`, as all other arguments.
        fmt: a format with a sign whose last exponent is reserved, as in IEEE 754.
        p01: as there.
        p10: as there.
        nonfinite: as there.

    Returns:
        The moments, float64.

    Raises:
        ArgumentError: as there.

    Source:
        theory.md 6.10.

    Example:
        >>> rates = [0.01] * 10 + [0.0] * 6
        >>> moments_by_parts([0x3C00], FLOAT_FORMATS["fp16"], p01=rates, p10=rates).mean.round(6).tolist()
        [0.00999]
    """
    if fmt.reserved != "last_exponent" or not fmt.signed:
        raise ArgumentError(f"fmt must have a sign and reserve its last exponent, got {fmt}")
    sign, exponent, mantissa = fmt.fields(words)
    rates = np.where(sign == 1, p10[-1], p01[-1])
    size = np.abs(fmt.values(words))
    mean, square, lost = _of_size(size, exponent, mantissa, fmt, p01, p10, nonfinite)
    # Read with the other sign, the error is -(size read + size): with the mean error m and mean square q of the size,
    # (1 - f) q + f (q + 4 size m + 4 size**2).
    signed = np.where(sign == 1, -1.0, 1.0) * ((1 - 2 * rates) * mean - 2 * rates * size)
    total = square + 4 * rates * size * (size + mean)
    if nonfinite != "keep":
        return FloatMoments(signed, total)
    return FloatMoments(np.where(lost > 0, np.nan, signed), np.where(lost > 0, np.inf, total))


def _of_size(
    size: Floats,
    exponent: NDArray[np.int64],
    mantissa: NDArray[np.int64],
    fmt: FloatFormat,
    p01: Sequence[float],
    p10: Sequence[float],
    nonfinite: Nonfinite,
) -> tuple[Floats, Floats, Floats]:
    """Mean and mean square of the error of the size alone, and the chance of reading the last exponent."""
    width, last = fmt.mantissa_bits, fmt.last_exponent
    law = WordLaw.of_bits(tuple(p01[width:-1]), tuple(p10[width:-1]))
    chances = transition_matrix(law)
    units = fmt.units(np.arange(last + 1))
    stay = chances.diagonal()[exponent]
    # Sums over the other normal exponents of P, P unit and P unit**2. Subnormal numbers, infinity and NaN stand apart.
    others = chances * ~np.eye(last + 1, dtype=bool)
    others[:, [0, last]] = 0.0
    chance, first, second = (others @ units**power for power in (0, 1, 2))
    chance, first, second = chance[exponent], first[exponent], second[exponent]
    subnormal = np.where(exponent == 0, 0.0, chances[exponent, 0])
    drift, variance, all_zero = _of_mantissa(mantissa, width, p01, p10)
    one_and = 1 + mantissa / 2**width + drift
    smallest = units[0] * (mantissa / 2**width + drift) - size
    lost = chances[exponent, last]
    infinite = lost * all_zero * (nonfinite == "clamp")
    unit = units[exponent]
    mean = stay * unit * drift + first * one_and - chance * size + subnormal * smallest
    square = stay * unit**2 * (variance + drift**2) + subnormal * (units[0] ** 2 * variance + smallest**2)
    # Powers of two apart, so that the three terms cancel by a small factor at most.
    square += second * (variance + one_and**2) - 2 * size * one_and * first + size**2 * chance
    # Infinity is read as the largest number under "clamp"; all else is read as 0.
    mean += infinite * (fmt.largest - size) - (lost - infinite) * size
    square += infinite * (fmt.largest - size) ** 2 + (lost - infinite) * size**2
    return mean, np.maximum(square, 0.0), lost


def _of_mantissa(
    mantissa: NDArray[np.int64], width: int, p01: Sequence[float], p10: Sequence[float]
) -> tuple[Floats, Floats, Floats]:
    """Mean and variance of the error of the mantissa, as a fraction of 1, and the chance that it is read as 0."""
    drift, variance, all_zero = np.zeros(mantissa.shape), np.zeros(mantissa.shape), np.ones(mantissa.shape)
    for bit in range(width):
        one = mantissa >> bit & 1 == 1
        rate, step = np.where(one, p10[bit], p01[bit]), 2.0 ** (bit - width)
        drift += np.where(one, -step, step) * rate
        variance += step**2 * rate * (1 - rate)
        all_zero *= np.where(one, rate, 1 - rate)
    return drift, variance, all_zero


def _checked(
    words: ArrayLike, name: str, p01: Sequence[float], p10: Sequence[float], nonfinite: Nonfinite
) -> tuple[FloatFormat, WordLaw]:
    """The format, and the law of the word read."""
    fmt = FLOAT_FORMATS[_checks.one_of("name", name, FLOAT_FORMATS)]
    _checks.one_of("nonfinite", nonfinite, NONFINITE)
    for argument, given in (("p01", p01), ("p10", p10)):
        if len(given) != fmt.bits or not all(0.0 <= rate <= 1.0 for rate in given):
            raise ArgumentError(f"{argument} must be {fmt.bits} probabilities, one for each bit, got {given!r}")
    if not np.isfinite(fmt.values(words)).all():
        raise ArgumentError(f"words must be finite numbers of {name}, got infinity or NaN among them")
    return fmt, WordLaw.of_bits(tuple(p01), tuple(p10))
