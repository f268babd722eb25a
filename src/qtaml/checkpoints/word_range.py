"""The range of a field's words in a tensor, kept beside them: what is outside of it was read wrong."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qtaml import _checks
from qtaml.checkpoints.fields import Field, Integers
from qtaml.errors import ArgumentError
from qtaml.formats import FLOAT_FORMATS, FloatFormat


@dataclass(frozen=True)
class WordRange:
    """The least and the greatest key of a field's words; a key outside is taken for the nearest one inside.

    The key of a float word is its exponent, whose errors are the large ones; that of any other word is the word. No
    stored word is changed by this: whatever lies outside the range has been read wrong. The nearest key differs in the
    fewest bits; of several it is the greatest.

    Attributes:
        low: least key of all words of the tensor.
        high: greatest key.
        cells: of the side value that holds low and high, right but for a chance of 1e-6.

    Raises:
        ArgumentError: if low or high is below 0, they are in the wrong order, or the cells are below 0.

    Source:
        theory.md 6.11.

    Example:
        >>> WordRange(6, 9, cells=300.0).read_as(4).tolist()
        [8, 9, 6, 7, 6, 7, 6, 7, 8, 9, 8, 9, 8, 9, 6, 7]
    """

    low: int
    high: int
    cells: float

    def __post_init__(self) -> None:
        _checks.integer("low", self.low, 0)
        _checks.integer("high", self.high, self.low)
        _checks.non_negative("cells", self.cells)

    def read_as(self, bits: int) -> Integers:
        """What each key of so many bits is read as, shape (2**bits,).

        Raises:
            ArgumentError: if the bits are none of 1 to 16, or the range goes beyond the keys.
        """
        _checks.integer("bits", bits, 1, 16)
        if self.high >= 1 << bits:
            raise ArgumentError(f"high must be a key of {bits} bits, got {self.high}")
        return _read_as(self, bits)


@lru_cache(maxsize=1024)
def _read_as(own: WordRange, bits: int) -> Integers:
    keys, inside = np.arange(1 << bits), np.arange(own.low, own.high + 1)
    # From the greatest down, so that the first of the least distances is that of the greatest.
    distance = np.bitwise_count(keys[:, None] ^ inside[::-1])
    return np.asarray(inside[::-1][distance.argmin(1)])


def key_places(own: Field) -> tuple[int, int]:
    """First bit, and number of bits, of the key in a word of a field."""
    form = _float(own)
    return (0, own.bits) if form is None else (form.mantissa_bits, form.exponent_bits)


def keys_of(own: Field, words: Integers) -> Integers:
    """Keys of words."""
    first, bits = key_places(own)
    return words >> first & (1 << bits) - 1


def read_in_range(own: Field, words: Integers, allowed: WordRange | None) -> Integers:
    """Words as they are read: those whose key is outside the range with the key that it is taken for."""
    if allowed is None:
        return words
    first, bits = key_places(own)
    taken = allowed.read_as(bits)[keys_of(own, words)]
    return words & ~np.int64((1 << bits) - 1 << first) | taken << first


def _float(own: Field) -> FloatFormat | None:
    return FLOAT_FORMATS[own.meaning] if own.levels is None else None
