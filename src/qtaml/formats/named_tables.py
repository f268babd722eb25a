"""Standard number formats as tables: the value of each bit pattern, in units of the largest one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qtaml.formats.float_formats import FLOAT_FORMATS, Nonfinite, read_nonfinite

LARGEST_TABLE_BITS = 16
"""Bits of the widest word of a memory, and so of a table."""


# Compared by identity: the comparison of two arrays is no truth value.
@dataclass(frozen=True, eq=False)
class NamedTable:
    """A number format.

    Attributes:
        values: value of each bit pattern, 2**bits of them, in units of the largest number; infinity and NaN where
            there are any.
        largest: the largest number, in units of the format.
        source: where the format is defined.
    """

    values: NDArray[np.float64]
    largest: float
    source: str

    @property
    def reserved(self) -> NDArray[np.int64]:
        """Bit patterns of infinity and NaN, which are never stored, only read after errors."""
        return np.flatnonzero(~np.isfinite(self.values))

    @property
    def holds_weights(self) -> bool:
        """Whether there are numbers of both signs; formats of scales have none below 0."""
        return bool((self.values < 0).any())

    def read(self, nonfinite: Nonfinite = "clamp") -> NDArray[np.float64]:
        """What each bit pattern is read as, in units of the largest number; the rule as for `FloatFormat.values`."""
        return read_nonfinite(self.values, 1.0, nonfinite)


# Quantiles of a normal law with an exact zero, in float32 as published.
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)

# Each has a level at +1, on which the largest magnitude falls; INT4 is in units of 7, not 8, to have one at -1 as well.
NAMED_TABLES: dict[str, NamedTable] = {
    "int4": NamedTable(((np.arange(16) ^ 8) - 8) / 7, 7.0, "two's complement, -8 to 7 in units of 7"),
    "nf4": NamedTable(np.array(_NF4), 1.0, "Dettmers et al., QLoRA, arXiv 2305.14314, appendix E"),
    **{
        name: NamedTable(fmt.values(np.arange(2**fmt.bits)) / fmt.largest, fmt.largest, fmt.source)
        for name, fmt in FLOAT_FORMATS.items()
        if fmt.bits <= LARGEST_TABLE_BITS
    },
}
"""Every named format, by its name; a new one is one more entry, a new float format one of `FLOAT_FORMATS`."""

WEIGHT_TABLES = tuple(name for name, table in NAMED_TABLES.items() if table.holds_weights)
"""Names of those that hold weights; the others are for scales."""
