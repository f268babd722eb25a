"""The levels of a word: the value that each label stands for.

Values are in units of the scale of the tensor, row or group that is stored. Bit 0 is the least significant.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from typing import Annotated, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from qtaml import _checks
from qtaml._files import from_json
from qtaml.errors import ArgumentError
from qtaml.formats.bit_levels import BitLevels
from qtaml.formats.entropy import EntropyLevels
from qtaml.formats.float_formats import NONFINITE, Nonfinite
from qtaml.formats.named_tables import NAMED_TABLES
from qtaml.formats.transitions import LARGEST_MATRIX_BITS

Encoding = Literal["offset_binary", "twos_complement", "sign_magnitude", "gray"]
Grid = Literal["half_step", "integer"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
GRIDS: tuple[Grid, ...] = get_args(Grid)
# Relative to the largest value. In float64 the steps of first + step x u differ by rounding alone, near 1e-16 of it;
# free tables hold float16 numbers, whose grid is far coarser than this.
_EVEN = 1e-9
LARGEST_WINDOW_BITS = 12
"""Bits of the widest window of a trellis: tables and time of the writer double with each."""
_LARGEST_INTEGER = 127
STANDARD = "standard_trellises.json"


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

    With `Fixed(NAMED_TABLES[name].largest)` as scale, words are those of the format itself: 1.0 is stored as 1.0.

    Attributes:
        name: a key of `qtaml.formats.NAMED_TABLES`, such as "int4", "nf4", "fp8_e4m3" or "bf16".
        nonfinite: what infinity and NaN, which errors can make, are read as: "clamp" (the largest number of that sign;
            0), "zero", or "keep" (as they are; then what is read has no mean, and its variance is infinite).

    Raises:
        ArgumentError: if there is no format, or no rule, of this name, or the format has no infinity and no NaN.

    Source:
        theory.md 6.10.

    Example:
        >>> NamedLevels("nf4").bits, NamedLevels("nf4").readout()[[0, 7, 15]].tolist()
        (4, [-1.0, 0.0, 1.0])
        >>> [NamedLevels("fp16", rule).readout()[0x7C00].tolist() for rule in ("clamp", "zero", "keep")]
        [1.0, 0.0, inf]
    """

    name: str
    nonfinite: Nonfinite = "clamp"
    kind: Literal["named"] = field(default="named", repr=False)

    def __post_init__(self) -> None:
        _checks.one_of("name", self.name, NAMED_TABLES)
        _checks.one_of("nonfinite", self.nonfinite, NONFINITE)
        # No field is ignored, so that equal levels are equal.
        if self.nonfinite != "clamp" and not NAMED_TABLES[self.name].reserved.size:
            raise ArgumentError(f"nonfinite must be 'clamp' for {self.name}, which has no NaN, got {self.nonfinite!r}")

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return len(NAMED_TABLES[self.name].values).bit_length() - 1

    def readout(self) -> NDArray[np.float64]:
        """The value of each label when read, shape (2**bits,)."""
        # A copy, as all levels return: a caller may write into it, and the table is everybody's.
        return NAMED_TABLES[self.name].read(self.nonfinite)

    def storable(self) -> NDArray[np.int64]:
        """Labels by ascending value, minus zero before zero, without those that stand for NaN or infinity."""
        values = NAMED_TABLES[self.name].values
        ascending = np.lexsort((~np.signbit(values), values))
        return ascending[np.isfinite(values[ascending])]


