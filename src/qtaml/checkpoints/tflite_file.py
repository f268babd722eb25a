"""TFLite files: constant tensors of INT8 with their scales, and of floats, where they lie in the flatbuffer."""

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qtaml import _files
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor, Part, Source
from qtaml.checkpoints.fields import Bytes, Field, Product, in_a_row, twos_complement
from qtaml.checkpoints.safetensors_file import float_format
from qtaml.checkpoints.unit_format import UnitFormat
from qtaml.errors import QtamlError, StoredFileError

IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of a TFLite file."""


def read_tflite(source: Source) -> Checkpoint:
    """The constant tensors of a TFLite file.

    Args:
        source: the file.

    Raises:
        StoredFileError: if the file is damaged or truncated.
        QtamlError: if `tflite` is not installed.
    """
    try:
        import tflite
    except ImportError as error:
        raise QtamlError("TFLite files need tflite: pip install 'qtaml[tflite]'") from error
    kinds = {number: name for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}
    tensors, others = dict[str, CheckpointTensor](), dict[str, str]()
    with _files.open_regular(source.path) as file:
        content = np.memmap(file, dtype=np.uint8, mode="r")
    try:
        for name, tensor, data in _constants(tflite.Model.GetRootAs(content, 0), source.size // 4):
            if name in tensors or name in others:
                raise StoredFileError(f"{source.path} is damaged: two tensors have the name {name!r}")
            made = _read(source, content, name, kinds.get(tensor.Type(), str(tensor.Type())), tensor, data)
            if isinstance(made, str):
                others[name] = made
            else:
                tensors[name] = made
    # What the reader of flatbuffers raises where an offset or a length leads out of the file.
    except (struct.error, IndexError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, StoredFileError):
            raise
        raise StoredFileError(f"{source.path} is damaged: {error}") from error
    return Checkpoint(source, "TFLite", list(tensors.values()), others)


def _constants(model: Any, most: int) -> Iterator[tuple[str, Any, NDArray[np.uint8]]]:
    """Name, description and bytes of each tensor that has any."""
    seen = set[int]()
    graphs = [model.Subgraphs(number) for number in range(model.SubgraphsLength())]
    # Each takes four bytes of the file at least; damaged ones may all point to the same long list.
    if sum(graph.TensorsLength() for graph in graphs) > most:
        raise ValueError(f"it has more than {most} tensors")
    for graph in graphs:
        for place in range(graph.TensorsLength()):
            tensor = graph.Tensors(place)
            # Buffer 0 is that of tensors without content; one that several tensors share is stored once.
            if tensor.Buffer() in seen | {0} or tensor.Buffer() >= model.BuffersLength():
                continue
            data = model.Buffers(tensor.Buffer()).DataAsNumpy()
            if isinstance(data, np.ndarray) and data.size:
                seen.add(tensor.Buffer())
                yield (tensor.Name() or b"").decode(), tensor, data


def _read(
    source: Source, content: Bytes, name: str, kind: str, tensor: Any, data: NDArray[np.uint8]
) -> CheckpointTensor | str:
    """A tensor, or why it is left as it is."""
    shape = tuple(tensor.ShapeAsNumpy().tolist()) if tensor.ShapeLength() else ()
    weights = math.prod(shape)
    if kind in ("FLOAT32", "FLOAT16"):
        unit = float_format("fp32" if kind == "FLOAT32" else "fp16")
        width = unit.fields[0].bits // 8
        _check_size(source, name, data.size, weights * width)
        return CheckpointTensor(name, shape, unit, (Part(_offset(content, data), weights, width),), source)
    quantised = tensor.Quantization()
    if kind != "INT8" or quantised is None or not quantised.ScaleLength():
        return f"{kind} is not read; FLOAT32, FLOAT16, and INT8 with scales are"
    if quantised.ZeroPointLength() and np.any(quantised.ZeroPointAsNumpy()):
        return "zero points other than 0 are not read"
    _check_size(source, name, data.size, weights)
    scales, axis = quantised.ScaleAsNumpy(), quantised.QuantizedDimension()
    if len(scales) > 1 and (axis >= len(shape) or shape[axis] != len(scales)):
        raise StoredFileError(f"{source.path} is damaged: {name} of shape {shape} has {len(scales)} scales")
    # A scale for each first index lies beside its weights; any others are shared by all units.
    own = len(scales) > 1 and axis == 0
    unit = _quantised(shape[1:], 1 if own else len(scales), axis - 1 if len(scales) > 1 and not own else -1)
    parts = (
        Part(_offset(content, data), shape[0], unit.weights),
        Part(*(_offset(content, scales), shape[0] if own else 1, 4 if own else 4 * len(scales))),
    )
    return CheckpointTensor(name, shape, unit, parts, source)


def _check_size(source: Source, name: str, found: int, expected: int) -> None:
    if found != expected or not expected:
        raise StoredFileError(f"{source.path} is damaged: {name} has {found} bytes, its shape asks for {expected}")


def _offset(content: Bytes, part: NDArray[Any]) -> int:
    """Where in the file an array begins that is a view of it."""
    return int(part.__array_interface__["data"][0]) - int(content.__array_interface__["data"][0])


@lru_cache(maxsize=256)
def _quantised(shape: tuple[int, ...], scales: int, axis: int) -> UnitFormat:
    """INT8 codes of one first index, with one scale, or one for each index along an axis."""
    weights = math.prod(shape)
    along = np.indices(shape or (1,))[axis].ravel() if axis >= 0 else np.zeros(weights, dtype=np.int64)
    codes = Field("codes", "integer", in_a_row(0, weights, 8), twos_complement(8), np.arange(weights, dtype=np.int64))
    scale = Field("scales", "fp32", in_a_row(0, scales, 32), None, along.astype(np.int64), part=1)
    return UnitFormat("INT8", weights, (codes, scale), Product(("scales", "codes")), _dequantiser(along))


def _dequantiser(along: NDArray[np.int64]) -> Callable[[Sequence[Bytes]], NDArray[np.float32]]:
    """Scale times code in float32, as TFLite's DEQUANTIZE."""

    def dequantise(parts: Sequence[Bytes]) -> NDArray[np.float32]:
        codes, scales = (np.ascontiguousarray(part) for part in parts)
        with np.errstate(all="ignore"):
            return np.asarray(codes.view(np.int8).astype(np.float32) * scales.view("<f4")[:, along])

    return dequantise
