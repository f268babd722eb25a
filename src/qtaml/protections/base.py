"""What a protection is: its cost in cells, what remains of the error rates, and what has to decode it."""

from abc import ABC, abstractmethod
from typing import Literal, Self

Decoder = Literal["none", "majority", "algebraic", "iterative", "ideal"]
"""What reads a protected bit: the cell itself, a vote, a syndrome decoder, belief propagation, or nothing real."""

DECODERS: tuple[Decoder, ...] = ("none", "majority", "algebraic", "iterative", "ideal")


class BitProtection(ABC):
    """How one stored bit is protected.

    Codes see symmetric errors: their stored bits are scrambled by a known random word, so the rate of their channel is
    the mean of p01 and p10, and the bits they return are wrong equally often for 0 and 1.
    """

    @property
    @abstractmethod
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""

    @property
    @abstractmethod
    def decoder(self) -> Decoder:
        """What has to read it."""

    @abstractmethod
    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the protected bit, from those of a raw cell."""

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """Members of the family that may be worth their price for a cell of these error rates."""
        return ()

    @property
    def is_bound(self) -> bool:
        """Whether the residual rates are upper bounds, not the rates themselves."""
        return False

    @property
    def one_cell(self) -> bool:
        """Whether a bit is read from one cell alone; the paper's ideal code counts as one."""
        return self.decoder in ("none", "ideal")

    @property
    def cells(self) -> float:
        """Memory cells that one data bit takes, where blocks are full."""
        bits, cells = self.block
        return cells if bits == 1 else cells / bits

    def cells_for(self, bits: int) -> float:
        """Memory cells that `bits` data bits take, in whole blocks."""
        data_bits, cells = self.block
        return -(-bits // data_bits) * cells
