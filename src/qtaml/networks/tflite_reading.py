"""TFLite files, read without trust: constant tensors, where they lie in the flatbuffer, and their scales."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import QtamlError, StoredFileError

Bytes = NDArray[np.uint8]

IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of a TFLite file."""


class TfliteConstant(NamedTuple):
    """A constant tensor of a TFLite file.

    Attributes:
        name: in the file.
        kind: of its numbers, such as "INT8".
        shape: its shape.
        offset: of its first byte in the file.
        size: bytes that it has.
        scales: float32, one for each index along the axis, or one; empty where it is not quantised.
        scales_offset: of their first byte in the file.
        zeros: zero points.
        axis: along which scales differ.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    size: int
    scales: NDArray[np.float32]
    scales_offset: int
    zeros: NDArray[np.int64]
    axis: int

    def check_size(self, path: Path, bits: int) -> None:
        """Check that it has the bytes that its shape asks for.

        Args:
            path: of the file.
            bits: of a number.

        Raises:
            StoredFileError: if not.
        """
        expected = -(-math.prod(self.shape) * bits // 8)
        if self.size != expected or not expected:
            raise StoredFileError(
                f"{path} is damaged: {self.name} has {self.size} bytes, its shape asks for {expected}"
            )


def tflite_constants(content: Bytes, path: Path) -> list[TfliteConstant]:
    """The constant tensors of a TFLite file; a buffer that several share is that of the first.

    Args:
        content: the whole file.
        path: of it, for messages.

    Raises:
        StoredFileError: if the file is damaged or truncated.
        QtamlError: if `tflite` is not installed.
    """
    try:
        import tflite
    except ImportError as error:
        raise QtamlError("TFLite files need tflite: pip install 'qtaml[tflite]'") from error
    if bytes(content[4:8]) != IDENTIFIER:
        raise StoredFileError(f"{path} is no TFLite file")
    kinds = {number: name for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}
    found = dict[str, TfliteConstant]()
    try:
        for name, tensor, data in _constants(tflite.Model.GetRootAs(content, 0), len(content) // 4):
            if name in found:
                raise StoredFileError(f"{path} is damaged: two tensors have the name {name!r}")
            found[name] = _constant(content, name, kinds.get(tensor.Type(), str(tensor.Type())), tensor, data)
    # What the reader of flatbuffers raises where an offset or a length leads out of the file.
    except (struct.error, IndexError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, StoredFileError):
            raise
        raise StoredFileError(f"{path} is damaged: {error}") from error
    return list(found.values())


def _constants(model: Any, most: int) -> Iterator[tuple[str, Any, Bytes]]:
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
            buffer = model.Buffers(tensor.Buffer())
            if buffer.Offset() > 1:
                raise ValueError("data behind its flatbuffer, as files above 2 GiB have, are not read")
            data = buffer.DataAsNumpy()
            if isinstance(data, np.ndarray) and data.size:
                seen.add(tensor.Buffer())
                yield (tensor.Name() or b"").decode(), tensor, data


def _constant(content: Bytes, name: str, kind: str, tensor: Any, data: Bytes) -> TfliteConstant:
    shape = tuple(tensor.ShapeAsNumpy().tolist()) if tensor.ShapeLength() else ()
    scales, zeros, axis, quantised = np.zeros(0, np.float32), np.zeros(0, np.int64), 0, tensor.Quantization()
    if quantised is not None and quantised.ScaleLength():
        scales, axis = quantised.ScaleAsNumpy(), quantised.QuantizedDimension()
        zeros = quantised.ZeroPointAsNumpy() if quantised.ZeroPointLength() else zeros
        if len(scales) > 1 and (axis >= len(shape) or shape[axis] != len(scales)):
            raise ValueError(f"{name} of shape {shape} has {len(scales)} scales")
    if tensor.Sparsity() is not None:
        kind = f"sparse {kind}"
    place = _offset(content, scales) if len(scales) else 0
    return TfliteConstant(name, kind, shape, _offset(content, data), data.size, scales, place, zeros, axis)


def _offset(content: Bytes, part: NDArray[Any]) -> int:
    """Where in the file an array begins that is a view of it."""
    return int(part.__array_interface__["data"][0]) - int(content.__array_interface__["data"][0])
