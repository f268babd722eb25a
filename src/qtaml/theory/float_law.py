"""The exact law of the error of float words, read minus stored, in units of the numbers themselves."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats import FLOAT_FORMATS, NONFINITE, FloatFormat, Nonfinite
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
    words: ArrayLike,
    name: str,
    *,
    p01: Sequence[float],
    p10: Sequence[float],
    nonfinite: Nonfinite = "clamp",
    exponents: Sequence[int] | None = None,
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
        exponents: what each exponent is taken for when it is read, such as the nearest one that any stored word has;
            itself if not given. Stored words keep theirs.

    Returns:
        The moments, float64.

    Raises:
        ArgumentError: if a name is unknown, there is not one probability for each bit or one exponent for each
            exponent, or a word is no finite number.

    Source:
        theory.md 6.10.

    Example:
        >>> moments = float_error_moments([0x3F800000], "fp32", p01=[1e-6] * 32, p10=[1e-6] * 32)
        >>> [f"{float(moment[0]):.4g}" for moment in moments]
        ['3.403e+32', '1.158e+71']
    """
    fmt, law = _checked(words, name, p01, p10, nonfinite, exponents)
    if fmt.bits > _LARGEST_TABLE_BITS:
        return moments_by_parts(words, fmt, p01=p01, p10=p10, nonfinite=nonfinite, exponents=exponents)
    patterns = np.arange(2**fmt.bits)
    if exponents is not None:
        sign, exponent, mantissa = fmt.fields(patterns)
        width = fmt.mantissa_bits
        patterns = sign << (fmt.bits - 1) | np.asarray(exponents, np.int64)[exponent] << width | mantissa
    mean, variance, _, _ = table_error_moments(fmt.values(patterns, nonfinite), law)
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
    total = float_error_moments(words, name, p01=p01, p10=p10, nonfinite=nonfinite).mean_square.sum()
    left = []
    for bit in range(FLOAT_FORMATS[name].bits):
        rise, fall = ([rate * (i != bit) for i, rate in enumerate(rates)] for rates in (p01, p10))
        left.append(float_error_moments(words, name, p01=rise, p10=fall, nonfinite=nonfinite).mean_square.sum())
    with np.errstate(invalid="ignore"):
        return 1 - np.array(left) / total if total > 0 else np.zeros(len(left))


