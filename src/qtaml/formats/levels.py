"""The levels of a word: the value that each label stands for.

Values are in units of the scale of the tensor, row or group that is stored. Bit 0 is the least significant.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.formats.named_tables import NAMED_TABLES
from qtaml.formats.transitions import LARGEST_MATRIX_BITS

Encoding = Literal["offset_binary", "twos_complement", "sign_magnitude", "gray"]
Grid = Literal["half_step", "integer"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
GRIDS: tuple[Grid, ...] = get_args(Grid)
# Relative to the largest value. In float64 the steps of first + step x u differ by rounding alone, near 1e-16 of it;
# free tables hold float16 numbers, whose grid is far coarser than this.
_EVEN = 1e-9
_LARGEST_INTEGER = 127


class BitLevels(ABC):
    """A value for each label of a word: the readout table."""

    @property
    @abstractmethod
    def bits(self) -> int:
        """Bits of a word."""

    @abstractmethod
    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read, shape (2**bits,)."""

    def storable(self) -> NDArray[np.int64]:
        """Labels that a writer may store, by ascending value; the others can only be read, after errors."""
        # Stable, so that equal values (zero and minus zero) come in the order of their labels on every machine.
        return np.argsort(self.readout(), kind="stable")

    @property
    def side_values(self) -> int:
        """Numbers that a reader needs beside the words; 0 where name and bits define the levels."""
        return 0