@dataclass(frozen=True)
class TrellisLevels(BitLevels):
    """Values of a window that slides over a stream of words: each weight is read from several, each word by several.

    The window of a weight is its own word and those before it in the stream: bits 0 to bits - 1 are its own. The value
    of window u is a sum of signed parities, sum_j c_j (-1)**(number of ones in u & m_j) (its Walsh series), so that a
    dozen numbers stand for a table of thousands. If two weights share a word, one more bit on top of the window tells
    the second.

    Attributes:
        bits: new bits of each word, 1 to 6.
        window: words of the window, at least 2; a window has up to 12 bits.
        terms: (mask m_j, coefficient c_j) of each parity, masks ascending and below the number of values.
        weights_per_word: weights that share a word, 1, 2 or 4.

    Raises:
        ArgumentError: if a field has a value that is not allowed.

    Source:
        theory.md 6.8.

    Example:
        >>> levels = TrellisLevels(1, 2, ((1, -0.5), (2, -0.25)))
        >>> levels.readout().tolist(), levels.side_values
        ([-0.75, 0.25, -0.25, 0.75], 4)
    """

    bits: int = 1
    window: int = 8
    terms: tuple[tuple[int, float], ...] = ()
    weights_per_word: int = 1
    kind: Literal["trellis"] = field(default="trellis", repr=False)

    def __post_init__(self) -> None:
        bits, window = _checks.integer("bits", self.bits, 1, 6), _checks.integer("window", self.window, 2)
        object.__setattr__(self, "bits", bits)
        object.__setattr__(self, "window", window)
        if bits * window > LARGEST_WINDOW_BITS:
            raise ArgumentError(f"window must be of up to {LARGEST_WINDOW_BITS} bits, got {window} words of {bits}")
        if self.weights_per_word not in (1, 2, 4):
            raise ArgumentError(f"weights_per_word must be 1, 2 or 4, got {self.weights_per_word!r}")
        terms = tuple((_checks.integer("terms", mask, 0), _checks.real("terms", value)) for mask, value in self.terms)
        masks = [mask for mask, _ in terms]
        if masks != sorted(set(masks)) or (masks and masks[-1] >= self.readout_size):
            raise ArgumentError(f"terms must have ascending masks below {self.readout_size}, got {masks}")
        object.__setattr__(self, "terms", terms)

    # Formats are keys of caches and dictionaries, and terms may be many: hashed once.
    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.bits, self.window, self.weights_per_word, self.terms))

    @property
    def series(self) -> NDArray[np.float64]:
        """The coefficient of each mask, shape (weights_per_word x 2**(bits x window),)."""
        series = np.zeros(self.readout_size)
        for mask, value in self.terms:
            series[mask] = value
        return series

    def readout(self) -> NDArray[np.float64]:
        """The value of each window when read, shape (weights_per_word x 2**(bits x window),)."""
        return walsh(self.series)

    @cached_property
    def side_values(self) -> int:
        """Two for each term, its mask and its coefficient, or all values where that is less; 0 of a standard table."""
        return 0 if self in standard_trellises() else min(2 * len(self.terms), self.readout_size)


# Read at the first use: an import should not parse a file.
@lru_cache(maxsize=1)
def standard_trellises() -> tuple[TrellisLevels, ...]:
    """Tables that every reader knows, like those of NF4: no side value tells them.

    Fitted to Gaussian weights, by bits that are read wrong in a share of 0, .01, .03, .1 and .2, by
    `tools/standard_trellises.py`; the shipped numbers are the standard.

    Source:
        theory.md 6.8.

    Example:
        >>> {levels.side_values for levels in standard_trellises()}
        {0}
    """
    text = resources.files("qtaml.formats").joinpath(STANDARD).read_text(encoding="utf-8")
    return from_json(tuple[TrellisLevels, ...], text, STANDARD)


def walsh(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a Walsh series, sum_m series[m] (-1)**(number of ones in u & m) for each u; its own inverse over 2**n.

    Args:
        series: shape (2**n,).

    Source:
        theory.md 6.8.

    Example:
        >>> walsh(np.array([1.0, 0.5])).tolist()
        [1.5, 0.5]
    """
    values, below = np.array(series, dtype=np.float64), 1
    while below < len(series):
        zero, one = values.reshape(-1, 2, below).swapaxes(0, 1)
        # In place: many short ones are made in a search.
        zero[:], one[:] = zero + one, zero - one
        below *= 2
    return values


Levels = Annotated[EvenLevels | TableLevels | NamedLevels | TrellisLevels | EntropyLevels, Field(discriminator="kind")]
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
