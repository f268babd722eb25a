"""Base of fault models: the law of a word read given the stored one, its error rates, and samples of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.protections import BitProtection


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


@dataclass(frozen=True, eq=False)
class WordLaw:
    """Exact law of the word read given the stored one: groups of neighbouring bits fail independently of each other.

    Attributes:
        groups: for each group of b bits, from bit 0 up, the probability of reading each of its 2**b values (columns)
            given the stored one (rows). Independent bits are groups of a single bit. The law of the word is the
            Kronecker product of the groups, never formed: for 16 bits it has 2**32 entries.
    """

    groups: tuple[NDArray[np.float64], ...]

    @staticmethod
    def of_bits(p01: Sequence[float], p10: Sequence[float]) -> "WordLaw":
        """The law of independent bits with the given error rates, bit 0 first.

        Example:
            >>> WordLaw.of_bits((0.25,), (0.5,)).groups[0].tolist()
            [[0.75, 0.25], [0.5, 0.5]]
        """
        if len(p01) != len(p10):
            raise ArgumentError(f"p01 and p10 must be as many, got {len(p01)} and {len(p10)}")
        return WordLaw(tuple(np.array([[1 - a, a], [b, 1 - b]]) for a, b in zip(p01, p10, strict=True)))

    @property
    def bits(self) -> int:
        """Number of bits of a word."""
        return sum(len(group).bit_length() - 1 for group in self.groups)

    def rates(self) -> BitErrorRates:
        """Error rates of each bit position: p01[i] = mean over stored words with bit i = 0 of P(bit i is read as 1).

        The other bits of its group are taken as equally likely; p10 likewise.
        """
        p01: list[float] = []
        p10: list[float] = []
        for group in self.groups:
            for position in range(len(group).bit_length() - 1):
                is_one = np.arange(len(group)) >> position & 1 == 1
                p01.append(float(group[~is_one][:, is_one].sum(1).mean()))
                p10.append(float(group[is_one][:, ~is_one].sum(1).mean()))
        return BitErrorRates(tuple(p01), tuple(p10))


class FaultModel(ABC):
    """How the cells of a memory fail between writing and reading, in a refresh window of a chip.

    A subclass states the exact law of a word, and `corrupt` draws from it.
    """

    @abstractmethod
    def law(self, bits: int) -> WordLaw:
        """Exact law of a word of `bits` bits, averaged over chips where those differ."""

    def rates(self, bits: int) -> BitErrorRates:
        """Exact marginal error rates of each bit position of words of `bits` bits."""
        return self.law(bits).rates()

    def holds(self, bits: int) -> bool:
        """Whether words of `bits` bits can be stored in such a memory."""
        return True

    @property
    def shortest_word(self) -> int:
        """Bits of the shortest word that can be stored."""
        # A word is at most a uint16.
        return next(bits for bits in range(1, 17) if self.holds(bits))

    @property
    def mean_rates(self) -> tuple[float, float]:
        """(p01, p10) of a cell, averaged over the bit positions of the shortest word."""
        rates = self.rates(self.shortest_word)
        return sum(rates.p01) / rates.bits, sum(rates.p10) / rates.bits

    @abstractmethod
    def behind(self, protections: Sequence[BitProtection]) -> "FaultModel":
        """The same faults as seen behind one protection for each bit position, bit 0 first."""

    def of_chip(self, chip: int) -> "FaultModel":
        """The memory of one chip.

        Args:
            chip: number of the chip: the same number gives the same chip.

        Returns:
            The fault model of its reads; this one, where all chips are alike.
        """
        return self

    def of_read(self, seed: int) -> "FaultModel":
        """The memory behind all words of one read, where these share more than `corrupt` can know of.

        Args:
            seed: of the whole read; the words of each tensor have one of their own.

        Returns:
            The fault model to read every tensor with; this one, where each tensor fails by itself.
        """
        return self

    @abstractmethod
    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        """Words as read once.

        Args:
            words: stored words, uint8 up to 8 bits and uint16 up to 16, any shape.
            bits: number of bits of a word.
            seed: the same seed gives the same errors.
            place: name of the region of the memory that holds the words: faults that stay with the cells of a chip
                are the same in every read of the same place.
            in_place: overwrite `words` instead of returning new ones.

        Returns:
            The words read, of the same shape and dtype.

        Raises:
            ArgumentError: if the words have another dtype, or the model another number of bits.
        """

    def reader(self, words: torch.Tensor, *, bits: int = 8, place: str = "") -> Callable[[int], torch.Tensor]:
        """Return `seed -> corrupted words` with everything else precomputed. Arguments as for `corrupt`."""
        # Nothing to precompute in general: a model that has something overrides it.
        return lambda seed: self.corrupt(words, bits=bits, seed=seed, place=place)


class AllBitsAlike(FaultModel):
    """Base of fault models that treat every bit position alike: `for_bits` gives the model for a number of bits."""

    @abstractmethod
    def for_bits(self, bits: int) -> FaultModel:
        """The fault model of words of `bits` bits."""

    def law(self, bits: int) -> WordLaw:
        """Exact law of a word of `bits` bits, averaged over chips where those differ."""
        return self.for_bits(bits).law(bits)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        """The same faults as seen behind one protection for each bit position, bit 0 first."""
        return _behind(self, tuple(protections))

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        """Words as read once; see `FaultModel.corrupt`."""
        return _for_bits(self, bits).corrupt(words, bits=bits, seed=seed, place=place, in_place=in_place)


# Cached: a network is read thousands of times under the same fault model and few protections, and the models of static
# cells keep the tables they have made.
@lru_cache(maxsize=64)
def _for_bits(fault: AllBitsAlike, bits: int) -> FaultModel:
    return fault.for_bits(bits)


@lru_cache(maxsize=256)
def _behind(fault: AllBitsAlike, protections: tuple[BitProtection, ...]) -> FaultModel:
    return _for_bits(fault, len(protections)).behind(protections)


def check_bits(bits: int, known: int) -> None:
    """Check that words of `bits` bits are asked for where probabilities of `known` bit positions are given.

    Raises:
        ArgumentError: if not.
    """
    if bits != known:
        raise ArgumentError(f"bits must be {known}, the number of flip probabilities given, got {bits}")
