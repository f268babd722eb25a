"""The graph of an ONNX file without its weights, run by onnxruntime with whatever weights are given."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from qtaml import _files
from qtaml.errors import ModelError, QtamlError, StoredFileError

Array = NDArray[Any]

# A protocol buffer, which an ONNX file is, ends at 2 GiB.
_MOST_BYTES = 2**31 - 2**20
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64}
_OF_TORCH = {np.dtype(one) for one in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}
_CODES = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8}
# Weights in these would stay outside the memory without a word; of 16 bits, where they are codes.
_NOT_RUN = re.compile("BFLOAT16|FLOAT[468].*|U?INT[24]")
_NOT_RUN_AS_CODES = re.compile("U?INT16")
_QUANTISED = re.compile("(De|Dynamic)?[Qq]uantize.*|QLinear.*|.*Integer(ToFloat)?|QGemm|QAttention|Gather")
# What these take must be known when the graph is built, or is no weight: scales, sizes, limits.
_TAKES_VECTORS = re.compile(
    "Conv|ConvTranspose|Gemm|MatMul|Add|Mul|PRelu|RNN|GRU|LSTM|.*Normalization|.*Conv|Fused.*|.*LayerNorm.*"
)


class OnnxWeight(NamedTuple):
    """A tensor of weights of an ONNX file.

    Attributes:
        shape: its shape.
        dtype: in the file.
        zero: code that is 0 in the parameter: 128 for uint8, else 0.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    zero: int = 0

    def values(self, stored: Array) -> torch.Tensor:
        """The parameter: float numbers as they are, codes as float32 around 0."""
        if self.dtype.kind == "f":
            return torch.from_numpy(stored.copy())
        return torch.from_numpy(stored.astype(np.float32) - self.zero)

    def stored(self, values: torch.Tensor) -> Array:
        """What the file holds for a parameter: codes are rounded, and limited to what they can be."""
        if self.dtype.kind == "f":
            return values.detach().cpu().contiguous().numpy().astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        codes = (values.detach().cpu() + self.zero).round().clamp(limits.min, limits.max)
        return codes.contiguous().numpy().astype(self.dtype)


