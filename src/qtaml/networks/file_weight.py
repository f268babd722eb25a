"""Tensors of weights of a file: what their numbers are there, in a runtime, and as a parameter."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]


class FileWeight(NamedTuple):
    """A tensor of weights of a file: floats, or codes of 4 or 8 bits.

    Attributes:
        shape: its shape.
        dtype: of its numbers; codes of 4 bits, which NumPy lacks, are int8 or uint8.
        bits: of a number in the file.
        zero: the code that stands for 0; None for floats.
        flat: whether the parameter is a vector, though the shape has more dimensions.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bits: int
    zero: int | None = None
    flat: bool = False

    def values(self, stored: Array) -> torch.Tensor:
        """The parameter: floats as they are, in float32 where NumPy lacks them; codes as float32 around 0."""
        shaped = stored.reshape(-1) if self.flat else stored
        if self.zero is not None:
            return torch.from_numpy(shaped.astype(np.float32) - self.zero)
        return torch.from_numpy(shaped.astype(self._carrier))

    def given(self, values: torch.Tensor) -> Array:
        """What a runtime gets for a parameter: rounded to numbers of the file, and limited to what they can be."""
        own = values.detach().cpu().contiguous().reshape(self.shape)
        if self.zero is not None:
            least = -self.zero if self.zero else -(1 << self.bits - 1)
            codes = own.round().clamp(least, least + (1 << self.bits) - 1) + self.zero
            return codes.numpy().astype(self.dtype)
        if self._carrier == self.dtype:
            return own.numpy().astype(self.dtype, copy=False)
        # Only who made such a type has this package.
        import ml_dtypes

        # Beyond their largest number they have infinity, or none but NaN.
        finfo: Any = ml_dtypes.finfo
        most = float(finfo(self.dtype).max)
        return np.asarray(own.float().clamp(-most, most).numpy().astype(self.dtype).astype(self._carrier))

    def raw(self, values: torch.Tensor) -> bytes:
        """What the file holds for a parameter; codes of 4 bits two in a byte, the first one below."""
        given = self.given(values)
        if self.bits >= 8:
            return bytes(given.astype(self.dtype.newbyteorder("<")).tobytes())
        flat = given.reshape(-1).view(np.uint8) & 15
        pairs = np.pad(flat, (0, len(flat) % 2)).reshape(-1, 2)
        return bytes((pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8))

    @property
    def _carrier(self) -> np.dtype[Any]:
        """The type of floats in PyTorch: float32 for those that NumPy has from another package."""
        return self.dtype if self.dtype.kind == "f" and self.dtype.isbuiltin == 1 else np.dtype(np.float32)
