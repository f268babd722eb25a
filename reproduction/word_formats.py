"""Weights kept in words of a number format as they are, with flipped bits, and the exact error that flips make."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

import qtaml
from qtaml._random import child_seed
from qtaml.faults import Uniform
from qtaml.formats import FLOAT_FORMATS
from qtaml.model import stored_weights
from qtaml.theory import ErrorLaw, float_error_moments

FLOATS: Mapping[str, tuple[str, torch.dtype]] = {
    "FP32": ("fp32", torch.float32),
    "FP16": ("fp16", torch.float16),
    "BF16": ("bf16", torch.bfloat16),
    "FP8 E4M3": ("fp8_e4m3", torch.float8_e4m3fn),
}
"""Float formats: name in `FLOAT_FORMATS`, and type of torch."""

WHOLE: Mapping[str, int] = {"INT8": 8, "INT4": 4}
"""Evenly spaced words: their bits. The largest weight of a tensor is the largest number."""

FORMATS = (*FLOATS, *WHOLE)


class WordMemory:
    """A network whose weights are words of a number format, all bits of which fail alike.

    Infinity is read as the largest number of its sign, and NaN as 0.

    Args:
        model: the network; it is not changed.
        name: of `FORMATS`.
        p: flip probability.
    """

    def __init__(self, model: nn.Module, name: str, p: float) -> None:
        self._name, self._fault = name, Uniform(p)
        self._weights = {key: weight.detach() for key, weight in stored_weights(model).items()}
        self._memory = None
        if name in WHOLE:
            self._memory = qtaml.store(model, qtaml.uniform_msp(model, p=p, bits=WHOLE[name], protected_bits=0))

    def read(self, seed: int) -> dict[str, torch.Tensor]:
        """Weights as read once."""
        if self._memory is not None:
            return dict(self._memory.read(seed=seed))
        return {key: self._float(key, weight, seed) for key, weight in self._weights.items()}

    def error(self) -> float:
        """Expected squared error of all weights over their squares; rounding is not in it."""
        squares = sum(float((weight.double() ** 2).sum()) for weight in self._weights.values())
        return sum(self._expected(weight) for weight in self._weights.values()) / squares

    def _float(self, key: str, weight: torch.Tensor, seed: int) -> torch.Tensor:
        _, dtype = FLOATS[self._name]
        stored = weight.to(dtype).contiguous()
        read = self._fault.corrupt(stored.view(torch.uint8), bits=8, seed=child_seed(seed, key)).view(dtype)
        largest = torch.finfo(dtype).max
        return torch.nan_to_num(read.float(), nan=0.0, posinf=largest, neginf=-largest)

    def _expected(self, weight: torch.Tensor) -> float:
        p = self._fault.p
        if self._name in FLOATS:
            name, dtype = FLOATS[self._name]
            bits = FLOAT_FORMATS[name].bits
            raw = weight.to(dtype).contiguous().view({8: torch.uint8, 16: torch.int16, 32: torch.int32}[bits])
            words = raw.numpy().astype("int64") & (1 << bits) - 1
            return float(float_error_moments(words, name, p01=[p] * bits, p10=[p] * bits).mean_square.sum())
        # From the least to the greatest level, 2**bits - 1 steps.
        bits, step = WHOLE[self._name], 2 * float(weight.abs().max()) / (2 ** WHOLE[self._name] - 1)
        labels = ((weight.double() / step).floor() + 2 ** (bits - 1)).clamp(0, 2**bits - 1).long().numpy()
        law = ErrorLaw(bits, p)
        return float(step**2 * np.sum(law.variance(labels) + np.square(law.mean(labels))))
