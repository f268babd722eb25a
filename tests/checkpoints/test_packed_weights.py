"""Weights of compressed-tensors: values of the library, words where the fields say, and files as read."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from qtaml.checkpoints import ReadCheckpoint, inspect, open_checkpoint, protect, read_errors
from qtaml.checkpoints.unit_format import combined
from qtaml.checkpoints.word_law import values_of_weights
from qtaml.errors import StoredFileError
from qtaml.planning.side_values import side_cells

pytest.importorskip("compressed_tensors")

from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.quant_scheme import MXFP4A16, MXFP6A16, MXFP8A16, NVFP4A16

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
        *("naive-quantized", {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [32, 32]}),
        (2, 3),
    ),
    "nvfp4": ("nvfp4-pack-quantized", NVFP4A16, (ROWS, 6)),
    "nvfp4, no global scale": ("nvfp4-pack-quantized", NVFP4A16, (ROWS, 6)),
    "mxfp4": ("mxfp4-pack-quantized", MXFP4A16, (ROWS, 3)),
    "mxfp6": ("mxfp6-pack-quantized", MXFP6A16, (ROWS, 3)),
    "mxfp8": ("mxfp8-quantized", MXFP8A16, (ROWS, 3)),
}


def _scheme(name):
    settings = CASES[name][1]
    settings = settings if "weights" in settings else {"weights": QuantizationArgs(**settings)}
    return QuantizationScheme(targets=["Linear"], **settings)


def _decompressed(name, tensors):
    """The weight as the library reads it."""
    state = {key.removeprefix("layer."): value for key, value in tensors.items() if key.startswith("layer.weight")}
    compressor = BaseCompressor.get_value_from_registry(CASES[name][0])
    return compressor.decompress(state, _scheme(name))["weight"].float().numpy()


def _compressed(name, dtype=torch.bfloat16):
    """Tensors of a weight as the library compresses it."""
    (kind, _, shape), scheme = CASES[name], _scheme(name)
    arguments = scheme.weights
    generator = torch.Generator().manual_seed(0)
    state = {
        "weight": torch.randn(ROWS, COLUMNS, generator=generator).to(dtype),
        "weight_scale": (torch.rand(shape, generator=generator) + 0.5).to(dtype) / 2 ** (arguments.num_bits - 2),
        "weight_zero_point": torch.zeros(shape, dtype=torch.int8),
    }
    if name == "nvfp4":
        # Of scales of FP8 the largest is 448, here by a divisor for all of them.
        state["weight_global_scale"] = torch.tensor([811.7])
        state["weight_scale"] *= 811.7
    if not arguments.symmetric:
        state["weight_zero_point"] = torch.randint(-2, 3, shape, generator=generator).to(torch.int8)
    compressed = BaseCompressor.get_value_from_registry(kind).compress(state, scheme)
    return {f"layer.{key}": value for key, value in compressed.items()}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    """A checkpoint with one weight and a bias, and the weight as the library reads that of a file."""
    save_file({**_compressed(request.param), "layer.bias": torch.ones(8)}, tmp_path / "m.safetensors")
    return open_checkpoint(tmp_path / "m.safetensors"), lambda path: _decompressed(request.param, load_file(path))


def test_values_are_those_of_the_library(case):
    """Bit for bit, piece by piece or whole; parts of the weight are no tensors of their own."""
    checkpoint, library = case
    assert sorted(checkpoint) == ["layer.bias", "layer.weight"]
    tensor, weight = checkpoint["layer.weight"], library(checkpoint.source.path)
    assert np.array_equal(tensor.values(), weight)
    half = tensor.units // 2
    if half:
        parts = [tensor.format.dequantise(tensor.raw(*span)).ravel() for span in ((0, half), (half, tensor.units))]
        assert np.array_equal(np.concatenate(parts), weight.ravel())


def test_weights_are_made_of_the_words_as_the_fields_say(case):
    """But for the rounding to BF16, the type of the scales."""
    tensor = case[0]["layer.weight"]
    words = tensor.format.words(tensor.raw(0, tensor.units))
    values = {field.name: values_of_weights(field, words[field.name], "keep") for field in tensor.format.fields}
    made = combined(tensor.format.value, values).reshape(tensor.shape)
    assert np.allclose(made, tensor.values(), rtol=2**-8, atol=0)


def test_a_flipped_bit_changes_the_same_in_file_and_library(case, tmp_path):
    """Each bit of the last word of each field, flipped in the file: NaN and infinity too; other words' weights stay."""
    checkpoint, library = case
    tensor, path = checkpoint["layer.weight"], tmp_path / "flipped.safetensors"
    stored, content = tensor.values(), bytearray(checkpoint.source.path.read_bytes())
    for field in tensor.format.fields:
        part, moved = tensor.parts[field.part], False
        for place in field.places[-1].tolist():
            byte = part.offset + (part.units - 1) * part.width + place // 8
            content[byte] ^= 1 << place % 8
            path.write_bytes(content)
            content[byte] ^= 1 << place % 8
            found = open_checkpoint(path)["layer.weight"].values()
            with np.errstate(invalid="ignore"):
                assert np.array_equal(found, library(path), equal_nan=True)
            changed = (found != stored).reshape(part.units, -1, tensor.format.weights)
            assert not changed[:-1].any()
            assert not changed[-1][:, field.word_of < field.words_of_unit - 1].any()
            moved |= changed.any()
        assert moved, field.name


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fp8 blocks", "int4, zero points"])
def test_of_units_of_many_weights_a_part_is_looked_at(tmp_path, kind):
    """128 rows of a block, or 32 rows of zero points: what is said of them by cuts is what all weights say."""
    draw, shape = torch.Generator().manual_seed(0), (256, 512)
    if kind == "fp8 blocks":
        scales = torch.rand(2, 4, generator=draw) + 0.5
        tensors = {"layer.weight": torch.randn(shape, generator=draw).to(torch.float8_e4m3fn)}
    else:
        scales = torch.rand(256, 4, generator=draw) + 0.5
        words = {"weight_packed": (256, 64), "weight_zero_point": (32, 4)}
        tensors = {
            f"layer.{name}": torch.randint(-(2**31), 2**31, size, generator=draw).int() for name, size in words.items()
        } | {"layer.weight_shape": torch.tensor(shape)}
    save_file(tensors | {"layer.weight_scale": scales.bfloat16()}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert checkpoint["layer.weight"].format.weights >= 2**14
    (some,), (every,) = (inspect(checkpoint, weights=weights).formats for weights in (8192, 2**17))
    assert (some.looked_at, every.looked_at) == (8192, 2**17)
    for one, other in zip(some.fields, every.fields, strict=True):
        assert [flip.mean for flip in one.flips] == pytest.approx([flip.mean for flip in other.flips], rel=0.3)
    plan = protect(checkpoint, p=0.02, cells=1.2, decoders=("none", "majority"))
    assert 0 < plan.standard_error < 0.2 * plan.error
    measured = read_errors(checkpoint, plan, reads=3).error
    assert abs(measured.value - plan.error) < 4 * plan.standard_error + (measured.high - measured.low)


def test_the_divisor_of_all_scales_is_held_beside_the_words(tmp_path):
    """At the price of two side values of 16 bits, and with its own bits; a flip of its exponent halves all weights."""
    save_file(_compressed("nvfp4"), tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    plan = protect(checkpoint, p=0.05, cells=2.0, decoders=("none", "majority"))
    divisor = plan.tensors[0].fields[2]
    number = torch.tensor([811.7]).view(torch.int32).item()
    assert [bit.value for bit in divisor.bits] == [number >> bit & 1 for bit in range(32)]
    assert divisor.cells == pytest.approx(2 * side_cells(plan.fault, 1, ("none", "majority")))
    found = inspect(checkpoint).formats[0].fields[2]
    # The exponent of 811.7 is even, so that this flip doubles the divisor.
    assert found.flips[23].mean == pytest.approx(0.25 * ROWS * COLUMNS)


def test_scales_that_do_not_fit_are_refused(tmp_path):
    """Of another number of rows."""
    save_file({**_compressed("int4 groups"), "layer.weight_scale": torch.ones(5, 3)}, tmp_path / "m.safetensors")
    with pytest.raises(StoredFileError, match=r"layer\.weight do not fit each other: .* scales of shape \[5, 3\]"):
        open_checkpoint(tmp_path / "m.safetensors")


def test_a_weight_that_is_there_twice_is_refused(tmp_path):
    """Packed and plain: which of them counts is not known."""
    save_file(_compressed("int4 groups") | {"layer.weight": torch.ones(ROWS, COLUMNS)}, tmp_path / "m.safetensors")
    with pytest.raises(StoredFileError, match=r"holds two tensors of one name: 'layer\.weight', packed and plain"):
        open_checkpoint(tmp_path / "m.safetensors")


def test_what_is_not_read_is_left_as_it_is(tmp_path):
    """Scales in another scheme, or an order of columns beside them."""
    tensors = _compressed("int4 groups")
    tensors |= {"layer.weight_g_idx": torch.zeros(COLUMNS, dtype=torch.int32)}
    tensors |= {"other.weight": torch.ones(4, 4).to(torch.float8_e4m3fn), "other.weight_scale_inv": torch.ones(1)}
    # Blocks of 128 rows, of which the last has 16, or 17: no two of 72.
    for name, rows in (("even", 144), ("odd", 145)):
        tensors |= {f"{name}.weight": torch.ones(rows, 256).to(torch.float8_e4m3fn)}
        tensors |= {f"{name}.weight_scale": torch.ones(2, 2)}
    save_file(tensors, tmp_path / "m.safetensors")
    others = open_checkpoint(tmp_path / "m.safetensors").others
    assert others["layer.weight_packed"] == "its values need layer.weight_g_idx, which are not read"
    for name in ("even", "odd"):
        assert others[f"{name}.weight"] == (
            "its scales of shape [2, 2] may be those of blocks of which the last are smaller"
        )
    assert others["other.weight"] == "its values need other.weight_scale_inv, which are not read"
    assert load_file(tmp_path / "m.safetensors").keys() >= others.keys()