def moments_by_parts(
    words: ArrayLike,
    fmt: FloatFormat,
    *,
    p01: Sequence[float],
    p10: Sequence[float],
    nonfinite: Nonfinite = "clamp",
    exponents: Sequence[int] | None = None,
) -> FloatMoments:
    """`float_error_moments` from sign, exponent and mantissa, which fail independently: no table over all words.

    Args:
        words: as in `float_error_moments`, as all other arguments.
        fmt: a format with a sign whose last exponent is reserved, as in IEEE 754.
        p01: as there.
        p10: as there.
        nonfinite: as there.
        exponents: as there.

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
    return FloatWords(words, fmt).moments(p01, p10, nonfinite, exponents)


class FloatWords:
    """Float words, taken apart once for the moments of their errors at many rates.

    Args:
        words: stored words, finite numbers, of any shape.
        fmt: a format with a sign whose last exponent is reserved.

    Attributes:
        values: what the words stand for, float64 of the shape of the words.

    Source:
        theory.md 6.10.
    """

    def __init__(self, words: ArrayLike, fmt: FloatFormat) -> None:
        self._fmt = fmt
        self._sign, exponent, mantissa = fmt.fields(words)
        self.values = fmt.values(words)
        self._size = np.abs(self.values)
        self._fraction = mantissa / 2**fmt.mantissa_bits
        places = np.arange(fmt.mantissa_bits)
        self._ones = (mantissa[..., None] >> places & 1).astype(np.float64)
        self._zeros = 1 - self._ones
        self._steps = 2.0 ** (places - fmt.mantissa_bits)
        # Words of one exponent read other exponents alike: the sums over those are made once for each.
        self._exponents = np.flatnonzero(np.bincount(exponent.ravel(), minlength=1))
        self._place = np.searchsorted(self._exponents, exponent)
        self._units = fmt.units(np.arange(fmt.last_exponent + 1))
        # The parts of the last moments: where one bit changes, those of the other parts are asked for again.
        self._exponent_law: tuple[object, tuple[Floats, ...]] | None = None
        self._mantissa_law: tuple[object, tuple[Floats, Floats]] | None = None

    def moments(
        self, p01: Sequence[float], p10: Sequence[float], nonfinite: Nonfinite, exponents: Sequence[int] | None = None
    ) -> FloatMoments:
        """Exact mean and mean square of the errors; arguments as `float_error_moments`."""
        rates = np.where(self._sign == 1, p10[-1], p01[-1])
        mean, square, lost = self._of_size(p01, p10, nonfinite, exponents)
        # Read with the other sign, the error is -(size read + size): with the mean error m and mean square q of the
        # size, (1 - f) q + f (q + 4 size m + 4 size**2).
        signed = np.where(self._sign == 1, -1.0, 1.0) * ((1 - 2 * rates) * mean - 2 * rates * self._size)
        total = square + 4 * rates * self._size * (self._size + mean)
        if nonfinite != "keep":
            return FloatMoments(signed, total)
        return FloatMoments(np.where(lost > 0, np.nan, signed), np.where(lost > 0, np.inf, total))

    def _of_size(
        self, p01: Sequence[float], p10: Sequence[float], nonfinite: Nonfinite, exponents: Sequence[int] | None
    ) -> tuple[Floats, Floats, Floats]:
        """Mean and mean square of the error of the size alone, and the chance of reading the last exponent."""
        size, fraction, width = self._size, self._fraction, self._fmt.mantissa_bits
        read = self._of_exponent(tuple(p01[width:-1]), tuple(p10[width:-1]), exponents)
        stay, unit, subnormal, lost, chance, first, second = read
        drift, variance = self._of_mantissa(tuple(p01[:width]), tuple(p10[:width]))
        one_and = 1 + fraction + drift
        smallest = self._units[0] * (fraction + drift) - size
        mean = stay * unit * drift + first * one_and - chance * size + subnormal * smallest
        square = stay * unit**2 * (variance + drift**2)
        square += subnormal * (self._units[0] ** 2 * variance + smallest**2)
        # Powers of two apart, so that the three terms cancel by a small factor at most.
        square += second * (variance + one_and**2) - 2 * size * one_and * first + size**2 * chance
        if lost.any():
            # Infinity is read as the largest number under "clamp"; all else is read as 0.
            infinite = lost * self._all_zero(p01, p10) * (nonfinite == "clamp")
            mean += infinite * (self._fmt.largest - size) - (lost - infinite) * size
            square += infinite * (self._fmt.largest - size) ** 2 + (lost - infinite) * size**2
        return mean, np.maximum(square, 0.0), lost

    def _of_exponent(
        self, p01: tuple[float, ...], p10: tuple[float, ...], exponents: Sequence[int] | None
    ) -> tuple[Floats, ...]:
        """Chances of reading each kind of exponent, for each word.

        Returns:
            (chance of its own exponent, its unit, chance of a subnormal number, chance of the last exponent, sums over
            all others of P, P unit and P unit**2).
        """
        key = p01, p10, None if exponents is None else tuple(exponents)
        if self._exponent_law is None or self._exponent_law[0] != key:
            last, own = self._fmt.last_exponent, self._exponents[:, None]
            taken = np.arange(last + 1) if exponents is None else np.asarray(exponents, np.int64)
            chances = _chances(self._exponents, p01, p10)
            normal = chances * ((taken > 0) & (taken < last) & (taken != own))
            found = (
                (chances * (taken == own)).sum(1),
                self._units[self._exponents],
                np.where(self._exponents == 0, 0.0, (chances * (taken == 0)).sum(1)),
                (chances * (taken == last)).sum(1),
                *(normal @ self._units[taken] ** power for power in (0, 1, 2)),
            )
            self._exponent_law = key, tuple(one[self._place] for one in found)
        return self._exponent_law[1]

    def _of_mantissa(self, p01: tuple[float, ...], p10: tuple[float, ...]) -> tuple[Floats, Floats]:
        """Mean and variance of the error of the mantissa, as a fraction of 1."""
        if self._mantissa_law is None or self._mantissa_law[0] != (p01, p10):
            rise, fall, squares = np.array(p01), np.array(p10), self._steps**2
            drift = self._zeros @ (self._steps * rise) - self._ones @ (self._steps * fall)
            variance = self._zeros @ (squares * rise * (1 - rise)) + self._ones @ (squares * fall * (1 - fall))
            self._mantissa_law = (p01, p10), (drift, variance)
        return self._mantissa_law[1]

    def _all_zero(self, p01: Sequence[float], p10: Sequence[float]) -> Floats:
        """Chance that the mantissa is read as 0."""
        rise, fall = (np.array(rates[: self._fmt.mantissa_bits]) for rates in (p01, p10))
        return np.asarray(np.where(self._ones == 1, fall, 1 - rise).prod(-1))


def _chances(stored: NDArray[np.int64], p01: Sequence[float], p10: Sequence[float]) -> Floats:
    """Chance of reading each exponent for each of some stored ones, shape (stored, all)."""
    found = np.ones((len(stored), 1))
    for bit in reversed(range(len(p01))):
        read = np.array([[1 - p01[bit], p01[bit]], [p10[bit], 1 - p10[bit]]])[stored >> bit & 1]
        found = (found[:, :, None] * read[:, None]).reshape(len(stored), -1)
    return found


def _checked(
    words: ArrayLike,
    name: str,
    p01: Sequence[float],
    p10: Sequence[float],
    nonfinite: Nonfinite,
    exponents: Sequence[int] | None,
) -> tuple[FloatFormat, WordLaw]:
    """The format, and the law of the word read."""
    fmt = FLOAT_FORMATS[_checks.one_of("name", name, FLOAT_FORMATS)]
    _checks.one_of("nonfinite", nonfinite, NONFINITE)
    for argument, given in (("p01", p01), ("p10", p10)):
        if len(given) != fmt.bits or not all(0.0 <= rate <= 1.0 for rate in given):
            raise ArgumentError(f"{argument} must be {fmt.bits} probabilities, one for each bit, got {given!r}")
    last = fmt.last_exponent
    if exponents is not None and not (len(exponents) == last + 1 and all(0 <= one <= last for one in exponents)):
        raise ArgumentError(f"exponents must be {last + 1} whole numbers of 0 to {last}, got {exponents!r}")
    if not np.isfinite(fmt.values(words)).all():
        raise ArgumentError(f"words must be finite numbers of {name}, got infinity or NaN among them")
    return fmt, WordLaw.of_bits(tuple(p01), tuple(p10))
