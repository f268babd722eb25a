"""Base of protections: cost in cells, residual error rates, and the class of decoder."""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple, Self

import numpy as np

Decoder = Literal["none", "majority", "algebraic", "iterative", "ideal"]
"""What reads a protected bit: the cell itself, a vote, a syndrome decoder, belief propagation, or nothing real."""

DECODERS: tuple[Decoder, ...] = ("none", "majority", "algebraic", "iterative", "ideal")


class Bursts(NamedTuple):
    """Errors that come a block at a time.

    Attributes:
        data_bits: data bits of a block.
        wrong: rate of wrong blocks.
        share: share of the data bits of a wrong block that is wrong, each with the same probability.
    """

    data_bits: int
    wrong: float
    share: float

    @property
    def rate(self) -> float:
        """Rate of wrong data bits, over all blocks."""
        return self.wrong * self.share


class BitProtection(ABC):
    """Protection of a stored bit.

    Codes see symmetric errors: their stored bits are scrambled by a known random word, so the rate of their channel is
    (p01 + p10)/2, and the decoded bits are wrong equally often for 0 and 1.
    """

    @property
    @abstractmethod
    def block(self) -> tuple[int, float]:
        """(k, cells): data bits of a block, and the memory cells that they take."""

    @property
    @abstractmethod
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""

    @abstractmethod
    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates (p01, p10) of the protected bit, from those of a raw cell."""

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """Members of the family to choose from, for a cell of these error rates."""
        # None by default: a family with rates of its own (`HardenedCell`) has no members until a caller brings them.
        return ()

    @property
    def refresh_rate(self) -> float:
        """Refreshes of its cells for each one of a plain cell."""
        return 1.0

    @property
    def is_bound(self) -> bool:
        """Whether the residual rates are upper bounds, not the rates themselves."""
        return False

    @property
    def as_read(self) -> "BitProtection":
        """What reads draw errors from: itself, but where `residual` is a bound and an estimate is known."""
        return self

    def bursts(self, p01: float, p10: float) -> Bursts | None:
        """How errors of the data bits come together, for raw cells of these rates; None where each comes by itself."""
        return None

    def any_wrong(self, bits: int, p01: float, p10: float) -> float:
        """Probability that any of so many neighbouring bits is wrong, 0 and 1 being stored equally often.

        Args:
            bits: how many.
            p01: of a raw cell.
            p10: likewise.

        Source:
            theory.md 6.13.
        """
        return float(-np.expm1(bits * np.log1p(-sum(self.residual(p01, p10)) / 2)))

    @property
    def one_cell(self) -> bool:
        """Whether a bit is read from one cell alone; the paper's ideal code counts as one."""
        return self.decoder in ("none", "ideal")

    @property
    def hidden_bits(self) -> int:
        """Data bits of a block that are not stored themselves: only parity tells of them."""
        return 0

    @property
    def cells(self) -> float:
        """Memory cells that one data bit takes, where blocks are full."""
        bits, cells = self.block
        # Undivided, whole cells stay whole numbers, in what is printed too.
        return cells if bits == 1 else cells / bits

    def cells_for(self, bits: int) -> float:
        """Memory cells that `bits` data bits take.

        The last block is shortened: zeros fill up its data, which the decoder knows and which are not stored. What it
        knows can only help, so that the residual rates of full blocks hold.

        Source:
            theory.md 5.3.
        """
        data_bits, cells = self.block
        full, rest = divmod(bits, data_bits)
        return full * cells + (cells - data_bits + max(rest, self.hidden_bits) if rest else 0)