@dataclass(frozen=True)
class EvenLevels(BitLevels):
    """2**bits evenly spaced values.

    The half-step grid is symmetric, from -1 to 1 with step 2/(2**bits - 1); its mean under symmetric errors has no
    offset. The integer grid is the paper's, with step 2/2**bits, from -1 to 1 - step; in sign-magnitude it holds zero
    twice, from -(1 - step) to 1 - step.

    Attributes:
        bits: bits of a word, 2 to 16.
        encoding: "offset_binary", "twos_complement", "sign_magnitude" (sign bit on top) or "gray".
        grid: "half_step" or "integer".

    Raises:
        ArgumentError: if a field has a value that is not allowed.

    Source:
        theory.md 1.3; paper A.8.

    Example:
        >>> EvenLevels(2).values().round(3).tolist(), EvenLevels(2, grid="integer").values().tolist()
        ([-1.0, -0.333, 0.333, 1.0], [-1.0, -0.5, 0.0, 0.5])
        >>> [EvenLevels(2, encoding).storable().tolist() for encoding in ("twos_complement", "sign_magnitude", "gray")]
        [[2, 3, 0, 1], [3, 2, 0, 1], [0, 1, 3, 2]]
    """

    bits: int = 8
    encoding: Encoding = "offset_binary"
    grid: Grid = "half_step"
    kind: Literal["even"] = field(default="even", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", _checks.integer("bits", self.bits, 2, 16))
        _checks.one_of("encoding", self.encoding, ENCODINGS)
        _checks.one_of("grid", self.grid, GRIDS)

    def values(self) -> NDArray[np.float64]:
        """The values in ascending order, shape (2**bits,)."""
        index, half = np.arange(2**self.bits), 2 ** (self.bits - 1)
        # Whole numbers, divided once: the levels of w and -w have the same digits.
        if self.grid == "half_step":
            values = (2.0 * index - (2**self.bits - 1)) / (2**self.bits - 1)
        elif self.encoding == "sign_magnitude":
            values = np.where(index < half, index - half + 1, index - half) / half
        else:
            values = (index - half) / half
        return np.asarray(values, dtype=np.float64)

    def storable(self) -> NDArray[np.int64]:
        """The label of each value, in ascending order of the values: a permutation of 0 .. 2**bits - 1.

        Label of the i-th value: i in offset binary, i xor 2**(bits-1) in two's complement, i xor (i >> 1) in Gray.
        """
        index, half = np.arange(2**self.bits), 2 ** (self.bits - 1)
        words = {
            "offset_binary": index,
            "twos_complement": index ^ half,
            "sign_magnitude": np.where(index < half, 2**self.bits - 1 - index, index - half),
            "gray": index ^ (index >> 1),
        }
        return np.asarray(words[self.encoding], dtype=np.int64)

    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read, shape (2**bits,)."""
        table = np.empty(2**self.bits)
        table[self.storable()] = self.values()
        return table


@dataclass(frozen=True)
class TableLevels(BitLevels):
    """A free value for each label, such as levels fitted to the weights of a tensor.

    Attributes:
        values: the value of each label when read: 1, 2, 4, ... up to 1024 finite numbers.

    Raises:
        ArgumentError: if their number is no power of two up to 1024, or one is not finite.

    Example:
        >>> TableLevels((0.5, -1.0, 1.5, -0.25)).storable().tolist()
        [1, 3, 0, 2]
    """

    values: tuple[float, ...]
    kind: Literal["table"] = field(default="table", repr=False)

    def __post_init__(self) -> None:
        values = tuple(_checks.real("values", value) for value in self.values)
        if len(values).bit_count() != 1 or len(values) > 2**LARGEST_MATRIX_BITS:
            raise ArgumentError(f"values must be 1, 2, 4, ... or {2**LARGEST_MATRIX_BITS} numbers, got {len(values)}")
        object.__setattr__(self, "values", values)

    @property
    def bits(self) -> int:
        """Bits of a word; 0 for a table of one value, as which every weight is read."""
        return len(self.values).bit_length() - 1

    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read, shape (2**bits,)."""
        return np.array(self.values)

    @cached_property
    def side_values(self) -> int:
        """2 (first value and step) if evenly spaced, a step and 8 bits for each label if on its grid, else 16 bits."""
        if evenly_spaced(self.values):
            return 2
        return 1 + -(-len(self.values) // 2) if _in_eight_bits(self.values) else len(self.values)


@dataclass(frozen=True)
class NamedLevels(BitLevels):
    """The values of a standard number format; the word is its bit pattern, the largest value the full scale.

    Attributes:
        name: a key of `qtaml.formats.NAMED_TABLES`: "int4", "nf4", "fp8_e4m3" or "fp8_e5m2".

    Raises:
        ArgumentError: if there is none of this name.

    Example:
        >>> NamedLevels("nf4").bits, NamedLevels("nf4").readout()[[0, 7, 15]].tolist()
        (4, [-1.0, 0.0, 1.0])
    """

    name: str
    kind: Literal["named"] = field(default="named", repr=False)

    def __post_init__(self) -> None:
        _checks.one_of("name", self.name, NAMED_TABLES)

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return len(NAMED_TABLES[self.name].values).bit_length() - 1

    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read, shape (2**bits,)."""
        # A copy, as all levels return: a caller may write into it, and the table is everybody's.
        return NAMED_TABLES[self.name].values.copy()

    def storable(self) -> NDArray[np.int64]:
        """Labels by ascending value, without those that the format reserves for NaN or infinity."""
        ascending = super().storable()
        return ascending[~np.isin(ascending, NAMED_TABLES[self.name].reserved)]


Levels = Annotated[EvenLevels | TableLevels | NamedLevels, Field(discriminator="kind")]
"""Any levels. A new kind is one more class here, a new standard format one more entry of `NAMED_TABLES`."""


def even_or_named(name: str | None, bits: int, encoding: Encoding, grid: Grid) -> EvenLevels | NamedLevels:
    """Evenly spaced levels, or those of a standard number format where its name is given.

    Raises:
        ArgumentError: if a name comes with bits, an encoding or a grid other than their defaults, which it replaces.
    """
    even = EvenLevels(bits, encoding, grid)
    if name is None:
        return even
    if even != EvenLevels():
        raise ArgumentError(f"levels={name!r} must come without bits, encoding and grid, got {even}")
    return NamedLevels(name)


def quantisation_step(bits: int, grid: Grid = "half_step") -> float:
    """Distance D between neighbouring evenly spaced levels.

    Args:
        bits: bits of a word B, 2 to 16.
        grid: "half_step" or the paper's "integer".

    Returns:
        2 / (2**B - 1) on the half-step grid, 2 / 2**B on the integer grid.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        theory.md 1.3; paper, assumption A.5.

    Example:
        >>> quantisation_step(8, "integer")
        0.0078125
    """
    _checks.integer("bits", bits, 2, 16)
    _checks.one_of("grid", grid, GRIDS)
    return 2 / ((1 << bits) - (1 if grid == "half_step" else 0))


def in_eight_bits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values rounded to multiples, by whole numbers up to 127, of a step in float16: 8 bits for each.

    Example:
        >>> in_eight_bits(np.array([-1.27, 0.011, 0.5])).round(3).tolist()
        [-1.27, 0.01, 0.5]
    """
    step = float(np.float16(np.abs(values).max() / _LARGEST_INTEGER))
    # The step may have been rounded down.
    return values if not step else step * np.clip(np.rint(values / step), -_LARGEST_INTEGER, _LARGEST_INTEGER)


def _in_eight_bits(table: tuple[float, ...]) -> bool:
    return len(table) > 1 and in_eight_bits(np.array(table)).tolist() == list(table)


def evenly_spaced(table: tuple[float, ...]) -> bool:
    """Whether the values of neighbouring labels differ by one step, so that first value and step define the table."""
    return len(table) > 1 and bool(np.ptp(np.diff(table)) <= _EVEN * np.abs(table).max())
