"""Fault models whose bit errors are independent of each other."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults.base import AllBitsAlike, FaultModel, WordLaw, check_bits
from qtaml.faults.bursts import flip_bursts
from qtaml.protections import BitProtection, Bursts
from qtaml.sampling.sampler import flip_asymmetric, flipper

# Flip probabilities are below 1/2, where corrections 1/(1 - 2p) end; this is the largest.
_ALMOST_HALF = math.nextafter(0.5, 0.0)


@dataclass(frozen=True)
class PerBit(FaultModel):
    """Each bit position has its own error probabilities.

    Attributes:
        p01: probability of reading 1 where 0 is stored, for each bit position, bit 0 (least significant) first, each in
            [0, 0.5).
        p10: probability of reading 0 where 1 is stored; the same as `p01` if not given.

    Raises:
        ArgumentError: if a probability is outside [0, 0.5), there are none or more than 16, or not as many of both.

    Example:
        >>> words = torch.zeros(3, dtype=torch.uint8)
        >>> PerBit((0.0, 0.25)).corrupt(words, bits=2, seed=1)
        tensor([2, 0, 0], dtype=torch.uint8)
    """

    p01: tuple[float, ...]
    p10: tuple[float, ...] = ()
    kind: Literal["per_bit"] = field(default="per_bit", repr=False)

    def __post_init__(self) -> None:
        # Tuples, whatever was given: models are keys of caches, and a list has no hash.
        object.__setattr__(self, "p01", tuple(self.p01))
        object.__setattr__(self, "p10", tuple(self.p10) or self.p01)
        for name, rates in (("p01", self.p01), ("p10", self.p10)):
            checked = tuple(_checks.flip_probability(f"{name}[{i}]", p) for i, p in enumerate(rates))
            object.__setattr__(self, name, checked)
        _checks.integer("number of flip probabilities", len(self.p01), 1, 16)
        if len(self.p01) != len(self.p10):
            raise ArgumentError(f"p01 and p10 must be as many, got {len(self.p01)} and {len(self.p10)}")

    def law(self, bits: int) -> WordLaw:
        """Exact law of a word of `bits` bits."""
        check_bits(bits, len(self.p01))
        return WordLaw.of_bits(self.p01, self.p10)

    def holds(self, bits: int) -> bool:
        """Whether a word of `bits` bits has as many bits as there are probabilities."""
        return bits == len(self.p01)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        """The same faults as seen behind one protection for each bit position, bit 0 first."""
        alone = self.behind_alone(protections)
        raw = zip(self.p01, self.p10, protections, strict=True)
        bursts = [protection.bursts(p01, p10) for p01, p10, protection in raw]
        return InBlocks(alone, tuple(bursts)) if any(bursts) else alone

    def behind_alone(self, protections: Sequence[BitProtection]) -> "PerBit":
        """As `behind`, with the errors of every bit independent of the others, those of block codes too."""
        check_bits(len(protections), len(self.p01))
        raw = zip(self.p01, self.p10, protections, strict=True)
        left = [protection.residual(p01, p10) for p01, p10, protection in raw]
        # The bound of a code beyond its range is 1/2 or more: the bit is as good as random.
        p01, p10 = (tuple(min(rate, _ALMOST_HALF) for rate in rates) for rates in zip(*left, strict=True))
        return PerBit(p01, p10)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        """Words as read once; see `FaultModel.corrupt`."""
        check_bits(bits, len(self.p01))
        return flip_asymmetric(words, self.p01, self.p10, seed=seed, in_place=in_place)

    def reader(self, words: torch.Tensor, *, bits: int = 8, place: str = "") -> Callable[[int], torch.Tensor]:
        """Return `seed -> corrupted words`; see `FaultModel.reader`."""
        # The short way leaves `corrupt` out, so it must not be taken where a subclass has a `corrupt` of its own.
        if type(self).corrupt is not PerBit.corrupt:
            return super().reader(words, bits=bits, place=place)
        check_bits(bits, len(self.p01))
        return flipper(words, self.p01, self.p10)


@dataclass(frozen=True)
class InBlocks(FaultModel):
    """Bits that fail by themselves, and bits that fail a block at a time.

    A block holds one bit of each of its words, neighbours in the memory, so bits of one word fail independently of
    each other: the law of a word is that of independent bits with the mean rates.

    Attributes:
        alone: mean rates of all bits.
        bursts: for each bit position, how its errors come together; None for bits that fail by themselves.
    """

    alone: PerBit
    bursts: tuple[Bursts | None, ...]

    def law(self, bits: int) -> WordLaw:
        """Exact law of a word of `bits` bits."""
        return self.alone.law(bits)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        """As if the bits failed by themselves: there is no code behind a code."""
        return self.alone.behind(protections)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        """Words as read once; see `FaultModel.corrupt`."""
        check_bits(bits, len(self.bursts))
        words = words if in_place else words.contiguous()
        read = flip_asymmetric(words, *self._rates, seed=seed, in_place=in_place)
        return flip_bursts(read, self.bursts, seed=seed)

    def reader(self, words: torch.Tensor, *, bits: int = 8, place: str = "") -> Callable[[int], torch.Tensor]:
        """Return `seed -> corrupted words`; see `FaultModel.reader`."""
        check_bits(bits, len(self.bursts))
        read = flipper(words.contiguous(), *self._rates)
        return lambda seed: flip_bursts(read(seed), self.bursts, seed=seed)

    @property
    def _rates(self) -> tuple[tuple[float, ...], ...]:
        """Rates p01 and p10 of the bits that fail by themselves, 0 for the others."""
        return tuple(
            tuple(0.0 if burst else rate for rate, burst in zip(rates, self.bursts, strict=True))
            for rates in (self.alone.p01, self.alone.p10)
        )


@dataclass(frozen=True)
class Uniform(AllBitsAlike):
    """Every bit is read wrong independently with the same probability p: p01 = p10 = p (paper, assumption A.6).

    Attributes:
        p: flip probability, in [0, 0.5).

    Raises:
        ArgumentError: if `p` is outside [0, 0.5).

    Example:
        >>> Uniform(0.1).rates(bits=2)
        BitErrorRates(p01=(0.1, 0.1), p10=(0.1, 0.1))
    """

    p: float
    kind: Literal["uniform"] = field(default="uniform", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", _checks.flip_probability("p", self.p))

    def for_bits(self, bits: int) -> PerBit:
        """The fault model of words of `bits` bits."""
        return PerBit((self.p,) * bits)


@dataclass(frozen=True)
class Asymmetric(AllBitsAlike):
    """Ones and zeros are lost with different probabilities, the same for every bit.

    An example is the Z-channel of escaping electrons (p01 = 0 or p10 = 0): a charged cell can lose its charge, an empty
    cell cannot gain it. A value sum_i beta_i b_i shifts on average by sum_i beta_i (p01 - (p01 + p10) b_i).

    Attributes:
        p01: probability of reading 1 where 0 is stored, in [0, 0.5).
        p10: probability of reading 0 where 1 is stored, in [0, 0.5).

    Raises:
        ArgumentError: if a probability is outside [0, 0.5).

    Source:
        theory.md 3.

    Example:
        >>> Asymmetric(p01=0.0, p10=0.2).rates(bits=1)
        BitErrorRates(p01=(0.0,), p10=(0.2,))
    """

    p01: float
    p10: float
    kind: Literal["asymmetric"] = field(default="asymmetric", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p01", _checks.flip_probability("p01", self.p01))
        object.__setattr__(self, "p10", _checks.flip_probability("p10", self.p10))

    def for_bits(self, bits: int) -> PerBit:
        """The fault model of words of `bits` bits."""
        return PerBit((self.p01,) * bits, (self.p10,) * bits)


@dataclass(frozen=True)
class Ramp(AllBitsAlike):
    """Flip probabilities linear in the bit position, of mean p: p_i = p (2 - m + 2 (m - 1) i/(bits - 1)).

    Attributes:
        p: mean flip probability, in [0, 0.5).
        most_significant: m, the probability of the most significant bit over the mean; that of the least significant
            bit over the mean is 2 - m. A word of a single bit has the mean.

    Raises:
        ArgumentError: if a probability leaves [0, 0.5).

    Source:
        paper, section 5.7.

    Example:
        >>> [round(p, 3) for p in Ramp(0.1).rates(bits=5).p01]
        [0.05, 0.075, 0.1, 0.125, 0.15]
    """

    p: float
    most_significant: float = 1.5
    kind: Literal["ramp"] = field(default="ramp", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", _checks.flip_probability("p", self.p))
        top = _checks.real("most_significant", self.most_significant)
        object.__setattr__(self, "most_significant", top)
        # Checked here, at both ends, since the number of bits comes later and the ends do not depend on it.
        for factor in (top, 2 - top):
            _checks.flip_probability(f"p x {factor:g}", self.p * factor)

    def for_bits(self, bits: int) -> PerBit:
        """The fault model of words of `bits` bits."""
        rise = 2 * (self.most_significant - 1) / max(bits - 1, 1)
        least = 2 - self.most_significant if bits > 1 else 1.0
        return PerBit(tuple(self.p * (least + rise * position) for position in range(bits)))
