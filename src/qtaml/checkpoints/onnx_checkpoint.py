"""ONNX files as checkpoints: floats, and codes with the scales and zero points that dequantise them, where they lie."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from qtaml import _files
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor, Part, Source
from qtaml.checkpoints.safetensors_file import float_format
from qtaml.checkpoints.scaled_codes import CODES, Layout, scaled_codes
from qtaml.errors import QtamlError, StoredFileError

# Fields of the protocol buffer: the graph of a model, a tensor of the graph, and its name and numbers.
_GRAPH, _TENSOR, _NAME, _NUMBERS = 7, 5, 8, {9: "raw", 4: "floats of 32 bits"}
_KINDS = {
    **{"FLOAT": "fp32", "FLOAT16": "fp16", "BFLOAT16": "bf16", "FLOAT8E4M3FN": "fp8_e4m3", "FLOAT8E5M2": "fp8_e5m2"},
    **{"INT8": "int8", "UINT8": "uint8", "INT4": "int4", "UINT4": "uint4"},
}
_SCALES = ("fp32", "fp16", "bf16")
# Where operators take a weight of codes, its scales, and its zero points.
_TAKEN = {"DequantizeLinear": (0, 1, 2), "QLinearConv": (3, 4, 5), "QLinearMatMul": (3, 4, 5), "QGemm": (3, 4, 5)}


class _Use(NamedTuple):
    """How an operator dequantises a weight: names of scales and zero points, and along which axis they differ."""

    scales: str
    zeros: str
    axis: int


def read_onnx(source: Source) -> Checkpoint:
    """The weights of an ONNX file, those of one file without external data.

    Args:
        source: the file.

    Raises:
        StoredFileError: if the file is damaged or truncated, or its data lie in other files.
        QtamlError: if `onnx` is not installed.
    """
    try:
        from qtaml.networks.onnx_reading import parsed
    except ImportError as error:
        raise QtamlError(f"ONNX files need onnx and onnxruntime ({error}): pip install 'qtaml[onnx]'") from error
    content = _files.read_bytes(source.path)
    model = parsed(content, source.path)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    if len(held) < len(model.graph.initializer):
        raise StoredFileError(f"{source.path} holds two tensors of one name")
    if external := [name for name, tensor in held.items() if tensor.data_location]:
        raise StoredFileError(
            f"{source.path} has the data of {external[0]!r} in another file: make one of them by "
            "onnx.save(onnx.load(PATH), 'one.onnx')"
        )
    try:
        return _Reader(source, model, held, _places(content)).checkpoint()
    except QtamlError:
        raise
    # What a parsed model may still hold: names that are no text, types that there are not, sizes below 0.
    except Exception as error:
        raise StoredFileError(f"{source.path} is damaged: {type(error).__name__}: {error}") from error


class _Reader:
    """Tensors of a model one by one."""

    def __init__(
        self, source: Source, model: Any, held: Mapping[str, Any], places: Mapping[str, tuple[int, int]]
    ) -> None:
        self._source, self._held, self._places = source, held, places
        self._users, self._uses = defaultdict[str, list[str]](list), dict[str, _Use]()
        for node in model.graph.node:
            for name in node.input:
                self._users[name].append(node.op_type)
            self._note(node)
        self._shared = Counter(name for use in self._uses.values() for name in (use.scales, use.zeros) if name)

    def checkpoint(self) -> Checkpoint:
        """All that is read, and why the rest is not."""
        tensors, others = list[CheckpointTensor](), dict[str, str]()
        parts = {name for use in self._uses.values() for name in (use.scales, use.zeros)}
        for name in self._held:
            if name in parts and name not in self._uses:
                continue
            made = self._read(name)
            if isinstance(made, str):
                # Single numbers are limits, and scales of activations.
                others |= {name: made} if self._held[name].dims else {}
            else:
                tensors.append(made)
        return Checkpoint(self._source, "ONNX", tensors, others)

    def _note(self, node: Any) -> None:
        places = _TAKEN.get(node.op_type)
        inputs = dict(enumerate(node.input))
        if places is None or (weight := inputs.get(places[0], "")) not in self._held:
            return
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
        if node.op_type != "DequantizeLinear":
            # Those of a convolution differ along its outputs, those of a product along its columns.
            axis = 0 if node.op_type == "QLinearConv" else -1
        self._uses[weight] = _Use(inputs[places[1]], inputs.get(places[2], ""), axis)

    def _read(self, name: str) -> CheckpointTensor | str:
        """A tensor, or why it is left as it is."""
        from qtaml.networks.onnx_weight import weight_of

        tensor, use = self._held[name], self._uses.get(name)
        kind = _KINDS.get(kind_name := _type_name(tensor))
        shape = tuple(tensor.dims)
        if use is None and (
            kind in CODES.keys() - {"fp8_e4m3", "fp8_e5m2"} or weight_of(tensor, self._users[name]) is None
        ):
            return f"{kind_name} that is no weight, or whose scales are not known"
        if kind is None:
            return f"{kind_name} is not read; {', '.join(_KINDS)} are"
        if name not in self._places:
            return "its numbers are no raw bytes: make it by onnx.numpy_helper.from_array"
        if use is not None:
            return self._scaled(name, kind, use)
        unit = float_format(kind)
        part = Part(self._places[name][0], math.prod(shape), unit.fields[0].bits // 8)
        self._check(name, part.units * part.width)
        return CheckpointTensor(name, shape, unit, (part,), self._source)

    def _scaled(self, name: str, kind: str, use: _Use) -> CheckpointTensor | str:
        if use.scales not in self._places or self._shared[use.scales] > 1:
            return "its scales are computed, or those of another weight too"
        scale_kind = _KINDS.get(_type_name(self._held[use.scales]))
        if kind not in CODES or scale_kind not in _SCALES:
            return f"{kind} with scales of {scale_kind} is not read"
        shape, scales = tuple(self._held[name].dims), tuple(self._held[use.scales].dims)
        grid = _grid(shape, scales, use.axis)
        if grid is None:
            raise StoredFileError(
                f"{self._source.path} is damaged: {name} of shape {shape} has scales of shape {scales}"
            )
        zeros = self._zeros(use, scales)
        if isinstance(zeros, str) and zeros not in CODES:
            return zeros
        stored = [name, use.scales, *([use.zeros] if isinstance(zeros, str) else [])]
        layout = Layout(shape, grid, kind, scale_kind, *((zeros,) if isinstance(zeros, str) else (None, zeros)))
        made = scaled_codes(self._source, name, layout, [self._places[one][0] for one in stored])
        for one, part in zip(stored, made.parts, strict=True):
            self._check(one, part.units * part.width)
        return made

    def _zeros(self, use: _Use, scales: tuple[int, ...]) -> int | str:
        """The zero point of all codes; or the type of several, which are words as well; or why they are not read."""
        if not use.zeros:
            return 0
        if use.zeros not in self._held:
            return "its zero points are computed"
        from onnx import numpy_helper

        numbers = numpy_helper.to_array(self._held[use.zeros])
        if not numbers.size or (numbers.ravel() == numbers.ravel()[0]).all():
            # All alike, as converters write them: no word is read for them.
            return int(numbers.ravel()[0]) if numbers.size else 0
        kind = _KINDS.get(_type_name(self._held[use.zeros]))
        if kind not in CODES or numbers.shape != scales or use.zeros not in self._places or self._shared[use.zeros] > 1:
            return "its zero points are no raw bytes, or those of another weight too"
        return kind

    def _check(self, name: str, size: int) -> None:
        if (found := self._places[name][1]) != size or not size:
            raise StoredFileError(
                f"{self._source.path} is damaged: {name} has {found} bytes, its shape asks for {size}"
            )


def _grid(shape: tuple[int, ...], scales: tuple[int, ...], axis: int) -> tuple[int, ...] | None:
    """Scales along each dimension; None where they do not fit."""
    if len(scales) == len(shape) and len(shape) > 1:
        return scales
    if len(scales) > 1 or not -len(shape) <= axis < len(shape):
        return None
    grid = [1] * len(shape)
    grid[axis] = math.prod(scales)
    return tuple(grid)


def _type_name(tensor: Any) -> str:
    from qtaml.networks.onnx_weight import type_name

    return type_name(tensor.data_type)


def _places(content: bytes) -> dict[str, tuple[int, int]]:
    """First byte, and number of bytes, of the tensors of the graph in a file that has been parsed."""
    found = {}
    for number, start, end in _fields(content, 0, len(content)):
        if number != _GRAPH:
            continue
        for inner, first, last in _fields(content, start, end):
            if inner != _TENSOR:
                continue
            own = {place: (low, high) for place, low, high in _fields(content, first, last)}
            numbers = [own[field] for field in _NUMBERS if field in own and own[field][1] > own[field][0]]
            if numbers:
                (low, high), (begin, stop) = own.get(_NAME, (0, 0)), numbers[0]
                found[content[low:high].decode()] = begin, stop - begin
    return found


def _fields(content: bytes, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, begin and end of the fields of a protocol buffer that have a length."""
    while place < end:
        key, place = _varint(content, place)
        kind = key & 7
        if kind == 2:
            length, place = _varint(content, place)
            yield key >> 3, place, place + length
            place += length
        else:
            place = _varint(content, place)[1] if kind == 0 else place + (8 if kind == 1 else 4)


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place after it."""
    number = shift = 0
    while True:
        byte = content[place]
        number, shift, place = number | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return number, place
