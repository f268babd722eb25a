"""Checkpoint files: what they hold, and that nothing but a clear error comes out of damaged ones."""

import json
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from qtaml.checkpoints import open_checkpoint
from qtaml.errors import ArgumentError, QtamlError, StoredFileError
from tests.gguf_files import gguf


def test_gguf_values_and_shapes_are_those_of_the_library(gguf_file):
    """Tensor by tensor, bit for bit."""
    checkpoint = open_checkpoint(gguf_file)
    for tensor in gguf.GGUFReader(gguf_file).tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert checkpoint[tensor.name].shape == tuple(tensor.shape[::-1].tolist())
        assert np.array_equal(checkpoint[tensor.name].values(), expected.reshape(checkpoint[tensor.name].shape))
    assert checkpoint.bits == sum(8 * tensor.n_bytes for tensor in gguf.GGUFReader(gguf_file).tensors)


def test_safetensors_values_are_those_of_the_library(float_file):
    """All widths of floats; whole numbers are named as what is left as it is."""
    checkpoint = open_checkpoint(float_file)
    expected = load_file(float_file)
    assert list(checkpoint.others) == ["positions"]
    for name, tensor in checkpoint.items():
        assert np.array_equal(tensor.values(), expected[name].float().numpy())
    with pytest.raises(ArgumentError, match="'positions': I64 is not read; F32, F16"):
        checkpoint["positions"]


def test_a_file_that_changes_is_not_read_on(float_file, tmp_path):
    """Words of two files would mix."""
    path = tmp_path / "copy.safetensors"
    path.write_bytes(float_file.read_bytes())
    checkpoint = open_checkpoint(path)
    path.write_bytes(float_file.read_bytes() + b"more")
    with pytest.raises(StoredFileError, match="has changed since it was opened"):
        checkpoint["f32"].values()


def _whole(checkpoint):
    """Whatever a reader of a checkpoint touches."""
    return [tensor.values().size for tensor in checkpoint.values()]


@pytest.mark.slow
@given(data=st.data())
def test_a_damaged_gguf_header_gives_an_error_or_a_checkpoint(gguf_file, tmp_path_factory, data):
    """Bytes of the header changed, or the file cut anywhere."""
    content = bytearray(gguf_file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 400))] = data.draw(st.sampled_from([0, 1, 2, 7, 8, 9, 64, 127, 128, 255]))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    _opens_or_fails(tmp_path_factory.getbasetemp() / "damaged.gguf", bytes(content[:cut]))


@given(data=st.data())
def test_a_damaged_safetensors_header_gives_an_error_or_a_checkpoint(float_file, tmp_path_factory, data):
    """Bytes of the header changed, or the file cut anywhere."""
    content = bytearray(float_file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 500))] = data.draw(st.sampled_from([*b'0129{}[]":,-eF', 0, 255]))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    _opens_or_fails(tmp_path_factory.getbasetemp() / "damaged.safetensors", bytes(content[:cut]))


def _opens_or_fails(path, content):
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    with suppress(QtamlError), np.errstate(all="ignore"):
        _whole(open_checkpoint(path))


def _gguf(path, *, version=3, tensors=(), keys=(), data=b""):
    """A GGUF file from its parts: (name, dimensions, type, offset) of each tensor."""
    content = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys)
    for name, shape, kind, offset in tensors:
        content += struct.pack("<Q", len(name)) + name.encode() + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        content += struct.pack("<IQ", kind, offset)
    path.write_bytes(content + b"\0" * (-len(content) % 32) + data)
    return path


def _key(name, kind, value):
    return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value


