"""A network of an ONNX file as a module: its weights are parameters, its forward pass is onnxruntime's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from qtaml.errors import ModelError, QtamlError

if TYPE_CHECKING:
    from qtaml.networks.onnx_graph import OnnxGraph

NETWORK_FILES = (".pt2", ".onnx")
"""Suffixes of files that hold a whole network."""


class OnnxNetwork(nn.Module):
    """A network that lives in an ONNX file, to be planned, stored, read and measured like any other.

    Its parameters are the float tensors of the file, and the tensors of codes of quantised layers (QDQ nodes, integer
    operators; of 4 or 8 bits), in units of one code, those without a sign less half their range. What is read of codes
    is rounded to whole ones, as a file would hold them. Scales and zero points of codes, and what is no weight, stay in
    the graph, outside the memory; the buffers of `constants` are copies of them, by which a stored network knows its
    own file.

    There are no gradients: what asks for them measures by forward passes instead. All copies share one session, which
    holds no weights; it runs on as many threads as torch had when it was built.

    Args:
        path: the file; external data must lie in its folder.

    Attributes:
        onnx_graph: the file without its weights.

    Raises:
        StoredFileError: if the file cannot be read, is no ONNX file, or its data are not where it says.
        ModelError: if onnxruntime cannot run it, or it has weights of a type that is not run.
        QtamlError: if onnx or onnxruntime is not installed.

    Example:
        >>> network = OnnxNetwork("classifier.onnx")  # doctest: +SKIP
        >>> plan = qtaml.compensate(network, inputs, p=0.05, overhead=0.1)  # doctest: +SKIP
    """

    onnx_graph: "OnnxGraph"

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        try:
            from qtaml.networks.onnx_reading import read_graph
        except ImportError as error:
            raise QtamlError(
                f"an ONNX network needs onnx and onnxruntime ({error}): pip install 'qtaml[onnx]'"
            ) from error
        self.onnx_graph, parameters = read_graph(Path(path))
        for name, values in parameters.items():
            self._place(name, nn.Parameter(values, requires_grad=False))
        self.constants = nn.Module()
        for number, values in enumerate(self.onnx_graph.constants.values()):
            self.constants.register_buffer(str(number), values.clone())
        # What is wrong with the file is said now.
        self.onnx_graph.session  # noqa: B018

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        """The output, or outputs by name where there are several.

        Args:
            args: inputs in the order of the file.
            kwargs: inputs by name.

        Raises:
            ModelError: if an input is missing or unknown, onnxruntime fails, or `constants` are those of another file.
        """
        for (name, own), held in zip(self.onnx_graph.constants.items(), self.constants.buffers(), strict=True):
            # By their bytes: NaN is equal to NaN.
            if own.numpy().tobytes() != held.cpu().numpy().tobytes():
                raise ModelError(f"the network is stored from another file: {name!r} differs in {self.onnx_graph.path}")
        wanted = self.onnx_graph.inputs
        given = dict(zip((one.name for one in wanted), args, strict=False)) | kwargs
        if given.keys() != {one.name for one in wanted} or len(args) + len(kwargs) != len(wanted):
            names = ", ".join(repr(one.name) for one in wanted)
            raise ModelError(f"the network takes the inputs {names}, got {len(args)} and those named {sorted(kwargs)}")
        inputs = {one.name: given[one.name].detach().cpu().contiguous().numpy() for one in wanted}
        for one in wanted:
            if inputs[one.name].dtype.kind == one.dtype.kind:
                inputs[one.name] = inputs[one.name].astype(one.dtype, copy=False)
        outputs = self.onnx_graph.run(inputs, self.named_weights())
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def named_weights(self) -> dict[str, torch.Tensor]:
        """The parameters by the names that they have in the file."""
        # Not `get_parameter`: what is put in place of a parameter for one forward pass is a plain tensor.
        return {name: self._tensor(name) for name in self.onnx_graph.weights}

    def to_bytes(self) -> bytes:
        """The ONNX file with the present weights; all else is as in the file that was read.

        Raises:
            ModelError: if it would be larger than a single ONNX file can be.
        """
        return self.onnx_graph.file(self.named_weights())

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
