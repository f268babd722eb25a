"""A TFLite file without its weights, run by LiteRT with whatever weights are given."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from qtaml import _files
from qtaml.errors import ModelError
from qtaml.networks.file_network import FileInput, first_line, run_samples
from qtaml.networks.file_weight import Array, FileWeight
from qtaml.networks.tflite_reading import TfliteConstant, tflite_constants

_FLOATS: dict[str, np.dtype[Any]] = {"FLOAT32": np.dtype("<f4"), "FLOAT16": np.dtype("<f2")}
# Bits of codes, and the one that stands for 0.
_CODES = {"INT8": (8, 0), "UINT8": (8, 128), "INT4": (4, 0)}
# Weights in these would stay outside the memory without a word. Whole numbers of more bits are biases and sizes.
_NOT_RUN = ("BFLOAT16", "FLOAT64", "INT2", "UINT4")


@dataclass(frozen=True, eq=False)
class TfliteGraph:
    """A TFLite file whose weights are written anew for each read, for LiteRT takes no weights as inputs.

    Attributes:
        content: the file.
        places: of each weight in it, by name.
        weights: its weights by name.
        constants: its other tensors of numbers, and the scales of codes.
        path: of the file, for messages.
    """

    content: bytes
    places: Mapping[str, int]
    weights: Mapping[str, FileWeight]
    constants: Mapping[str, torch.Tensor]
    path: Path
    _running: threading.local = field(default_factory=threading.local, repr=False)

    def __deepcopy__(self, memo: object) -> "TfliteGraph":
        return self

    @cached_property
    def inputs(self) -> tuple[FileInput, ...]:
        """Its inputs, in their order.

        Raises:
            ModelError: if LiteRT cannot run the file.
        """
        return tuple(map(_input, self._interpreter(self.content).get_input_details()))

    def run(self, inputs: Mapping[str, Array], weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Outputs by name, codes as the numbers that they stand for.

        Args:
            inputs: name to array; floats where codes are asked for are quantised as the file says.
            weights: name to parameter.

        Raises:
            ModelError: if LiteRT fails.
        """
        interpreter = self._interpreter(self.file(weights))
        outputs = run_samples(lambda part: self._run(interpreter, part), self.inputs, inputs, self.path)
        return {name: torch.from_numpy(array) for name, array in outputs.items()}

    def file(self, weights: Mapping[str, torch.Tensor]) -> bytes:
        """The file with other weights: all else is as it was."""
        content = bytearray(self.content)
        for name, weight in self.weights.items():
            raw = weight.raw(weights[name])
            content[self.places[name] : self.places[name] + len(raw)] = raw
        return bytes(content)

    def _interpreter(self, content: bytes) -> Any:
        """That of the last weights, or a new one; each thread has its own."""
        if getattr(self._running, "content", None) != content:
            try:
                # The default delegate packs weights, and prints a line, for each interpreter.
                made = Interpreter(
                    model_content=content,
                    num_threads=torch.get_num_threads(),
                    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                )
                made.allocate_tensors()
            except Exception as error:
                raise ModelError(f"LiteRT cannot run {self.path}: {first_line(error)}") from error
            self._running.content, self._running.made = content, made
        return self._running.made

    def _run(self, interpreter: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            for detail in interpreter.get_input_details():
                given = _coded(inputs[detail["name"]], detail)
                if tuple(detail["shape"]) != given.shape:
                    interpreter.resize_tensor_input(detail["index"], given.shape, strict=True)
            interpreter.allocate_tensors()
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], _coded(inputs[detail["name"]], detail))
            interpreter.invoke()
            details = interpreter.get_output_details()
            return {one["name"]: _decoded(interpreter.get_tensor(one["index"]), one) for one in details}
        except Exception as error:
            raise ModelError(f"LiteRT failed on the inputs: {first_line(error)}") from error


def read_graph(path: Path) -> tuple[TfliteGraph, dict[str, torch.Tensor]]:
    """The graph of a TFLite file, and its parameters by name.

    Args:
        path: the file.

    Returns:
        (graph, parameters).

    Raises:
        StoredFileError: if the file cannot be read, or is damaged.
        ModelError: if there are weights of a type that is not run.
    """
    content = _files.read_bytes(path)
    places, weights = dict[str, int](), dict[str, FileWeight]()
    parameters, constants = dict[str, torch.Tensor](), dict[str, torch.Tensor]()
    for one in tflite_constants(np.frombuffer(content, dtype=np.uint8), path):
        raw = np.frombuffer(content, np.uint8, one.size, one.offset)
        weight = _weight(one)
        if weight is None:
            constants[one.name] = torch.from_numpy(raw.copy())
            continue
        one.check_size(path, weight.bits)
        places[one.name], weights[one.name] = one.offset, weight
        parameters[one.name] = weight.values(_numbers(raw, weight))
        if len(one.scales):
            constants[f"{one.name}, scales"] = torch.from_numpy(one.scales.copy())
    return TfliteGraph(content, places, weights, constants, path), parameters


def _weight(one: TfliteConstant) -> FileWeight | None:
    """What a constant is as a weight; None if it is none, such as a size or a bias of codes."""
    if len(one.shape) > 1 and (one.kind in _NOT_RUN or one.kind.startswith("sparse")):
        types = ", ".join((*_FLOATS, *_CODES))
        raise ModelError(f"weights must be of {types} to be run from a TFLite file, got {one.name!r} of {one.kind}")
    if one.kind in _FLOATS and one.shape:
        return FileWeight(one.shape, _FLOATS[one.kind], 8 * _FLOATS[one.kind].itemsize)
    if one.kind in _CODES and len(one.shape) > 1 and len(one.scales):
        bits, zero = _CODES[one.kind]
        return FileWeight(one.shape, np.dtype(np.uint8 if zero else np.int8), bits, zero)
    return None


def _numbers(raw: Array, weight: FileWeight) -> Array:
    """The numbers of a tensor from its bytes."""
    if weight.bits >= 8:
        return raw.view(weight.dtype).reshape(weight.shape)
    pairs = np.stack([raw & 15, raw >> 4], -1).reshape(-1)[: int(np.prod(weight.shape))]
    return ((pairs.astype(np.int8) ^ 8) - 8).reshape(weight.shape)


def _input(detail: Mapping[str, Any]) -> FileInput:
    signature, shape = detail["shape_signature"], detail["shape"]
    fixed = int(shape[0]) if len(shape) and not (len(signature) and signature[0] == -1) else None
    return FileInput(detail["name"], np.dtype(detail["dtype"]), fixed)


def _coded(array: Array, detail: Mapping[str, Any]) -> Array:
    """An input in the type that is asked for; codes for floats, where the file says how."""
    scale, zero = detail["quantization"]
    dtype = np.dtype(detail["dtype"])
    if not scale or array.dtype.kind != "f" or dtype.kind not in "iu":
        return array
    limits = np.iinfo(dtype)
    codes: Array = np.clip(np.rint(array / np.float32(scale)) + zero, limits.min, limits.max)
    return codes.astype(dtype)


def _decoded(array: Array, detail: Mapping[str, Any]) -> Array:
    """An output, codes as the numbers that they stand for."""
    scale, zero = detail["quantization"]
    if not scale or array.dtype.kind not in "iu":
        return array
    return (array.astype(np.float32) - np.float32(zero)) * np.float32(scale)
