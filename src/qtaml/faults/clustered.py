"""Errors that strike neighbouring words alike, as a defect does that spans several cells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from qtaml import _checks
from qtaml.faults.base import AllBitsAlike, FaultModel, WordLaw
from qtaml.faults.independent import PerBit
from qtaml.protections import BitProtection
from qtaml.sampling.sampler import check_words


@dataclass(frozen=True)
class Clustered(AllBitsAlike):
    """Runs of neighbouring words share one realisation of errors: the same bits of all words of a run are wrong.

    The law of a single word is exactly that of `Uniform`. Words of a run have the same errors, so a sum over n weights
    averages over n/size independent draws. Runs are counted from the first word of a tensor, in its order in memory;
    the last run may be shorter.

    Attributes:
        p: flip probability, in [0, 0.5).
        size: words of a run, at least 1.

    Raises:
        ArgumentError: if `p` is outside [0, 0.5), or `size` is not a whole number of at least 1.

    Source:
        paper, section 5.7.

    Example:
        >>> Clustered(0.3, size=3).corrupt(torch.zeros(8, dtype=torch.uint8), bits=4, seed=1)
        tensor([10, 10, 10, 12, 12, 12,  0,  0], dtype=torch.uint8)
    """

    p: float
    size: int
    kind: Literal["clustered"] = field(default="clustered", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", _checks.flip_probability("p", self.p))
        _checks.integer("size", self.size, 1)

    def for_bits(self, bits: int) -> FaultModel:
        """The fault model of words of `bits` bits."""
        return _Runs(PerBit((self.p,) * bits), self.size)


@dataclass(frozen=True)
class _Runs(FaultModel):
    """Runs of `size` words that share the errors drawn from `one` for a single word."""

    one: PerBit
    size: int

    def law(self, bits: int) -> WordLaw:
        return self.one.law(bits)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        return _Runs(self.one.behind_alone(protections), self.size)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        check_words(words, bits, in_place=in_place)
        # Errors are drawn for stored zeros, once for each run: what is read of a zero is its error mask.
        zeros = torch.zeros(-(-words.numel() // self.size), dtype=words.dtype, device=words.device)
        mask = self._spread(self.one.corrupt(zeros, bits=bits, seed=seed), words)
        if self.one.p01 != self.one.p10:
            # The same seed: both masks belong to one realisation, and each stored bit selects from which it is read.
            ones = torch.full_like(zeros, 2**bits - 1)
            falling = self._spread(self.one.corrupt(ones, bits=bits, seed=seed) ^ ones, words)
            mask ^= (mask ^ falling) & words
        if words.device.type == "cpu":
            # By NumPy: threads of torch keep spinning for a while after they are done, beside those of the kernel.
            np.bitwise_xor(mask.numpy(), words.numpy(), out=mask.numpy())
        else:
            mask ^= words
        return words.copy_(mask) if in_place else mask

    def _spread(self, errors: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """The errors of each run for each of its words, in the shape of `words`."""
        # A run may be longer than the tensor: repeating its error `size` times could exhaust memory.
        times = max(min(self.size, words.numel()), 1)
        if words.device.type == "cpu":
            spread = torch.from_numpy(np.repeat(errors.numpy(), times))  # several times as fast as in PyTorch
        else:
            spread = errors[:, None].expand(-1, times).reshape(-1)
        return spread[: words.numel()].reshape(words.shape)
