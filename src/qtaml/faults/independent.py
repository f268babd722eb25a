"""Fault models whose bit errors are independent of each other and equally likely in both directions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults.base import BitErrorRates, FaultModel, Residual
from qtaml.faults.sampler import flip


@dataclass(frozen=True)
class Uniform(FaultModel):
    """Every bit is read wrong with the same probability (assumption A.6 of the paper).

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

    def rates(self, bits: int) -> BitErrorRates:
        """Exact marginal error rates of words of `bits` bits."""
        return BitErrorRates((self.p,) * bits, (self.p,) * bits)

    def behind(self, protections: Sequence[Residual]) -> "PerBit":
        """The same faults as seen behind one protection for each bit position, bit 0 first."""
        return PerBit((self.p,) * len(protections)).behind(protections)

    def corrupt(self, words: torch.Tensor, *, bits: int = 8, seed: int, in_place: bool = False) -> torch.Tensor:
        """Words as read once; see `FaultModel.corrupt`."""
        return flip(words, (self.p,) * bits, seed=seed, in_place=in_place)


@dataclass(frozen=True)
class PerBit(FaultModel):
    """Each bit position has its own flip probability.

    Attributes:
        probabilities: flip probability of each bit position, bit 0 (least significant) first, each in [0, 0.5).

    Raises:
        ArgumentError: if a probability is outside [0, 0.5), or there are none or more than 16.

    Example:
        >>> words = torch.zeros(3, dtype=torch.uint8)
        >>> PerBit((0.0, 0.25)).corrupt(words, bits=2, seed=1)
        tensor([0, 0, 2], dtype=torch.uint8)
    """

    probabilities: tuple[float, ...]
    kind: Literal["per_bit"] = field(default="per_bit", repr=False)

    def __post_init__(self) -> None:
        _checks.integer("number of probabilities", len(self.probabilities), 1, 16)
        checked = tuple(_checks.flip_probability(f"probabilities[{i}]", p) for i, p in enumerate(self.probabilities))
        object.__setattr__(self, "probabilities", checked)

    def rates(self, bits: int) -> BitErrorRates:
        """Exact marginal error rates of words of `bits` bits."""
        self._check_bits(bits)
        return BitErrorRates(self.probabilities, self.probabilities)

    def behind(self, protections: Sequence[Residual]) -> "PerBit":
        """The same faults as seen behind one protection for each bit position, bit 0 first."""
        self._check_bits(len(protections))
        pairs = zip(self.probabilities, protections, strict=True)
        return PerBit(tuple(protection.residual(p, p)[0] for p, protection in pairs))

    def corrupt(self, words: torch.Tensor, *, bits: int = 8, seed: int, in_place: bool = False) -> torch.Tensor:
        """Words as read once; see `FaultModel.corrupt`."""
        self._check_bits(bits)
        return flip(words, self.probabilities, seed=seed, in_place=in_place)

    def _check_bits(self, bits: int) -> None:
        if bits != len(self.probabilities):
            raise ArgumentError(
                f"bits must be {len(self.probabilities)}, the number of flip probabilities given, got {bits}"
            )
