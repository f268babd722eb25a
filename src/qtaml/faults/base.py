"""What a fault model is: how often each stored bit is read wrong, and words as they are read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True)
class BitErrorRates:
    """Probability that a stored bit is read wrong, for each bit position, bit 0 (least significant) first.

    Attributes:
        p01: probability of reading 1 where 0 is stored.
        p10: probability of reading 0 where 1 is stored.
    """

    p01: tuple[float, ...]
    p10: tuple[float, ...]

    @property
    def bits(self) -> int:
        """Number of bit positions."""
        return len(self.p01)


class Residual(Protocol):
    """What a fault model needs to know of the protection of a bit: what remains of its error rates."""

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates (p01, p10) after the protection, from those of a raw cell."""
        ...


class FaultModel(ABC):
    """How the cells of a memory fail between writing and reading, in one refresh window of one chip.

    A subclass states its exact marginal rates, and its `corrupt` agrees with them in law.
    """

    @abstractmethod
    def rates(self, bits: int) -> BitErrorRates:
        """Exact marginal error rates of words of `bits` bits."""

    @abstractmethod
    def behind(self, protections: Sequence[Residual]) -> "FaultModel":
        """The same faults as seen behind one protection for each bit position, bit 0 first."""

    @abstractmethod
    def corrupt(self, words: torch.Tensor, *, bits: int = 8, seed: int, in_place: bool = False) -> torch.Tensor:
        """Words as read once.

        Args:
            words: stored words, uint8 up to 8 bits and uint16 up to 16, any shape.
            bits: number of bits of a word.
            seed: the same seed gives the same errors.
            in_place: overwrite `words` instead of returning new ones.

        Returns:
            The words read, of the same shape and dtype.

        Raises:
            ArgumentError: if the words have another dtype, or the model another number of bits.
        """
