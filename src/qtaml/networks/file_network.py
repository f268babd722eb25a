"""A network that lives in a file and runs in a runtime of its own, as a module: its weights are parameters."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from qtaml.errors import ModelError
from qtaml.networks.file_weight import Array, FileWeight

NETWORK_FILES = (".pt2", ".onnx", ".tflite", ".gguf")
"""Suffixes of files that hold a whole network."""


class FileInput(NamedTuple):
    """An input of a file.

    Attributes:
        name: its name.
        dtype: of its numbers.
        samples: how many there have to be; None for any number.
    """

    name: str
    dtype: np.dtype[Any]
    samples: int | None


class FileGraph(Protocol):
    """A file without its weights, which copies of a network share."""

    @property
    def path(self) -> Path:
        """Of the file, for messages."""
        ...

    @property
    def weights(self) -> Mapping[str, FileWeight]:
        """Its weights by name."""
        ...

    @property
    def constants(self) -> Mapping[str, torch.Tensor]:
        """Its other tensors of numbers."""
        ...

    @property
    def inputs(self) -> tuple[FileInput, ...]:
        """The inputs, in their order."""
        ...

    def run(self, inputs: Mapping[str, Array], weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Outputs by name."""
        ...

    def file(self, weights: Mapping[str, torch.Tensor]) -> bytes:
        """The file with other weights: all else is as it was."""
        ...


class FileNetwork(nn.Module):
    """A network of a file; `OnnxNetwork` and `TfliteNetwork` are the kinds.

    Args:
        graph: the file without its weights.
        parameters: those weights, by their names in the file.

    Raises:
        ModelError: if a name cannot be that of a parameter.
    """

    graph: FileGraph

    def __init__(self, graph: FileGraph, parameters: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.graph = graph
        for name, values in parameters.items():
            self._place(name, nn.Parameter(values, requires_grad=False))
        self.constants = nn.Module()
        for number, values in enumerate(graph.constants.values()):
            self.constants.register_buffer(str(number), values.clone())

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        """The output, or outputs by name where there are several.

        Args:
            args: inputs in the order of the file.
            kwargs: inputs by name.

        Raises:
            ModelError: if an input is missing or unknown, the runtime fails, or `constants` are those of another file.
        """
        for (name, own), held in zip(self.graph.constants.items(), self.constants.buffers(), strict=True):
            # By their bytes: NaN is equal to NaN.
            if own.numpy().tobytes() != held.cpu().numpy().tobytes():
                raise ModelError(f"the network is stored from another file: {name!r} differs in {self.graph.path}")
        wanted = self.graph.inputs
        given = dict(zip((one.name for one in wanted), args, strict=False)) | kwargs
        if given.keys() != {one.name for one in wanted} or len(args) + len(kwargs) != len(wanted):
            names = ", ".join(repr(one.name) for one in wanted)
            raise ModelError(f"the network takes the inputs {names}, got {len(args)} and those named {sorted(kwargs)}")
        inputs = {one.name: given[one.name].detach().cpu().contiguous().numpy() for one in wanted}
        for one in wanted:
            if inputs[one.name].dtype.kind == one.dtype.kind:
                inputs[one.name] = inputs[one.name].astype(one.dtype, copy=False)
        outputs = self.graph.run(inputs, self.named_weights())
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def named_weights(self) -> dict[str, torch.Tensor]:
        """The parameters by the names that they have in the file."""
        # Not `get_parameter`: what is put in place of a parameter for one forward pass is a plain tensor.
        return {name: self._tensor(name) for name in self.graph.weights}

    def to_bytes(self) -> bytes:
        """The file with the present weights; all else is as in the file that was read.

        Raises:
            ModelError: if it would be larger than a file of its kind can be.
        """
        return self.graph.file(self.named_weights())

    def _tensor(self, name: str) -> torch.Tensor:
        found: Any = self
        for part in name.split("."):
            found = getattr(found, part)
        assert isinstance(found, torch.Tensor)
        return found

    def _place(self, name: str, parameter: nn.Parameter) -> None:
        """Register a parameter whose name has dots in modules within modules."""
        *path, last = name.split(".")
        module: Any = self
        try:
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module._modules[part]
            module.register_parameter(last, parameter)
        except KeyError as error:
            raise ModelError(f"the tensor {name!r} cannot be a parameter ({error}): rename it in the file") from error


def run_samples(
    run: Callable[[Mapping[str, Array]], dict[str, Array]],
    wanted: Sequence[FileInput],
    inputs: Mapping[str, Array],
    path: Path,
) -> dict[str, Array]:
    """Outputs of a network; where it is made for another number of samples, part after part, the last one filled up.

    Args:
        run: gives outputs by name.
        wanted: the inputs of the file.
        inputs: name to array.
        path: of the file, for messages.

    Raises:
        ModelError: if it runs in parts, and an output is not one for each sample.
    """
    fixed = {one.samples for one in wanted}
    size = fixed.pop() if len(fixed) == 1 else None
    if size is None or all(len(array) == size for array in inputs.values()):
        return run(inputs)
    samples = max(len(array) for array in inputs.values())
    places = [np.minimum(np.arange(size) + first, samples - 1) for first in range(0, samples, size)]
    parts = [run({name: array[place] for name, array in inputs.items()}) for place in places]
    if any(len(output) != size for part in parts for output in part.values()):
        raise ModelError(f"{path} is made for {size} samples, and its outputs are not one for each")
    return {name: np.concatenate([part[name] for part in parts])[:samples] for name in parts[0]}


def first_line(error: Exception) -> str:
    """The first line of a message that says something, or the name of the error."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