class OnnxInput(NamedTuple):
    """An input of an ONNX file.

    Attributes:
        name: its name.
        dtype: of its numbers.
        samples: how many there have to be; None for any number.
    """

    name: str
    dtype: np.dtype[Any]
    samples: int | None


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A graph whose weights are inputs, in one session of onnxruntime, which copies of a network share.

    Attributes:
        model: the file without the numbers of its weights.
        weights: its weights by name.
        constants: its other tensors of numbers.
        inputs: the other inputs, in their order.
        path: of the file, for messages.
    """

    model: Any
    weights: Mapping[str, OnnxWeight]
    constants: Mapping[str, torch.Tensor]
    inputs: tuple[OnnxInput, ...]
    path: Path

    def __deepcopy__(self, memo: object) -> "OnnxGraph":
        return self

    @cached_property
    def session(self) -> Any:
        """The session, built once.

        Raises:
            ModelError: if onnxruntime cannot run the file.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        kept = [one for one in model.graph.initializer if one.name not in self.weights]
        given = {one.name for one in model.graph.input}
        for one in model.graph.initializer:
            if one.name in self.weights and one.name not in given:
                model.graph.input.append(onnx.helper.make_tensor_value_info(one.name, one.data_type, one.dims))
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        try:
            # Its fallback prints, and tries the same again.
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, ["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:
            raise ModelError(f"onnxruntime cannot run {self.path}: {_first_line(error)}") from error

    def run(self, inputs: Mapping[str, Array], weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Outputs by name, those that are numbers.

        Args:
            inputs: name to array.
            weights: name to parameter.

        Raises:
            ModelError: if onnxruntime fails, or no output is an array of numbers.
        """
        feeds = {name: weight.stored(weights[name]) for name, weight in self.weights.items()}
        size = self._fixed_samples(inputs)
        if size is None:
            outputs = self._run({**inputs, **feeds})
        else:
            samples = max(len(array) for array in inputs.values())
            # The last part is filled up with its last sample, and cut off again.
            places = [np.minimum(np.arange(size) + first, samples - 1) for first in range(0, samples, size)]
            parts = [self._run({name: array[place] for name, array in inputs.items()} | feeds) for place in places]
            if any(len(output) != size for part in parts for output in part.values()):
                raise ModelError(f"{self.path} is made for {size} samples, and its outputs are not one for each")
            outputs = {name: np.concatenate([part[name] for part in parts])[:samples] for name in parts[0]}
        if not outputs:
            raise ModelError(f"{self.path} has no output that is an array of numbers")
        return {name: torch.from_numpy(array) for name, array in outputs.items()}

    def file(self, weights: Mapping[str, torch.Tensor]) -> bytes:
        """The file with other weights: all else is as it was.

        Raises:
            ModelError: if it would be larger than a single ONNX file can be.
        """
        stored = {name: weight.stored(weights[name]) for name, weight in self.weights.items()}
        if (size := sum(one.nbytes for one in stored.values()) + self.model.ByteSize()) > _MOST_BYTES:
            raise ModelError(f"an ONNX file has at most {_MOST_BYTES} bytes, got {size}; write a .safetensors instead")
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for one in model.graph.initializer:
            if one.name in stored:
                one.raw_data = stored[one.name].astype(stored[one.name].dtype.newbyteorder("<")).tobytes()
        return bytes(model.SerializeToString(deterministic=True))

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            found = self.session.run(None, feeds)
        except Exception as error:
            raise ModelError(f"onnxruntime failed on the inputs: {_first_line(error)}") from error
        pairs = zip((one.name for one in self.session.get_outputs()), found, strict=True)
        # Others are texts, sequences and maps.
        return {name: one for name, one in pairs if isinstance(one, np.ndarray) and one.dtype.kind in "fiub"}

    def _fixed_samples(self, inputs: Mapping[str, Array]) -> int | None:
        """How many samples the file is made for, where these are others."""
        fixed = {one.samples for one in self.inputs}
        if len(fixed) != 1 or None in fixed or all(len(array) in fixed for array in inputs.values()):
            return None
        return fixed.pop()


Tensors = dict[str, torch.Tensor]


def read_graph(path: Path) -> tuple[OnnxGraph, Tensors]:
    """The graph of an ONNX file, and its parameters by name.

    Args:
        path: the file; external data must lie in its folder.

    Returns:
        (graph, parameters).

    Raises:
        StoredFileError: if the file cannot be read, is no ONNX file, or its data are not where it says.
        ModelError: if there are weights of a type that is not run.
    """
    try:
        return _read(onnx.load_model_from_string(_files.read_bytes(path)), path)
    except Exception as error:
        if isinstance(error, QtamlError):
            raise
        raise StoredFileError(f"{path} is no ONNX file, or is damaged: {_first_line(error)}") from error


def _read(model: Any, path: Path) -> tuple[OnnxGraph, Tensors]:
    if not model.graph.node:
        raise StoredFileError(f"{path} is no ONNX file: it holds no graph")
    _check_external(model, path)
    _hoist_constants(model)
    users = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            users[name].append(node.op_type)
    names = [tensor.name for tensor in model.graph.initializer]
    if not all(isinstance(name, str) for name in names):
        raise StoredFileError(f"{path} is damaged: a tensor has a name that is no text")
    if len(set(names)) < len(names):
        raise StoredFileError(f"{path} holds two tensors named {max(names, key=names.count)!r}")
    weights, parameters, constants = {}, {}, {}
    for tensor in model.graph.initializer:
        if any(size < 0 for size in tensor.dims):
            raise StoredFileError(f"{path} holds {tensor.name!r} of shape {tuple(tensor.dims)}")
        weight, array = _weight(tensor, users[tensor.name]), _array(tensor, path)
        if weight is not None:
            weights[tensor.name], parameters[tensor.name] = weight, weight.values(array)
            _emptied(tensor)
        elif array.dtype in _OF_TORCH:
            constants[tensor.name] = torch.from_numpy(array.copy())
    return OnnxGraph(model, weights, constants, _inputs(model), path), parameters


def _check_external(model: Any, path: Path) -> None:
    """Check that no tensor but those of the graph itself has its data in another file, which onnxruntime would open."""
    for attribute in _attributes([*model.graph.node, *(node for one in model.functions for node in one.node)]):
        inner = [one for graph in (attribute.g, *attribute.graphs) for one in graph.initializer]
        for tensor in (attribute.t, *attribute.tensors, *inner):
            if tensor.data_location == TensorProto.EXTERNAL:
                raise StoredFileError(f"{path}: data of {tensor.name!r}, which is inside a node, must be in the file")


def _hoist_constants(model: Any) -> None:
    """Make tensors of the graph of constants of two or more dimensions: they may be weights."""
    kept = []
    for node in model.graph.node:
        value = node.attribute[0] if node.op_type == "Constant" and node.attribute else None
        if value is None or value.name != "value" or len(value.t.dims) < 2:
            kept.append(node)
            continue
        value.t.name = node.output[0]
        model.graph.initializer.append(value.t)
    if len(kept) < len(model.graph.node):
        del model.graph.node[:]
        model.graph.node.extend(kept)


def _attributes(nodes: Iterable[Any]) -> Iterator[Any]:
    """All attributes of nodes, and of those inside them."""
    for node in nodes:
        for attribute in node.attribute:
            yield attribute
            for graph in (attribute.g, *attribute.graphs):
                yield from _attributes(graph.node)


def _weight(tensor: Any, users: Sequence[str]) -> OnnxWeight | None:
    """What a tensor is as a weight; None if it is none, such as a shape, a limit or the scale of codes."""
    kind, shape = TensorProto.DataType.Name(tensor.data_type), tuple(tensor.dims)
    codes = bool(users) and all(map(_QUANTISED.fullmatch, users))
    if len(shape) > 1 and (_NOT_RUN.fullmatch(kind) or (codes and _NOT_RUN_AS_CODES.fullmatch(kind))):
        types = ", ".join(TensorProto.DataType.Name(one) for one in (*_FLOATS, *_CODES))
        raise ModelError(f"weights must be of {types} to be run from an ONNX file, got {tensor.name!r} of {kind}")
    if tensor.data_type in _FLOATS:
        vector = shape and users and all(_TAKES_VECTORS.fullmatch(user) for user in users)
        return OnnxWeight(shape, np.dtype(_FLOATS[tensor.data_type])) if len(shape) > 1 or vector else None
    if tensor.data_type in _CODES and len(shape) > 1 and codes:
        dtype = np.dtype(_CODES[tensor.data_type])
        return OnnxWeight(shape, dtype, 128 if dtype == np.uint8 else 0)
    return None


def _array(tensor: Any, path: Path) -> Array:
    """The numbers of a tensor, those of external data read into it first."""
    if tensor.data_location == TensorProto.EXTERNAL:
        tensor.raw_data = _external(tensor, path)
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception as error:
        raise StoredFileError(f"{path} does not hold the numbers of {tensor.name!r}: {_first_line(error)}") from error


def _external(tensor: Any, path: Path) -> bytes:
    """The bytes of a tensor that lie in another file of the same folder."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    location, folder = told.get("location", ""), path.parent.resolve()
    parts = PurePosixPath(location).parts
    target = folder / location
    # The first for what the name says, the second for links.
    if not parts or ".." in parts or "\\" in location or not target.resolve().is_relative_to(folder):
        raise StoredFileError(f"{path}: data of {tensor.name!r} must lie in the folder of the file, got {location!r}")
    size = int(np.prod(tensor.dims, dtype=object)) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    try:
        offset, length = int(told.get("offset", 0)), int(told.get("length", size))
    except ValueError:
        offset = length = -1
    with _files.open_regular(target) as file:
        end = file.seek(0, 2)
        if length != size or not 0 <= offset <= end - size:
            raise StoredFileError(
                f"{path}: {tensor.name!r} must be {size} bytes within {location!r} of {end}, got {told}"
            )
        file.seek(offset)
        return file.read(size)


def _emptied(tensor: Any) -> None:
    """Take the numbers out of a tensor, in whichever field they are."""
    for field in ("raw_data", "float_data", "int32_data", "double_data"):
        tensor.ClearField(field)


def _inputs(model: Any) -> tuple[OnnxInput, ...]:
    known = {one.name for one in model.graph.initializer}
    found = []
    for one in model.graph.input:
        if one.name in known:
            continue
        kind = one.type.tensor_type
        first = kind.shape.dim[0] if kind.shape.dim else None
        fixed = first.dim_value if first is not None and first.HasField("dim_value") else None
        found.append(OnnxInput(one.name, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type or 1), fixed))
    return tuple(found)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
