"""What `inspect` says of a checkpoint, against flips through the library of the format."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from qtaml.checkpoints import inspect, open_checkpoint
from qtaml.errors import ModelError
from tests.gguf_files import gguf


def test_flips_are_those_of_the_library(gguf_file):
    """Mean and worst case of each bit of each field of Q4_K: all 40 blocks, each word's bit flipped in turn."""
    checkpoint = open_checkpoint(gguf_file)
    tensor = checkpoint["b.weight"]
    found = next(one for one in inspect(checkpoint, weights=10**6).formats if one.name == "Q4_K")
    (units,) = tensor.raw(0, tensor.units)
    kind = gguf.GGMLQuantizationType.Q4_K
    stored = gguf.quants.dequantize(units, kind).astype(np.float64)
    for field, shown in zip(tensor.format.fields, found.fields, strict=True):
        for bit in {0, field.bits - 1, field.bits // 2}:
            harm = []
            for place in field.places[: 2 if field.words_of_unit == 256 else None, bit].tolist():
                flipped = units.copy()
                flipped[:, place // 8] ^= 1 << place % 8
                with np.errstate(all="ignore"):
                    read = np.nan_to_num(gguf.quants.dequantize(flipped, kind).astype(np.float64), nan=0.0)
                harm.append(((read - stored) ** 2).sum(1) / (stored**2).mean())
            flip = shown.flips[bit]
            assert flip.worst >= np.max(harm) * (1 - 1e-5)
            if field.words_of_unit < 256:
                assert [flip.mean, flip.worst] == pytest.approx([np.mean(harm), np.max(harm)], rel=1e-5)


def test_bits_count_the_scales(gguf_file):
    """4.5 bits of Q4_0 and Q4_K, 4.25 of MXFP4, 32 of floats."""
    found = {one.name: one.bits for one in inspect(open_checkpoint(gguf_file)).formats}
    assert found == {"Q4_0": 4.5, "Q4_K": 4.5, "MXFP4": 4.25, "F32": 32.0}


def test_flips_to_no_finite_number_are_counted(tmp_path):
    """Of weights between 1 and 2 in FP16 one flip, of the top bit of the exponent, gives infinity or NaN."""
    weights = 1 + 0.9 * torch.rand(500, generator=torch.Generator().manual_seed(0))
    save_file({"w": weights.half()}, tmp_path / "m.safetensors")
    (field,) = inspect(open_checkpoint(tmp_path / "m.safetensors")).formats[0].fields
    assert [flip.not_finite for flip in field.flips] == [0.0] * 14 + [1.0, 0.0]


def test_the_table_has_a_line_for_each_field_or_each_bit(gguf_file):
    """Tables, and what they say of a sample."""
    found = inspect(open_checkpoint(gguf_file), weights=256)
    fields = sum(len(one.fields) for one in found.formats)
    assert len(found.table().rows) == fields
    assert len(found.table(every_bit=True).rows) == sum(f.word_bits for one in found.formats for f in one.fields)
    assert "the worst case is that of these" in str(found)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    """Of NaN nothing follows."""
    save_file({"w": torch.tensor([1.0, float("inf")])}, tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match="w holds weights that are no finite numbers"):
        inspect(open_checkpoint(tmp_path / "m.safetensors"))


def test_a_scale_of_the_whole_tensor_changes_all_its_weights(tmp_path):
    """One flip of the sign of the only scale: four times the mean square, of each of 800 weights."""
    codes = torch.randn(100, 8, generator=torch.Generator().manual_seed(0)).to(torch.float8_e4m3fn)
    save_file({"a.weight": codes, "a.weight_scale": torch.tensor([0.5])}, tmp_path / "m.safetensors")
    (found,) = inspect(open_checkpoint(tmp_path / "m.safetensors")).formats
    scales = found.fields[1]
    assert (found.name, scales.weights, scales.flips[31].mean) == ("FP8, one scale", 800, pytest.approx(4 * 800))
