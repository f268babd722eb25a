"""Which tensors of an ONNX file are weights, and what their numbers are."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from qtaml.errors import ModelError
from qtaml.networks.file_weight import FileWeight

_KIND = TensorProto.DataType
# Types of floats, and the bits of codes with the one that stands for 0.
_FLOATS = (
    *(_KIND.FLOAT, _KIND.FLOAT16, _KIND.DOUBLE, _KIND.BFLOAT16),
    *(_KIND.FLOAT8E4M3FN, _KIND.FLOAT8E4M3FNUZ, _KIND.FLOAT8E5M2, _KIND.FLOAT8E5M2FNUZ),
)
_CODES = {_KIND.INT8: (8, 0), _KIND.UINT8: (8, 128), _KIND.INT4: (4, 0), _KIND.UINT4: (4, 8)}
# What arrays of NumPy are given to a session in the place of types that it has not.
_CARRIERS: dict[int, int] = {
    **dict.fromkeys(_FLOATS[3:], _KIND.FLOAT),
    _KIND.INT4: _KIND.INT8,
    _KIND.UINT4: _KIND.UINT8,
}

# Weights in these would stay outside the memory without a word; of 16 bits, where they are codes.
_NOT_RUN = re.compile("FLOAT4.*|FLOAT8E8M0|U?INT2")
_NOT_RUN_AS_CODES = re.compile("U?INT16")
_QUANTISED = re.compile("(De|Dynamic)?[Qq]uantize.*|QLinear.*|.*Integer(ToFloat)?|QGemm|QAttention|Gather")
# What others take must be known when the graph is built, or is no weight: scales, sizes, limits.
_TAKES_VECTORS = re.compile(
    "Conv|ConvTranspose|Gemm|MatMul|Add|Mul|PRelu|RNN|GRU|LSTM|.*Normalization|.*Conv|Fused.*|.*LayerNorm.*"
)
# What these take with one axis longer than 1 is a bias, a scale or a constant, whatever ones stand in its shape.
_ELEMENTWISE = re.compile("Add|Sub|Mul|Div|PRelu")


def carrier(kind: int) -> int:
    """The type in which a session gets numbers of a type: NumPy has no codes of 4 bits, and no short floats."""
    return _CARRIERS.get(kind, kind)


def weight_of(tensor: Any, users: Sequence[str]) -> FileWeight | None:
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
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        broadcast = bool(users) and all(map(_ELEMENTWISE.fullmatch, users)) and max(shape) == math.prod(shape)
        return FileWeight(shape, dtype, 8 * dtype.itemsize, flat=broadcast and len(shape) > 1)
    if tensor.data_type in _CODES and len(shape) > 1 and codes:
        bits, zero = _CODES[tensor.data_type]
        return FileWeight(shape, np.dtype(np.uint8 if zero else np.int8), bits, zero)
    return None


def type_name(kind: int) -> str:
    """Name of a type of numbers, such as "FLOAT"."""
    return str(onnx.TensorProto.DataType.keys()[onnx.TensorProto.DataType.values().index(kind)])
