"""Repetition codes: several cells for a bit, and a vote."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Self

import scipy

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.protections.base import BitProtection, Decoder

# Candidates end here; `Repetition` itself takes any number. At p01 = p10 = 0.1 fifteen copies leave 3e-5, and where
# algebraic decoders are allowed codes beat every vote.
_MOST_COPIES = 15


@dataclass(frozen=True)
class Repetition(BitProtection):
    """The same bit in r = `copies` cells, read as 1 if at least k = `ones` of them read 1.

    p01 = P(Binomial(r, p01 of a cell) >= k) and p10 = P(Binomial(r, p10 of a cell) > r - k).

    Attributes:
        copies: cells for one bit, at least 2.
        ones: copies that have to be read as 1, from 1 to `copies`; the majority of an odd number if not given.

    Raises:
        ArgumentError: if a number is out of its range, or an even number of copies comes without `ones`.

    Source:
        theory.md 5.2, exact binomial tails.

    Example:
        >>> [round(p, 6) for p in Repetition(3).residual(0.1, 0.1)]  # 3 p^2 - 2 p^3
        [0.028, 0.028]
        >>> Repetition.best(2, 0.0, 0.1)  # only stored ones are lost: one copy read as 1 is enough
        Repetition(copies=2, ones=1)
        >>> [round(p, 6) for p in Repetition(2, ones=1).residual(0.0, 0.1)]
        [0.0, 0.01]
    """

    copies: int
    ones: int = 0
    kind: Literal["repetition"] = field(default="repetition", repr=False)

    def __post_init__(self) -> None:
        copies = _checks.integer("copies", self.copies, 2)
        if not self.ones and copies % 2 == 0:
            raise ArgumentError(f"ones must be given for an even number of copies, got {copies} copies")
        object.__setattr__(self, "ones", _checks.integer("ones", self.ones or copies // 2 + 1, 1, copies))

    @classmethod
    def best(cls, copies: int, p01: float, p10: float) -> Self:
        """The vote of least residual p01 + p10 for these rates of a raw cell.

        Args:
            copies: cells for one bit, at least 2.
            p01: probability of reading 1 where 0 is stored.
            p10: probability of reading 0 where 1 is stored.

        Raises:
            ArgumentError: if `copies` is below 2.
        """
        votes = [cls(copies, ones) for ones in range(1, _checks.integer("copies", copies, 2) + 1)]
        # Of equal votes the one nearest to the majority, so that symmetric errors stay symmetric.
        return min(votes, key=lambda vote: (sum(vote.residual(p01, p10)), abs(2 * vote.ones - copies - 1)))

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """The best vote of each number of copies."""
        return tuple(cls.best(copies, p01, p10) for copies in range(2, _MOST_COPIES + 1))

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return 1, self.copies

    @property
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""
        return "majority"

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the protected bit, from those of a raw cell whose copies fail independently."""
        return _tails(self.copies, self.ones, float(p01), float(p10))


@lru_cache(maxsize=4096)
def _tails(copies: int, ones: int, p01: float, p10: float) -> tuple[float, float]:
    # Survival functions, not 1 - cdf: residual rates far below 1e-16 keep their digits.
    return float(scipy.stats.binom.sf(ones - 1, copies, p01)), float(scipy.stats.binom.sf(copies - ones, copies, p10))
