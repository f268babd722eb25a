"""Weights of compressed-tensors: values of the library, words where the fields say, and files as read."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from qtaml.checkpoints import ReadCheckpoint, open_checkpoint, protect, read_errors
from qtaml.checkpoints.unit_format import combined
from qtaml.checkpoints.word_law import values_of_weights
from qtaml.errors import StoredFileError

pytest.importorskip("compressed_tensors")

from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

ROWS, COLUMNS = 64, 96
# Format, settings, shape of the scales.
CASES = {
    "int4 groups": ("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": 32}, (ROWS, 3)),
    "int4 groups, zero points": (
        *("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False}),
        (ROWS, 3),
    ),
    "int3 rows": ("pack-quantized", {"num_bits": 3, "strategy": "channel"}, (ROWS, 1)),
    "int3 rows, zero points": ("pack-quantized", {"num_bits": 3, "strategy": "channel", "symmetric": False}, (ROWS, 1)),
    "int8 rows": ("naive-quantized", {"num_bits": 8, "strategy": "channel"}, (ROWS, 1)),
    "int8 rows, zero points": (
        "naive-quantized",
        {"num_bits": 8, "strategy": "channel", "symmetric": False},
        (ROWS, 1),
    ),
    "fp8 whole": ("naive-quantized", {"num_bits": 8, "type": "float", "strategy": "tensor"}, (1,)),
    "fp8 rows": ("naive-quantized", {"num_bits": 8, "type": "float", "strategy": "channel"}, (ROWS, 1)),
    "fp8 blocks": (
        *("naive-quantized", {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [32, 48]}),
        (2, 2),
    ),
}


def _compressed(name, dtype=torch.bfloat16):
    """A weight as the library compresses it, and as it decompresses that."""
    kind, settings, shape = CASES[name]
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**settings))
    generator = torch.Generator().manual_seed(0)
    state = {
        "weight": torch.randn(ROWS, COLUMNS, generator=generator).to(dtype),
        "weight_scale": (torch.rand(shape, generator=generator) + 0.5).to(dtype) / 2 ** (settings["num_bits"] - 2),
        "weight_zero_point": torch.zeros(shape, dtype=torch.int8),
    }
    if not settings.get("symmetric", True):
        state["weight_zero_point"] = torch.randint(-2, 3, shape, generator=generator).to(torch.int8)
    compressor = BaseCompressor.get_value_from_registry(kind)
    compressed = compressor.compress(state, scheme)
    return compressed, compressor.decompress(compressed, scheme)["weight"]


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    """A checkpoint with one weight and a bias, its path, and the weight as the library reads it."""
    compressed, weight = _compressed(request.param)
    tensors = {f"layer.{name}": value for name, value in compressed.items()}
    save_file({**tensors, "layer.bias": torch.ones(8)}, tmp_path / "m.safetensors")
    return open_checkpoint(tmp_path / "m.safetensors"), weight


def test_values_are_those_of_the_library(case):
    """Bit for bit, piece by piece or whole; parts of the weight are no tensors of their own."""
    checkpoint, weight = case
    assert sorted(checkpoint) == ["layer.bias", "layer.weight"]
    assert np.array_equal(checkpoint["layer.weight"].values(), weight.float().numpy())
    tensor = checkpoint["layer.weight"]
    half = tensor.units // 2
    if half:
        parts = [tensor.format.dequantise(tensor.raw(*span)).ravel() for span in ((0, half), (half, tensor.units))]
        assert np.array_equal(np.concatenate(parts), weight.float().numpy().ravel())


def test_weights_are_made_of_the_words_as_the_fields_say(case):
    """But for the rounding to BF16, the type of the scales."""
    tensor = case[0]["layer.weight"]
    words = tensor.format.words(tensor.raw(0, tensor.units))
    values = {field.name: values_of_weights(field, words[field.name], "keep") for field in tensor.format.fields}
    made = combined(tensor.format.value, values).reshape(tensor.shape)
    assert np.allclose(made, tensor.values(), rtol=2**-8, atol=0)


def test_a_flipped_bit_changes_the_same_in_file_and_library(case, tmp_path):
    """The top bit of the last word of each field, flipped in the file."""
    checkpoint, _ = case
    tensor = checkpoint["layer.weight"]
    stored = tensor.values()
    for field in tensor.format.fields:
        place = int(field.places[-1, -1])
        part = tensor.parts[field.part]
        content = bytearray(checkpoint.source.path.read_bytes())
        content[part.offset + (part.units - 1) * part.width + place // 8] ^= 1 << place % 8
        (tmp_path / "flipped.safetensors").write_bytes(content)
        changed = open_checkpoint(tmp_path / "flipped.safetensors")["layer.weight"].values() != stored
        unit = changed.reshape(part.units, -1)[-1].reshape(-1, tensor.format.weights)
        assert unit[:, field.word_of == field.words_of_unit - 1].any()
        assert changed.sum() == unit[:, field.word_of == field.words_of_unit - 1].sum()


@pytest.mark.slow
def test_files_as_read_are_those_of_the_same_format(case, tmp_path):
    """Predicted and measured error agree, and the library decompresses what is written."""
    checkpoint, _ = case
    plan = protect(checkpoint, p=0.05, cells=1.3, decoders=("none", "ideal"))
    ReadCheckpoint(checkpoint, plan, seed=0).save(tmp_path / "read.safetensors")
    again = open_checkpoint(tmp_path / "read.safetensors")
    assert np.array_equal(
        again["layer.weight"].values(), ReadCheckpoint(checkpoint, plan, seed=0).values("layer.weight")
    )
    measured = read_errors(checkpoint, plan, reads=20).tensors["layer.weight"][1]
    assert plan.tensors[0].error == pytest.approx(measured.value, rel=0.15)


def test_scales_that_do_not_fit_are_refused(tmp_path):
    """Of another number of rows."""
    compressed, _ = _compressed("int4 groups")
    tensors = {f"layer.{name}": value for name, value in compressed.items()}
    save_file({**tensors, "layer.weight_scale": torch.ones(5, 3)}, tmp_path / "m.safetensors")
    with pytest.raises(StoredFileError, match=r"layer\.weight do not fit each other: .* scales of shape \(5, 3\)"):
        open_checkpoint(tmp_path / "m.safetensors")


def test_what_is_not_read_is_left_as_it_is(tmp_path):
    """Scales in another scheme, or an order of columns beside them."""
    compressed, _ = _compressed("int4 groups")
    tensors = {f"layer.{name}": value for name, value in compressed.items()}
    tensors |= {"layer.weight_g_idx": torch.zeros(COLUMNS, dtype=torch.int32)}
    tensors |= {"other.weight": torch.ones(4, 4).to(torch.float8_e4m3fn), "other.weight_scale_inv": torch.ones(1)}
    save_file(tensors, tmp_path / "m.safetensors")
    others = open_checkpoint(tmp_path / "m.safetensors").others
    assert others["layer.weight_packed"] == "its values need layer.weight_g_idx, which are not read"
    assert others["other.weight"] == "its values need other.weight_scale_inv, which are not read"
    assert load_file(tmp_path / "m.safetensors").keys() >= others.keys()
