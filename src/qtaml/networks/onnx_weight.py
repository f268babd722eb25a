"""Tensors of weights of an ONNX file: what their numbers are in the file, in a session, and as a parameter."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from qtaml.errors import ModelError

Array = NDArray[Any]

_FLOATS: dict[int, type[np.floating[Any]]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.DOUBLE: np.float64,
}


class _Codes(NamedTuple):
    """Codes of a type: the dtype in which they are given to a session, their bits, and the one that stands for 0."""

    dtype: type[np.integer[Any]]
    bits: int
    zero: int


_CODES: dict[int, _Codes] = {
    TensorProto.INT8: _Codes(np.int8, 8, 0),
    TensorProto.UINT8: _Codes(np.uint8, 8, 128),
    TensorProto.INT4: _Codes(np.int8, 4, 0),
    TensorProto.UINT4: _Codes(np.uint8, 4, 8),
}
_CAST: dict[int, int] = {TensorProto.INT4: TensorProto.INT8, TensorProto.UINT4: TensorProto.UINT8}
# Weights in these would stay outside the memory without a word; of 16 bits, where they are codes.
_NOT_RUN = re.compile("BFLOAT16|FLOAT[468].*|U?INT2")
_NOT_RUN_AS_CODES = re.compile("U?INT16")
_QUANTISED = re.compile("(De|Dynamic)?[Qq]uantize.*|QLinear.*|.*Integer(ToFloat)?|QGemm|QAttention|Gather")
# What others take must be known when the graph is built, or is no weight: scales, sizes, limits.
_TAKES_VECTORS = re.compile(
    "Conv|ConvTranspose|Gemm|MatMul|Add|Mul|PRelu|RNN|GRU|LSTM|.*Normalization|.*Conv|Fused.*|.*LayerNorm.*"
)


class OnnxWeight(NamedTuple):
    """A tensor of weights of an ONNX file: floats, or codes of 4 or 8 bits.

    Attributes:
        shape: its shape.
        kind: its type, a number of `TensorProto.DataType`.
    """

    shape: tuple[int, ...]
    kind: int

    @property
    def session_kind(self) -> int:
        """The type in which a session gets it: NumPy has no codes of 4 bits."""
        return _CAST.get(self.kind, self.kind)

    @property
    def bits(self) -> int:
        """Bits of a number in the file."""
        return _CODES[self.kind].bits if self.kind in _CODES else 8 * np.dtype(_FLOATS[self.kind]).itemsize

    def values(self, stored: Array) -> torch.Tensor:
        """The parameter: floats as they are, codes as float32 around 0."""
        if self.kind in _FLOATS:
            return torch.from_numpy(stored.copy())
        return torch.from_numpy(stored.astype(np.float32) - _CODES[self.kind].zero)

    def stored(self, values: torch.Tensor) -> Array:
        """What a session gets for a parameter: codes are rounded, and limited to what they can be."""
        own = values.detach().cpu().contiguous()
        if self.kind in _FLOATS:
            return own.numpy().astype(_FLOATS[self.kind], copy=False)
        dtype, bits, zero = _CODES[self.kind]
        least = -zero if zero else -(1 << bits - 1)
        codes = own.round().clamp(least, least + (1 << bits) - 1) + zero
        return codes.numpy().astype(dtype)

    def raw(self, values: torch.Tensor) -> bytes:
        """What the file holds for a parameter; codes of 4 bits two in a byte, the first one below."""
        stored = self.stored(values)
        if self.bits >= 8:
            return bytes(stored.astype(stored.dtype.newbyteorder("<")).tobytes())
        flat = stored.reshape(-1).view(np.uint8) & 15
        pairs = np.pad(flat, (0, len(flat) % 2)).reshape(-1, 2)
        return bytes((pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8))


def weight_of(tensor: Any, users: Sequence[str]) -> OnnxWeight | None:
    """What a tensor of a file is as a weight; None if it is none, such as a shape, a limit or the scale of codes.

    Args:
        tensor: a `TensorProto`.
        users: operators that take it.

    Raises:
        ModelError: if it holds weights of a type that is not run.
    """
    kind, shape = type_name(tensor.data_type), tuple(tensor.dims)
    codes = bool(users) and all(map(_QUANTISED.fullmatch, users))
    if len(shape) > 1 and (_NOT_RUN.fullmatch(kind) or (codes and _NOT_RUN_AS_CODES.fullmatch(kind))):
        types = ", ".join(map(type_name, (*_FLOATS, *_CODES)))
        raise ModelError(f"weights must be of {types} to be run from an ONNX file, got {tensor.name!r} of {kind}")
    vector = bool(shape and users) and all(map(_TAKES_VECTORS.fullmatch, users))
    if tensor.data_type in _FLOATS and (len(shape) > 1 or vector):
        return OnnxWeight(shape, tensor.data_type)
    return OnnxWeight(shape, tensor.data_type) if tensor.data_type in _CODES and len(shape) > 1 and codes else None


def type_name(kind: int) -> str:
    """Name of a type of numbers, such as "FLOAT"."""
    return str(onnx.TensorProto.DataType.keys()[onnx.TensorProto.DataType.values().index(kind)])
