"""ONNX files, read without trust: weights out of the graph, data from the folder of the file alone."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto

from qtaml import _files
from qtaml.errors import QtamlError, StoredFileError
from qtaml.networks.file_network import FileInput, first_line
from qtaml.networks.file_weight import Array
from qtaml.networks.onnx_graph import OnnxGraph
from qtaml.networks.onnx_weight import type_name, weight_of

_OF_TORCH = {np.dtype(one) for one in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}
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
    model = parsed(_files.read_bytes(path), path)
    try:
        return _read(model, path)
    except Exception as error:
        if isinstance(error, QtamlError):
            raise
        raise StoredFileError(f"{path} is no ONNX file, or is damaged: {first_line(error)}") from error


def parsed(content: bytes, path: Path) -> Any:
    """The model that the bytes of an ONNX file are, a `ModelProto`.

    Args:
        content: the whole file.
        path: of it, for messages.

    Raises:
        StoredFileError: if it is none.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        raise StoredFileError(f"{path} is no ONNX file, or is damaged: {first_line(error)}") from error
    if not model.graph.node:
        raise StoredFileError(f"{path} is no ONNX file: it holds no graph")
    if not all(isinstance(tensor.name, str) for tensor in model.graph.initializer):
        raise StoredFileError(f"{path} is damaged: a tensor has a name that is no text")
    return model


def _read(model: Any, path: Path) -> tuple[OnnxGraph, Tensors]:
    _check_external(model, path)
    _hoist_constants(model)
    users = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            users[name].append(node.op_type)
    names = [tensor.name for tensor in model.graph.initializer]
    if len(set(names)) < len(names):
        raise StoredFileError(f"{path} holds two tensors named {max(names, key=names.count)!r}")
    weights, kinds, parameters, constants = {}, {}, {}, {}
    for tensor in model.graph.initializer:
        if any(size < 0 for size in tensor.dims):
            raise StoredFileError(f"{path} holds {tensor.name!r} of shape {tuple(tensor.dims)}")
        weight, array = weight_of(tensor, users[tensor.name]), _array(tensor, path)
        if weight is not None:
            weights[tensor.name], kinds[tensor.name] = weight, tensor.data_type
            parameters[tensor.name] = weight.values(array)
            _emptied(tensor)
        elif array.dtype in _OF_TORCH:
            constants[tensor.name] = torch.from_numpy(array.copy())
    return OnnxGraph(model, weights, constants, _inputs(model), kinds, path), parameters


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


def _array(tensor: Any, path: Path) -> Array:
    """The numbers of a tensor, those of external data read into it first."""
    if tensor.data_location == TensorProto.EXTERNAL:
        tensor.raw_data = _external(tensor, path)
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
    if tensor.raw_data and len(tensor.raw_data) != _bytes_of(tensor):
        raise StoredFileError(
            f"{path} does not hold the numbers of {tensor.name!r}: {_bytes_of(tensor)} bytes are needed, and there are "
            f"{len(tensor.raw_data)}"
        )
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception as error:
        raise StoredFileError(f"{path} does not hold the numbers of {tensor.name!r}: {first_line(error)}") from error


def _bytes_of(tensor: Any) -> int:
    """Bytes that the numbers of a tensor take."""
    count: int = math.prod(tensor.dims)
    # Codes of 4 bits lie two in a byte.
    if type_name(tensor.data_type) in ("INT4", "UINT4", "FLOAT4E2M1"):
        return -(-count // 2)
    return count * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _external(tensor: Any, path: Path) -> bytes:
    """The bytes of a tensor that lie in another file of the same folder."""
    told = {entry.key: entry.value for entry in tensor.external_data}
    location, folder = told.get("location", ""), path.parent.resolve()
    parts = PurePosixPath(location).parts
    target = folder / location
    # The first for what the name says, the second for links.
    if not parts or ".." in parts or "\\" in location or not target.resolve().is_relative_to(folder):
        raise StoredFileError(f"{path}: data of {tensor.name!r} must lie in the folder of the file, got {location!r}")
    size = _bytes_of(tensor)
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


def _inputs(model: Any) -> tuple[FileInput, ...]:
    known = {one.name for one in model.graph.initializer}
    found = []
    for one in model.graph.input:
        if one.name in known:
            continue
        kind = one.type.tensor_type
        first = kind.shape.dim[0] if kind.shape.dim else None
        fixed = first.dim_value if first is not None and first.HasField("dim_value") else None
        found.append(FileInput(one.name, onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type or 1), fixed))
    return tuple(found)
