"""Float formats: sign, exponent and mantissa of a word, and the number they stand for."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks

Nonfinite = Literal["clamp", "zero", "keep"]
"""What infinity and NaN are read as: the largest number of that sign and 0; 0 both; themselves."""
NONFINITE: tuple[Nonfinite, ...] = get_args(Nonfinite)

Reserved = Literal["last_exponent", "last_pattern", "none"]


@dataclass(frozen=True)
class FloatFormat:
    """A float format: (-1)**sign (1 + mantissa / 2**mantissa_bits) 2**(exponent - bias).

    Bit 0 is the least significant bit of the mantissa; the sign is on top. An exponent of 0 is that of the smallest
    normal numbers without the leading 1 (subnormal numbers), unless there is no mantissa.

    Attributes:
        exponent_bits: bits of the exponent.
        mantissa_bits: bits of the mantissa.
        bias: of the exponent.
        reserved: what is no finite number: the "last_exponent" (infinity where the mantissa is 0, else NaN, as in
            IEEE 754), the "last_pattern" of exponent and mantissa (NaN), or "none".
        signed: whether there is a sign bit.
        source: where the format is defined.

    Source:
        theory.md 6.10.

    Example:
        >>> FLOAT_FORMATS["bf16"].values([0x3F80, 0xC040, 0x7F80]).tolist()
        [1.0, -3.0, inf]
        >>> [int(part) for part in FLOAT_FORMATS["bf16"].fields(0xC040)]
        [1, 128, 64]
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    reserved: Reserved
    source: str
    signed: bool = True

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return int(self.signed) + self.exponent_bits + self.mantissa_bits

    @property
    def last_exponent(self) -> int:
        """The exponent with all bits set."""
        return (1 << self.exponent_bits) - 1

    @property
    def has_subnormals(self) -> bool:
        """Whether numbers of exponent 0 have no leading 1."""
        return self.mantissa_bits > 0

    @property
    def largest(self) -> float:
        """The largest finite number."""
        top = 2 ** (self.bits - self.signed) - 1
        # Downwards from the last pattern: infinity and NaN are at the end.
        reserved = {"last_exponent": 2**self.mantissa_bits, "last_pattern": 1, "none": 0}[self.reserved]
        return float(self.values(top - reserved))

    def fields(self, words: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Sign (0 or 1), exponent and mantissa of words.

        Raises:
            ArgumentError: if a word is no whole number of `bits` bits.
        """
        word = _checks.words("words", words, self.bits)
        exponent, mantissa = word >> self.mantissa_bits & self.last_exponent, word & 2**self.mantissa_bits - 1
        return word >> self.exponent_bits + self.mantissa_bits, exponent, mantissa

    def values(self, words: ArrayLike, nonfinite: Nonfinite = "keep") -> NDArray[np.float64]:
        """The numbers that words stand for, exact in float64.

        Args:
            words: whole numbers of `bits` bits, any shape.
            nonfinite: what infinity and NaN are read as: "clamp" (the largest number of that sign; 0), "zero" (0) or
                "keep" (themselves).

        Returns:
            Of the shape of `words`.

        Raises:
            ArgumentError: if a word is no whole number of `bits` bits, or the rule is unknown.
        """
        _checks.one_of("nonfinite", nonfinite, NONFINITE)
        sign, exponent, mantissa = self.fields(words)
        subnormal = (exponent == 0) & self.has_subnormals
        size = (np.where(subnormal, 0.0, 1.0) + mantissa / 2**self.mantissa_bits) * self.units(exponent)
        if self.reserved == "last_exponent":
            size = np.where(exponent == self.last_exponent, np.where(mantissa == 0, np.inf, np.nan), size)
        elif self.reserved == "last_pattern":
            last = (exponent == self.last_exponent) & (mantissa == 2**self.mantissa_bits - 1)
            size = np.where(last, np.nan, size)
        signed = np.where(sign == 1, -size, size)
        return signed if nonfinite == "keep" else read_nonfinite(signed, self.largest, nonfinite)

    def units(self, exponent: ArrayLike) -> NDArray[np.float64]:
        """The power of two by which 1 + mantissa is multiplied, of the shape of `exponent`.

        Raises:
            ArgumentError: if an exponent is no whole number of `exponent_bits` bits.
        """
        least = np.maximum(_checks.words("exponent", exponent, self.exponent_bits), int(self.has_subnormals))
        return np.asarray(np.ldexp(1.0, least - self.bias))


def read_nonfinite(values: NDArray[np.float64], largest: float, nonfinite: Nonfinite) -> NDArray[np.float64]:
    """A copy of values, infinity and NaN as they are read; `largest` is the largest number of their format."""
    if nonfinite == "keep":
        return values.copy()
    limit = largest if nonfinite == "clamp" else 0.0
    return np.nan_to_num(values, nan=0.0, posinf=limit, neginf=-limit)


_IEEE, _OFP8 = "IEEE 754-2019", "Open Compute Project, OFP8 revision 1.0"
_MX = "Open Compute Project, Microscaling Formats (MX) 1.0"
FLOAT_FORMATS: dict[str, FloatFormat] = {
    "fp32": FloatFormat(8, 23, 127, "last_exponent", f"{_IEEE}: binary32"),
    "bf16": FloatFormat(8, 7, 127, "last_exponent", f"the upper half of {_IEEE} binary32"),
    "fp16": FloatFormat(5, 10, 15, "last_exponent", f"{_IEEE}: binary16"),
    "fp8_e4m3": FloatFormat(4, 3, 7, "last_pattern", f"{_OFP8}: E4M3"),
    "fp8_e5m2": FloatFormat(5, 2, 15, "last_exponent", f"{_OFP8}: E5M2"),
    "fp6_e2m3": FloatFormat(2, 3, 1, "none", f"{_MX}: E2M3"),
    "fp4_e2m1": FloatFormat(2, 1, 1, "none", f"{_MX}: E2M1"),
    "e8m0": FloatFormat(8, 0, 127, "last_pattern", f"{_MX}: E8M0, powers of two for scales", signed=False),
}
"""Every float format, by its name; those of up to 16 bits are also tables (`NAMED_TABLES`)."""
