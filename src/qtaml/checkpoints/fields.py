"""Fields of a stored unit: where their bits lie, what their words mean, and how weights are made of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Field:
    """Words of one meaning in a unit: codes, scales, minima.

    Attributes:
        name: such as "codes".
        meaning: of its words, such as "integer"; a key of `FLOAT_FORMATS` where there are no levels.
        places: bit of the unit for each word and each bit of it, least significant first; shape (words, bits).
        levels: value of each word, all of them finite, shape (variants, 2**bits); None for float words.
        word_of: the word that each weight of the unit is made of.
        variant_of: the row of `levels` for each weight, where one word has several meanings (packed base 3).
        part: the part of the unit that holds it.
        divides: whether the value is one over the number of a word, the only one of its tensor.
    """

    name: str
    meaning: str
    places: Integers
    levels: Floats | None
    word_of: Integers
    variant_of: Integers | None = None
    part: int = 0
    divides: bool = False

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return int(self.places.shape[1])

    @property
    def words_of_unit(self) -> int:
        """Words in a unit."""
        return len(self.places)

    def words(self, units: Bytes) -> Integers:
        """Words of some units.

        Args:
            units: bytes of its part, shape (units, bytes).

        Returns:
            Shape (units, words).
        """
        return self.unsigned(units).astype(np.int64, copy=False)

    def unsigned(self, units: Bytes) -> NDArray[np.integer]:
        """Words of some units as `words`, in a type of their own width where they lie whole one after the other."""
        if self._columns is not None:
            return np.ascontiguousarray(units[:, self._columns]).view(f"<u{self.bits // 8}")
        found = np.zeros((len(units), self.words_of_unit), dtype=np.int64)
        for bit, place in enumerate(self.places.T):
            found |= (units[:, place // 8].astype(np.int64) >> place % 8 & 1) << bit
        return found

    def put(self, units: Bytes, words: NDArray[np.integer]) -> None:
        """Write words of shape (units, words) into the bytes of some units, in place."""
        if self._columns is not None:
            units[:, self._columns] = words.astype(f"<u{self.bits // 8}").view(np.uint8)
            return
        for bit, place in enumerate(self.places.T):
            for word, (byte, shift) in enumerate(zip(place // 8, place % 8, strict=True)):
                column = units[:, byte] & np.uint8(255 - (1 << shift))
                units[:, byte] = column | (words[:, word] >> bit & 1).astype(np.uint8) << np.uint8(shift)

    @cached_property
    def _columns(self) -> slice | None:
        """Bytes of the words where they lie whole one after the other; None elsewhere."""
        start = int(self.places[0, 0])
        in_a_row = start + np.arange(self.places.size).reshape(self.places.shape)
        if self.bits not in (8, 16, 32) or start % 8 or (self.places != in_a_row).any():
            return None
        return slice(start // 8, start // 8 + self.places.size // 8)


@dataclass(frozen=True)
class Product:
    """A value that is the product of fields and other values; each field occurs once in a unit's value."""

    parts: tuple["Value", ...]


@dataclass(frozen=True)
class Sum:
    """A value that is the sum of fields and other values."""

    parts: tuple["Value", ...]


Value = str | Product | Sum
"""How a weight is made: the name of a field, or a product or sum."""


def in_a_row(byte: int, words: int, bits: int) -> Integers:
    """Places of words that lie one after the other from a byte on, shape (words, bits).

    Example:
        >>> in_a_row(1, 2, 4).tolist()
        [[8, 9, 10, 11], [12, 13, 14, 15]]
    """
    return 8 * byte + np.arange(words * bits, dtype=np.int64).reshape(words, bits)


def interleaved(byte: int, groups: int, width: int, shifts: Iterable[int], bits: int) -> Integers:
    """Places of words of which each byte holds several: first those at the first shift in all bytes of a group.

    Args:
        byte: where the first group begins.
        groups: groups of bytes.
        width: bytes of a group.
        shifts: where in a byte the words of a run begin.
        bits: bits of a word.

    Example:
        >>> interleaved(0, 1, 2, (0, 4), 4)[:, 0].tolist()
        [0, 8, 4, 12]
    """
    starts = (
        8 * (byte + np.arange(groups * width, dtype=np.int64).reshape(groups, 1, width))
        + np.array(list(shifts), dtype=np.int64)[:, None]
    )
    return starts.reshape(-1, 1) + np.arange(bits, dtype=np.int64)


def each(weights: int, words: int) -> Integers:
    """Index of the word of each weight where runs of equal length share one.

    Example:
        >>> each(4, 2).tolist()
        [0, 0, 1, 1]
    """
    return np.arange(weights, dtype=np.int64) * words // weights


def integers(bits: int, start: int = 0, step: int = 1) -> Floats:
    """Levels of a code that is a number: start, start + step, ..., as one row."""
    return start + step * np.arange(2**bits, dtype=np.float64)[None]


def table(values: Sequence[float] | NDArray[np.floating]) -> Floats:
    """Levels of a code that is looked up, as one row."""
    return np.asarray(values, dtype=np.float64)[None]


def twos_complement(bits: int) -> Floats:
    """Levels of signed integers, as one row."""
    half = 2 ** (bits - 1)
    return np.asarray((np.arange(2**bits, dtype=np.int64) ^ half) - half, dtype=np.float64)[None]
