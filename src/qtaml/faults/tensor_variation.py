"""Regions of a memory that fail more or less often than others: each tensor has its own error rate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults.base import AllBitsAlike, FaultModel, WordLaw
from qtaml.faults.independent import PerBit
from qtaml.faults.lognormal import lognormal_rates
from qtaml.protections import BitProtection

# Equally likely rates. Their mean is exact, but the tail of the law is cut: at p = 0.05 their mean square is 1% below
# that of 4096 rates for sigma = 0.5, 5% for sigma = 1.
_CLASSES = 64
# The law of a word is one matrix of all its bits: 8 MiB for 10 bits, 32 GiB for 16.
_LARGEST_BITS = 10
# The model of a tensor is `PerBit`, whose rates are below 1/2.
_BELOW_HALF = float(np.nextafter(0.5, 0.0))


@dataclass(frozen=True)
class TensorVariation(AllBitsAlike):
    """Each place of a memory, which holds a tensor, has its own error rate: one of 64 equally likely lognormal rates.

    Given its rate, the bits of a tensor fail independently. The law of a word is the mixture over the rates,
    mean_k prod_i P_k(read bit i | stored bit i): its bits are dependent, since a wrong bit makes a high rate likelier.
    The words of a tensor depend on each other in the same way.

    Attributes:
        p: mean rate over tensors, in [0, 0.5).
        sigma: standard deviation of the logarithm of the rates, at least 0; rates are clipped below 0.5.
        chip: number of the chip, on which each tensor keeps its rate. None for another chip in every read.

    Raises:
        ArgumentError: if a field is not as said; from the law, if a word has more than 10 bits.

    Source:
        paper, section 5.7, layer variation.

    Example:
        >>> aging = TensorVariation(0.1, sigma=0.5)
        >>> rates = aging.rates(bits=2)
        >>> [round(p, 12) for p in rates.p01 + rates.p10]
        [0.1, 0.1, 0.1, 0.1]
        >>> both_wrong = aging.law(bits=2).groups[0][0, 3]
        >>> round(float(both_wrong), 4)  # more than 0.1 x 0.1
        0.0127
    """

    p: float
    sigma: float
    chip: int | None = None
    kind: Literal["tensor_variation"] = field(default="tensor_variation", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", _checks.flip_probability("p", self.p))
        object.__setattr__(self, "sigma", _checks.non_negative("sigma", self.sigma))
        if self.chip is not None:
            _checks.integer("chip", self.chip, 0)

    def for_bits(self, bits: int) -> FaultModel:
        """The fault model of words of `bits` bits."""
        rates = lognormal_rates(self.p, self.sigma, _CLASSES, _BELOW_HALF)
        return _OneOf(tuple(PerBit((rate,) * bits) for rate in rates), self.chip)


@dataclass(frozen=True)
class _OneOf(FaultModel):
    """Mixture of equally likely fault models: the same model for all words of a place."""

    models: tuple[FaultModel, ...]
    chip: int | None

    def law(self, bits: int) -> WordLaw:
        if bits > _LARGEST_BITS:
            raise ArgumentError(f"bits must be at most {_LARGEST_BITS} where they fail together, got {bits}")
        laws = [model.law(bits) for model in self.models]
        # One matrix product over the models, not a full matrix for each.
        low, high = (np.array([_matrix(law.groups[half]) for law in laws]) for half in _halves(bits))
        mixed = np.einsum("mik,mjl->ijkl", high, low, optimize=True) / len(laws)
        return WordLaw((mixed.reshape(2**bits, 2**bits),))

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        return _OneOf(tuple(model.behind(protections) for model in self.models), self.chip)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        # A hash of chip and place, so that a tensor keeps its rate in every read and nothing has to be remembered.
        chip = child_seed(seed, "chip") if self.chip is None else self.chip
        model = self.models[child_seed(chip, "rate of a tensor", place) % len(self.models)]
        return model.corrupt(words, bits=bits, seed=seed, place=place, in_place=in_place)


def _halves(bits: int) -> tuple[slice, slice]:
    return slice(bits // 2), slice(bits // 2, None)


def _matrix(groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Probability of reading each value, given the stored one, of bits that fail independently."""
    matrix: NDArray[np.float64] = np.ones((1, 1))
    for group in groups:
        matrix = np.asarray(np.kron(group, matrix), dtype=np.float64)
    return matrix
