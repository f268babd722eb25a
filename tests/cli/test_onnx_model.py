"""An ONNX file as MODEL of the commands."""

import json

import numpy as np
import pytest
import torch

from tests.networks.test_onnx_network import Classifier, graph_of, images

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture
def here(tmp_path, monkeypatch, command):
    """The command in a folder with a network and its data."""
    torch.manual_seed(0)
    onnx.save(graph_of(Classifier()), tmp_path / "network.onnx")
    inputs, labels = images(60)
    np.savez(tmp_path / "test.npz", images=inputs.numpy(), labels=labels.numpy())
    monkeypatch.chdir(tmp_path)
    return command


def test_an_onnx_file_is_a_model(here, tmp_path):
    """Planned, measured, and out as the same file, which needs no inputs; standard output is JSON alone."""
    asked = ("--calibration", "test.npz", "--p", 0.05, "--overhead", 0.2, "--decision", "always", "--json")
    ended, text, _ = here("compensate", "network.onnx", *asked, "--out", "stored")
    assert ended == 0
    assert json.loads(text)["tensors"][0]["gain"]["source"] == "forward passes"
    ended, text, _ = here("evaluate", "stored", "--model", "network.onnx", "--test", "test.npz", "--trials", 3)
    assert ended == 0
    assert text.startswith("accuracy ")
    ended, text, _ = here("export", "stored", "read.onnx", "--model", "network.onnx", "--seed", 1)
    assert (ended, text) == (0, "network as read with seed 1: read.onnx\n")
    session = onnxruntime.InferenceSession(tmp_path / "read.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"images": images(3)[0].numpy()})[0].shape == (3, 3)
    ended, _, err = here("export", "stored", "network.onnx", "--model", "network.onnx")
    assert ended == 2
    assert "OUT must lie outside" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is no ONNX file: it holds no graph"), (b"hello", "is no ONNX file, or is damaged"), (None, "cannot read")],
)
def test_what_is_no_onnx_file(here, tmp_path, content, message):
    """Said in one line."""
    if content is not None:
        (tmp_path / "bad.onnx").write_bytes(content)
    ended, _, err = here("predict", "bad.onnx", "--calibration", "test.npz", "--p", 0.1)
    assert ended != 0
    assert message in err
