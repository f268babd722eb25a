"""What the command line reads: within bounds, and from regular files only."""

import os
import re
import zipfile

import numpy as np
import pytest
import torch

import qtaml
from qtaml.cli.inputs import load_data, load_model
from tests.within import within


def test_packed_arrays_are_read(tmp_path):
    """Of each kind that NumPy writes; masks of ones pack well, and small ones may."""
    arrays = {"inputs": np.arange(6.0).reshape(3, 2), "mask": np.ones((3, 10**6), np.int8), "none": np.zeros((0, 4))}
    np.savez_compressed(tmp_path / "packed.npz", **arrays, labels=np.arange(3))
    inputs, labels = load_data(tmp_path / "packed.npz")
    assert labels.tolist() == [0, 1, 2]
    assert inputs.keys() == arrays.keys()
    assert all(np.array_equal(inputs[name].numpy(), array) for name, array in arrays.items())


@pytest.mark.slow
def test_arrays_that_unpack_out_of_proportion_are_refused(tmp_path):
    """300 kB would become 300 MB."""
    np.savez_compressed(tmp_path / "bomb.npz", inputs=np.zeros(3 * 10**8, np.int8))
    message = r"bomb\.npz unpacks to 300000128 bytes, more than the \d+ that a file of its size may; write it with"
    with within(), pytest.raises(qtaml.StoredFileError, match=message):
        load_data(tmp_path / "bomb.npz")


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(4, 1000000000000)", "(4, -1)"])
def test_arrays_that_are_smaller_than_they_say_are_refused(tmp_path, shape):
    """Before the memory for them is asked for."""
    np.savez(tmp_path / "short.npz", inputs=np.zeros(4))
    with zipfile.ZipFile(tmp_path / "short.npz") as archive:
        content = archive.read("inputs.npy")
    lied = content.replace(b"(4,), }" + b" " * (len(shape) - 4), f"{shape}, }}".encode())
    assert lied != content
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        archive.writestr("inputs.npy", lied)
    with within(), pytest.raises(qtaml.StoredFileError, match=r"short\.npz"):
        load_data(tmp_path / "short.npz")


@pytest.mark.parametrize("name", ["data.npz", "data.safetensors", "data.txt", "model.pt2"])
def test_a_pipe_does_not_hang(tmp_path, name):
    """Whatever its name says that it holds."""
    os.mkfifo(path := tmp_path / name)
    with (
        within(),
        pytest.raises(qtaml.StoredFileError, match=f"cannot read {re.escape(str(path))}: it is not a regular"),
    ):
        load_model(str(path)) if path.suffix == ".pt2" else load_data(path)
    os.mkfifo(tmp_path / "weights.safetensors")
    with within(), pytest.raises(qtaml.StoredFileError, match=r"weights\.safetensors: it is not a regular file"):
        load_model("torch.nn:Identity", tmp_path / "weights.safetensors")


def test_a_program_that_is_a_link_is_loaded(tmp_path, monkeypatch):
    """Also where the content that it points to has another name."""
    monkeypatch.chdir(tmp_path)
    model = torch.nn.Linear(3, 2)
    torch.export.save(torch.export.export(model, (torch.ones(2, 3),)), "network.pt2")
    os.rename("network.pt2", "cdef0123")
    os.symlink("cdef0123", "network.pt2")
    assert torch.equal(load_model("network.pt2")(torch.ones(2, 3)), model(torch.ones(2, 3)))
