"""ONNX files, run by onnxruntime."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.export import onnx_file, write_onnx
from qtaml.model import arguments, output_tensor
from tests.cases import CONVOLUTION
from tests.conformance.test_networks import network
from tests.full_disk import full_disk

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
NETWORKS = ("encoder", "decoder with tied embeddings", "vision transformer of timm", "LSTM", "attention")


def convolution():
    """A small network in a memory."""
    model = CONVOLUTION.model()
    return qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))


def run(path, batch):
    """Outputs of onnxruntime, and the names of its inputs."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    args, kwargs = arguments(batch, nn.Identity())
    names = [one.name for one in session.get_inputs()]
    values = [value.numpy() for value in (*args, *kwargs.values())]
    (output,) = session.run(["output"], dict(zip(names, values, strict=True)))
    return output, names


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name not in ("convolution", "attention") else [])
        for name in ("convolution", *NETWORKS)
    ],
)
def test_onnxruntime_gives_the_same_outputs(name, tmp_path):
    """To rounding, for other numbers of samples than it was traced with."""
    model, inputs = (CONVOLUTION.model(), CONVOLUTION.batch()) if name == "convolution" else network(name)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.01, protected_bits=2))
    write_onnx(memory, tmp_path / "network.onnx", inputs, seed=3)
    onnx.checker.check_model(tmp_path / "network.onnx", full_check=True)
    for samples in (1, 3, 8):
        batch = cut(inputs, samples)
        expected = output_tensor(memory.model(seed=3), batch).detach().numpy()
        found, names = run(tmp_path / "network.onnx", batch)
        if isinstance(inputs, dict):
            assert names == list(inputs)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def cut(inputs, samples):
    """The first few samples."""
    if isinstance(inputs, dict):
        return {name: value[:samples] for name, value in inputs.items()}
    return tuple(value[:samples] for value in inputs) if isinstance(inputs, tuple) else inputs[:samples]


@pytest.mark.slow
def test_tied_weights_are_in_the_file_once(tmp_path):
    """And nothing of the machine or the inputs. Small ones the converter may copy, transposed."""
    model = nn.Sequential(nn.Embedding(20000, 16), nn.Linear(16, 20000, bias=False))
    model[1].weight = model[0].weight
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.01, protected_bits=2))
    write_onnx(memory, tmp_path / "network.onnx", torch.arange(4))
    (weight,) = onnx.load(tmp_path / "network.onnx").graph.initializer
    assert tuple(weight.dims) == (20000, 16)
    content = (tmp_path / "network.onnx").read_bytes()
    for file in (torch.__file__, __file__):
        assert file.rpartition("/")[0].encode() not in content
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]


@pytest.mark.slow
def test_a_full_disk_leaves_the_older_file(tmp_path):
    """A clear error, the older file whole, nothing half-written."""
    (tmp_path / "network.onnx").write_text("older")
    with full_disk(), pytest.raises(qtaml.StoredFileError, match=r"cannot write .*network\.onnx: File too large"):
        write_onnx(convolution(), tmp_path / "network.onnx", CONVOLUTION.batch())
    assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]
    assert (tmp_path / "network.onnx").read_text() == "older"


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    """Before anything is written."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(qtaml.QtamlError, match=r"an ONNX file needs onnx and onnxscript .*pip install 'qtaml\[onnx\]'"):
        write_onnx(convolution(), tmp_path / "network.onnx", CONVOLUTION.batch())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_networks_that_onnx_cannot_hold_are_refused(tmp_path, monkeypatch):
    """An operation that it lacks, or more bytes than one file takes."""

    class Special(nn.Linear):
        def forward(self, x):
            return torch.special.scaled_modified_bessel_k0(super().forward(x))

    model = Special(3, 2)
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    with pytest.raises(qtaml.ModelError, match=r"the model cannot be written as ONNX \(.*bessel_k0"):
        write_onnx(memory, tmp_path / "network.onnx", torch.ones(2, 3))
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 900)
    message = r"must have at most 900 bytes for one ONNX file, got 1012; write a \.pt2"
    with pytest.raises(qtaml.ModelError, match=message):
        write_onnx(convolution(), tmp_path / "network.onnx", CONVOLUTION.batch())
    assert list(tmp_path.iterdir()) == []
