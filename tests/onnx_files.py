"""ONNX files for the tests: a small classifier, and its codes by `onnxruntime.quantization`."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnxruntime import quantization  # noqa: E402


def images(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of one of three strengths, and which."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    return torch.randn(count, 1, 8, 8, generator=generator) * (1.0 + labels[:, None, None, None]), labels


class Classifier(nn.Module):
    """By the mean size of what small filters find."""

    def __init__(self) -> None:
        super().__init__()
        self.filters, self.head = nn.Conv2d(1, 6, 3), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.filters(x)).mean((2, 3)))


def graph_of(model: Classifier, samples: int | str = "samples") -> "onnx.ModelProto":
    """The classifier as ONNX, written by hand: names with dots, and shapes that are no weights."""
    numbers = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    numbers["shape"] = np.array([-1, 6], dtype=np.int64)
    nodes = [
        helper.make_node("Conv", ["images", "filters.weight", "filters.bias"], ["found"]),
        helper.make_node("Relu", ["found"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["mean"]),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head.weight", "head.bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [samples, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [samples, 3])],
        [numpy_helper.from_array(array, name) for name, array in numbers.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])


class _Inputs(quantization.CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [{"images": images()[0].numpy()}]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


def quantise(path: Path, form: str, kind: str = "QInt8", *, per_channel: bool = True) -> Path:
    """The file with codes for weights and activations, beside it."""
    made = path.with_name(f"{form}-{kind}.onnx")
    logging.disable(logging.WARNING)
    try:
        quantization.quantize_static(
            path,
            made,
            _Inputs(),
            quant_format=quantization.QuantFormat[form],
            weight_type=quantization.QuantType[kind],
            per_channel=per_channel,
            activation_type=quantization.QuantType.QUInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
    return made
