"""BCH codes with bounded-distance decoding."""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from importlib import resources
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from qtaml._files import from_json
from qtaml.errors import ArgumentError
from qtaml.protections.base import BitProtection, Decoder
from qtaml.protections.polynomial import as_floats, binomials, error_rate

WEIGHTS = "bch_weights.json"
# Without t = 1, which `Hamming` covers, with shortened blocks too.
CODES = (
    *((15, 7, 2), (15, 5, 3)),
    *((31, 21, 2), (31, 16, 3), (31, 11, 5), (31, 6, 7)),
    *((63, 51, 2), (63, 45, 3), (63, 39, 4), (63, 36, 5), (63, 30, 6), (63, 24, 7), (63, 18, 10), (63, 16, 11)),
    *((63, 10, 13), (63, 7, 15)),
    *((127, 113, 2), (127, 106, 3), (127, 99, 4), (127, 92, 5), (127, 85, 6), (127, 78, 7), (127, 71, 9)),
    *((127, 64, 10), (127, 57, 11), (127, 50, 13), (127, 43, 14), (127, 36, 15), (127, 29, 21), (127, 22, 23)),
    *((127, 15, 27), (127, 8, 31)),
)
"""(stored bits n, data bits k, errors corrected t); with t = 1 they are Hamming codes."""


@dataclass(frozen=True)
class BchWeights:
    """Number of code words of each weight 0 to n, in decimal: they outgrow the numbers of JSON."""

    code_bits: int
    data_bits: int
    corrects: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Bch(BitProtection):
    """A primitive BCH code: up to t errors in a block of n are corrected; of more, data stay as read or miscorrected.

    The residual rate is sum_j p^j (1-p)^(n-j) W_j/n. With A_w code words of weight w, and N(w, j, t) patterns of weight
    j within distance t of each, W_j = j C(n, j) + sum_w A_w N(w, j, t) (w - j) for j > t, else 0. Where the weights A_w
    are not known (some codes of n = 127), W_j = min(n, j + t) C(n, j) is an upper bound.

    Attributes:
        code_bits: n, 15, 31, 63 or 127.
        data_bits: k.
        corrects: t.

    Raises:
        ArgumentError: if there is no such code in `CODES`.

    Source:
        theory.md 5.2; MacWilliams and Sloane, The Theory of Error-Correcting Codes, chapters 5 and 9.

    Example:
        >>> Bch(15, 7, 2).block, Bch(15, 7, 2).is_bound
        ((7, 15), False)
        >>> round(Bch(15, 5, 3).residual(0.1, 0.1)[0], 4)
        0.02
    """

    code_bits: int
    data_bits: int
    corrects: int
    kind: Literal["bch"] = field(default="bch", repr=False)

    def __post_init__(self) -> None:
        code = (self.code_bits, self.data_bits, self.corrects)
        if code not in CODES:
            same = ", ".join(str(known) for known in CODES if known[0] == self.code_bits)
            raise ArgumentError(f"a BCH code must be one of {same or 'length 15, 31, 63 or 127'}, got {code}")

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """All of `CODES`."""
        return tuple(cls(*code) for code in CODES)

    @property
    def is_bound(self) -> bool:
        """Whether the residual rates are upper bounds: where the weights of the code are not known."""
        return _words(self) is None

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return self.data_bits, self.code_bits

    @property
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""
        return "algebraic"

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of a data bit, from those of a raw cell."""
        p = _residual(self, float(p01 + p10) / 2)
        return p, p


# Read at the first use: `import qtaml.protections` should not parse a file.
@lru_cache(maxsize=1)
def _table() -> dict[tuple[int, int, int], tuple[int, ...]]:
    text = resources.files("qtaml.protections").joinpath(WEIGHTS).read_text(encoding="utf-8")
    known = from_json(tuple[BchWeights, ...], text, WEIGHTS)
    return {(one.code_bits, one.data_bits, one.corrects): tuple(map(int, one.words)) for one in known}


def _words(code: Bch) -> tuple[int, ...] | None:
    return _table().get((code.code_bits, code.data_bits, code.corrects))


@lru_cache(maxsize=8192)
def _residual(code: Bch, p: float) -> float:
    return error_rate(_wrong_patterns(code), p)


@lru_cache(maxsize=64)
def _wrong_patterns(code: Bch) -> NDArray[np.float64]:
    """W_j/n: error patterns of each weight j that leave a given bit wrong; all bits are alike, the code is cyclic."""
    # Exact integers up to the end: terms have both signs, and counts of up to 1e37 would cancel as floats.
    n, t, words = code.code_bits, code.corrects, _words(code)
    beyond = range(t + 1, n + 1)
    wrong = [0] * (n + 1)  # W_j
    for j in beyond:
        wrong[j] = binomials(n)[j] * (j if words else min(n, j + t))
    for weight, count in enumerate(words or ()):
        for j in beyond if weight and count else ():
            wrong[j] += count * _patterns_near(n, weight, j, t) * (weight - j)
    return as_floats([Fraction(bits, n) for bits in wrong])


def _patterns_near(n: int, weight: int, pattern_weight: int, distance: int) -> int:
    """N(weight, pattern_weight, distance): patterns of a weight within a distance of a given word of `weight`."""
    inside, outside = binomials(weight), binomials(n - weight)
    found = 0
    for missing in range(min(weight, distance) + 1):
        added = pattern_weight - weight + missing
        if 0 <= added <= min(n - weight, distance - missing):
            found += inside[missing] * outside[added]
    return found
