"""Codes that correct one error in a block, with or without detection of two."""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.protections.base import BitProtection, Decoder
from qtaml.protections.polynomial import as_floats, binomials, error_rate, signed_binomials

_USUAL = (4, 8, 11, 16, 26, 32, 57, 64, 120)
"""Data bits of whole Hamming codes, and of whole bytes."""


@dataclass(frozen=True)
class Hamming(BitProtection):
    """A Hamming code, shortened where the data need it, or with one more check bit SEC-DED.

    A single error is corrected. A syndrome that no single error gives leaves the data as read. The residual rate is
    sum_j W_j p^j (1-p)^(n-j), with W_j the error patterns of weight j that leave a data bit wrong, the mean over data
    bits; they are counted by the weights of the dual code.

    Attributes:
        data_bits: of a block, 1 to 120.
        detects_two: SEC-DED: no pair of errors has the syndrome of a single error (columns of odd weight, Hsiao 1970).

    Raises:
        ArgumentError: if `data_bits` is out of its range.

    Source:
        theory.md 5.2; exact by counting error patterns through the dual code (MacWilliams).

    Example:
        >>> Hamming(4).block, Hamming(64, detects_two=True).block
        ((4, 7), (64, 72))
        >>> round(Hamming(4).residual(0.01, 0.01)[0], 5)
        0.00087
    """

    data_bits: int
    detects_two: bool = False
    kind: Literal["hamming"] = field(default="hamming", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_bits", _checks.integer("data_bits", self.data_bits, 1, 120))

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """Blocks of usual sizes, with and without detection of two errors."""
        return tuple(cls(bits, two) for bits in _USUAL for two in (False, True))

    @property
    def columns(self) -> tuple[int, ...]:
        """The syndrome of an error in each stored bit, data bits first."""
        return _columns(self.data_bits, self.detects_two)

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return self.data_bits, len(self.columns)

    @property
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""
        return "algebraic"

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of a data bit, the mean of those of a block, from those of a raw cell."""
        p = _residual(self, float(p01 + p10) / 2)
        return p, p


@lru_cache(maxsize=256)
def _columns(data_bits: int, detects_two: bool) -> tuple[int, ...]:
    # The lightest columns in a fixed order: residual rates depend on the choice where a code is shortened.
    checks = 2
    while True:
        allowed = [s for s in range(1, 1 << checks) if s.bit_count() > 1 and (s.bit_count() % 2 or not detects_two)]
        if len(allowed) >= data_bits:
            light = sorted(allowed, key=lambda syndrome: (syndrome.bit_count(), syndrome))
            return (*light[:data_bits], *(1 << i for i in range(checks)))
        checks += 1


@lru_cache(maxsize=4096)
def _residual(code: Hamming, p: float) -> float:
    return error_rate(_wrong_patterns(code), p)


@lru_cache(maxsize=256)
def _wrong_patterns(code: Hamming) -> NDArray[np.float64]:
    """Number of error patterns of each weight that leave a data bit wrong, the mean over the data bits.

    Bit i ends up wrong if it is hit and the other errors have a syndrome (so that it is not repaired), or if it is not
    hit and the other errors have its own syndrome. The patterns of the other bits with a given syndrome follow from
    the weights of the dual code.
    """
    n, checks = len(code.columns), len(code.columns) - code.data_bits
    # MacWilliams' identity turns weights of dual words into numbers of patterns of the n - 1 other bits whose syndrome
    # is 0, or with signs, that of bit i. Integers and fractions, since terms of both signs cancel.
    harmless, look_alike = [0] * n, [0] * n
    for (weight, odd), count in _dual_weights(code).items():
        for j, number in enumerate(signed_binomials(weight, n - 1 - weight)):
            harmless[j] += count * number
            look_alike[j] += count * number * (-1 if odd else 1)
    scale = Fraction(1, code.data_bits << checks)
    patterns = [Fraction(0)] * (n + 1)
    for j in range(n):
        patterns[j + 1] += binomials(n - 1)[j] - scale * harmless[j]
        patterns[j] += scale * look_alike[j]
    return as_floats(patterns)


def _dual_weights(code: Hamming) -> Counter[tuple[int, int]]:
    """Count of (weight without bit i, value at bit i) over all data bits i and words of the dual code."""
    # Whole weights of all words at once; 2^checks of them, at most 2^8.
    columns = np.array(code.columns)
    words = np.arange(1 << len(columns) - code.data_bits)[:, np.newaxis]
    values = np.bitwise_count(words & columns) % 2
    weights = values.sum(1, dtype=np.int64)
    found: Counter[tuple[int, int]] = Counter()
    for i in range(code.data_bits):
        found.update(zip((weights - values[:, i]).tolist(), values[:, i].tolist(), strict=True))
    return found
