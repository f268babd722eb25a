"""The graph of an ONNX file without its weights, run by onnxruntime with whatever weights are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from qtaml.errors import ModelError
from qtaml.networks.file_network import FileInput, first_line, run_samples
from qtaml.networks.file_weight import Array, FileWeight
from qtaml.networks.onnx_weight import carrier

# A protocol buffer, which an ONNX file is, ends at 2 GiB.
_MOST_BYTES = 2**31 - 2**20


@dataclass(frozen=True, eq=False)
class OnnxGraph:
    """A graph whose weights are inputs, in one session of onnxruntime, which copies of a network share.

    Attributes:
        model: the file without the numbers of its weights.
        weights: its weights by name.
        constants: its other tensors of numbers.
        inputs: the other inputs, in their order.
        kinds: type of each weight, a number of `TensorProto.DataType`.
        path: of the file, for messages.
    """

    model: Any
    weights: Mapping[str, FileWeight]
    constants: Mapping[str, torch.Tensor]
    inputs: tuple[FileInput, ...]
    kinds: Mapping[str, int]
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
        graph = model.graph
        kept = [one for one in graph.initializer if one.name not in self.weights]
        # IR versions below 4 have initialisers among the inputs.
        inputs = [one for one in graph.input if one.name not in self.weights]
        casts = []
        for name, weight in self.weights.items():
            given = self._given(name)
            inputs.append(onnx.helper.make_tensor_value_info(given, carrier(self.kinds[name]), weight.shape))
            if given != name:
                casts.append(onnx.helper.make_node("Cast", [given], [name], to=self.kinds[name]))
        for field, held in ((graph.initializer, kept), (graph.input, inputs), (graph.node, [*casts, *graph.node])):
            content = list(held)
            del field[:]
            field.extend(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        try:
            # Its fallback prints, and tries the same again.
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, ["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:
            raise ModelError(f"onnxruntime cannot run {self.path}: {first_line(error)}") from error

    def run(self, inputs: Mapping[str, Array], weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Outputs by name, those that are numbers.

        Args:
            inputs: name to array.
            weights: name to parameter.

        Raises:
            ModelError: if onnxruntime fails, or no output is an array of numbers.
        """
        feeds = {self._given(name): weight.given(weights[name]) for name, weight in self.weights.items()}
        outputs = run_samples(lambda part: self._run({**part, **feeds}), self.inputs, inputs, self.path)
        if not outputs:
            raise ModelError(f"{self.path} has no output that is an array of numbers")
        return {name: torch.from_numpy(array) for name, array in outputs.items()}

    def file(self, weights: Mapping[str, torch.Tensor]) -> bytes:
        """The file with other weights: all else is as it was.

        Raises:
            ModelError: if it would be larger than a single ONNX file can be.
        """
        raw = {name: weight.raw(weights[name]) for name, weight in self.weights.items()}
        if (size := sum(map(len, raw.values())) + self.model.ByteSize()) > _MOST_BYTES:
            raise ModelError(f"an ONNX file has at most {_MOST_BYTES} bytes, got {size}; write a .safetensors instead")
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for one in model.graph.initializer:
            if one.name in raw:
                one.raw_data = raw[one.name]
        return bytes(model.SerializeToString(deterministic=True))

    def _given(self, name: str) -> str:
        """The input of the session that a weight comes in by."""
        return name if carrier(self.kinds[name]) == self.kinds[name] else f"{name}, in a type that NumPy has"

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        try:
            found = self.session.run(None, feeds)
        except Exception as error:
            raise ModelError(f"onnxruntime failed on the inputs: {first_line(error)}") from error
        pairs = zip((one.name for one in self.session.get_outputs()), found, strict=True)
        # Others are texts, sequences and maps.
        return {name: one for name, one in pairs if isinstance(one, np.ndarray) and one.dtype.kind in "fiub"}
