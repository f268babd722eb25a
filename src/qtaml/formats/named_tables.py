"""Standard number formats as tables: the value of each bit pattern, in units of the largest one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


# Compared by identity: the comparison of two arrays is no truth value.
@dataclass(frozen=True, eq=False)
class NamedTable:
    """A number format.

    Attributes:
        values: value of each bit pattern, 2**bits of them; the largest is 1.
        reserved: bit patterns that stand for no number. They are never stored; should errors make one, NaN is read as
            0 and infinity as the largest number of its sign.
        source: where the format is defined.
    """

    values: NDArray[np.float64]
    reserved: NDArray[np.int64]
    source: str


def _float_table(exponent_bits: int, mantissa_bits: int, bias: int, *, infinities: bool, source: str) -> NamedTable:
    """A table of (-1)**sign (1 + mantissa / 2**mantissa_bits) 2**(exponent - bias), with subnormal numbers.

    Args:
        exponent_bits: bits of the exponent.
        mantissa_bits: bits of the mantissa.
        bias: of the exponent.
        infinities: the whole last exponent is reserved, as in IEEE 754; else its last mantissa alone, for NaN.
        source: where the format is defined.
    """
    pattern = np.arange(2 ** (1 + exponent_bits + mantissa_bits))
    exponent, mantissa = pattern >> mantissa_bits & 2**exponent_bits - 1, pattern & 2**mantissa_bits - 1
    # A subnormal number has the exponent of the smallest normal ones, and no leading 1.
    leading = np.where(exponent > 0, 1.0, 0.0)
    size = (leading + mantissa / 2**mantissa_bits) * 2.0 ** (np.maximum(exponent, 1) - bias)
    last = exponent == 2**exponent_bits - 1
    reserved = last if infinities else last & (mantissa == 2**mantissa_bits - 1)
    largest = size[~reserved].max()
    size = np.where(reserved, np.where(infinities & (mantissa == 0), largest, 0.0), size)
    sign = np.where(pattern >> exponent_bits + mantissa_bits, -1.0, 1.0)
    return NamedTable(sign * size / largest, np.flatnonzero(reserved), source)


_NONE = np.zeros(0, dtype=np.int64)
# Quantiles of a normal law with an exact zero, in float32 as published.
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)

# Each has a level at +1, on which the largest magnitude falls; INT4 is in units of 7, not 8, to have one at -1 as well.
NAMED_TABLES: dict[str, NamedTable] = {
    "int4": NamedTable(((np.arange(16) ^ 8) - 8) / 7, _NONE, "two's complement, -8 to 7 in units of 7"),
    "nf4": NamedTable(np.array(_NF4), _NONE, "Dettmers et al., QLoRA, arXiv 2305.14314, appendix E"),
    "fp8_e4m3": _float_table(4, 3, 7, infinities=False, source="Open Compute Project, OFP8 revision 1.0: E4M3"),
    "fp8_e5m2": _float_table(5, 2, 15, infinities=True, source="Open Compute Project, OFP8 revision 1.0: E5M2"),
}
"""Every named format, by its name; a new one is one more entry."""