BROKEN = {
    "version": ({"version": 1}, "must be GGUF of version 2 or 3, got version 1"),
    "big endian": ({"version": 3 << 24}, r"got version 50331648 \(big-endian\)"),
    "type unknown": ({"tensors": [("w", (32,), 99, 0)]}, "w has type 99, which gguf does not know"),
    "row": ({"tensors": [("w", (33,), 2, 0)]}, "rows of w, Q4_0, must be multiples of 32, got 33"),
    "no weights": ({"tensors": [("w", (0,), 0, 0)]}, r"w must have weights, got shape \(0,\)"),
    "dimensions": ({"tensors": [("w", (1,) * 5, 0, 0)]}, "w must have 1 to 4 dimensions, got 5"),
    "beyond": ({"tensors": [("w", (2**40,), 0, 0)]}, "is truncated: w ends at byte"),
    "offset": ({"tensors": [("w", (8,), 0, 5)]}, "w must begin at a multiple of 32, got 5"),
    "twice": ({"tensors": [("w", (8,), 0, 0), ("w", (8,), 0, 32)], "data": bytes(64)}, "two tensors have the name 'w'"),
    "over": ({"tensors": [("v", (16,), 0, 0), ("w", (8,), 0, 32)], "data": bytes(64)}, "v and w lie over each other"),
    "keys": ({"keys": [_key("k", 4, bytes(4))] * 2}, "two keys have the name 'k'"),
    "key type": ({"keys": [_key("k", 77, bytes(4))]}, "metadata have type 77, which is none"),
    "long array": ({"keys": [_key("k", 9, struct.pack("<IQ", 0, 2**62))]}, "the header ends after byte"),
    "long texts": ({"keys": [_key("k", 9, struct.pack("<IQ", 8, 2**62))]}, "the header ends after byte"),
    "alignment": ({"keys": [_key("general.alignment", 4, struct.pack("<I", 3))]}, "must be a power of two, got 3"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_gguf_file_that_cannot_be_right_is_refused(name, tmp_path):
    """The message says what is wrong with it."""
    parts, message = BROKEN[name]
    with pytest.raises(StoredFileError, match=message):
        open_checkpoint(_gguf(tmp_path / "broken.gguf", **parts))


def test_types_that_are_not_read_are_named(tmp_path):
    """The file opens; the tensor is left as it is."""
    path = _gguf(tmp_path / "grid.gguf", tensors=[("w", (256,), 16, 0)], data=bytes(66))
    assert open_checkpoint(path).others["w"].startswith("IQ2_XXS is not read; F32, F16")


def _adapter(folder):
    (folder / "adapter_config.json").write_text("{}")
    return folder


def _folder_of_gguf(folder):
    (folder / "a.gguf").write_bytes(b"GGUF")
    return folder


def _script(folder):
    with zipfile.ZipFile(folder / "net.pt", "w") as archive:
        archive.writestr("net/code/__torch__.py", "")
    return folder / "net.pt"


def _pickle(folder):
    torch.save({"w": torch.ones(2)}, folder / "net.pth")
    return folder / "net.pth"


def _misnamed_pickle(folder):
    torch.save({"w": torch.ones(2)}, folder / "net.safetensors")
    return folder / "net.safetensors"


def _pointer(folder):
    (folder / "net.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    return folder / "net.gguf"


def _text(folder):
    (folder / "net.json").write_text(json.dumps({}))
    return folder / "net.json"


NEXT_STEPS = {
    _adapter: r"merge it into its network first \(peft: model.merge_and_unload\(\)",
    _folder_of_gguf: "is a folder; give one of its files: a.gguf",
    _script: r"it is TorchScript, .*torch.jit.load\(PATH\)",
    _pickle: r"it is a pickled checkpoint, .*torch.load\(PATH, weights_only=True\)",
    _misnamed_pickle: "it is a pickled checkpoint",
    _pointer: "fetch them by git lfs pull",
    _text: "give a .gguf, .safetensors, .onnx or .tflite file",
}


@pytest.mark.parametrize("make", NEXT_STEPS)
def test_what_is_not_read_comes_with_the_next_step(make, tmp_path):
    """The message has what to type."""
    with pytest.raises(StoredFileError, match=NEXT_STEPS[make]):
        open_checkpoint(make(tmp_path))


def test_a_safetensors_header_with_two_entries_of_one_name_is_refused(tmp_path):
    """The library reads the last of them, and says nothing."""
    save_file({"w": torch.ones(2, 3)}, tmp_path / "m.safetensors")
    content = (tmp_path / "m.safetensors").read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    entry = content[9:length].strip()[:-1]
    header = b"{" + entry + b"," + entry + b"}"
    (tmp_path / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + content[length:])
    assert list(load_file(tmp_path / "m.safetensors")) == ["w"]
    with pytest.raises(StoredFileError, match="its header has two entries of one name: 'w'"):
        open_checkpoint(tmp_path / "m.safetensors")


def test_a_tensor_without_weights_is_left_as_it_is(tmp_path):
    """It has nothing to store."""
    save_file({"empty": torch.ones(0, 3), "full": torch.ones(2, 3)}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert (list(checkpoint), checkpoint.others) == (["full"], {"empty": "it holds no weights"})
