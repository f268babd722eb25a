"""Weights of torchao in safetensors files: values of the library, codes and scales where they lie."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from qtaml.checkpoints import open_checkpoint
from qtaml.errors import StoredFileError

ROWS, COLUMNS = 32, 64
CONFIGURATIONS = {
    "int8 rows": "Int8WeightOnlyConfig()",
    "int8 groups": "Int8WeightOnlyConfig(granularity=PerGroup(32))",
    "int4 groups": "IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))",
    "fp8 rows": "Float8WeightOnlyConfig()",
}


def _flattened(kind="Int8Tensor", scales=(ROWS, 2), zeros=True):
    """What torchao 0.18 writes, written by hand: tensors, metadata, and the weight."""
    draw = torch.Generator().manual_seed(0)
    codes = torch.randint(-128, 128, (ROWS, COLUMNS), generator=draw).to(torch.int8)
    tensors = {"0._weight_qdata": codes, "0._weight_scale": torch.rand(scales, generator=draw) / 100}
    if zeros:
        tensors["0._weight_zero_point"] = torch.randint(-9, 9, scales, generator=draw).to(torch.int8)
    data = {"block_size": [1, COLUMNS // scales[-1]], "dtype": {"_type": "torch.dtype", "_data": "bfloat16"}}
    names = [name.removeprefix("0._weight_") for name in tensors]
    told = {"0.weight": json.dumps({"_type": kind, "_data": data, "_tensor_data_names": names})}
    tensors["0.bias"] = torch.ones(ROWS).bfloat16()
    told |= {"0.bias": json.dumps({"_type": "Tensor"}), "tensor_names": json.dumps(["0.weight", "0.bias"])}
    return tensors, told


def test_values_are_scales_times_codes_less_zero_points(tmp_path):
    """Rounded once, to the type of the network; each part is a field of the weight, and no tensor of its own."""
    tensors, told = _flattened()
    save_file(tensors, tmp_path / "m.safetensors", metadata=told)
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert sorted(checkpoint) == ["0.bias", "0.weight"]
    scales, zeros = (tensors[f"0._weight_{one}"].repeat_interleave(COLUMNS // 2, 1) for one in ("scale", "zero_point"))
    expected = (scales.double() * (tensors["0._weight_qdata"].double() - zeros.double())).bfloat16().float()
    assert np.array_equal(checkpoint["0.weight"].values(), expected.numpy())
    assert [field.name for field in checkpoint["0.weight"].format.fields] == ["codes", "scales", "zero points"]


def test_what_is_not_read_or_damaged_is_said(tmp_path):
    """Another class, scales that do not fit, metadata that are none."""
    tensors, told = _flattened("NVFP4Tensor")
    save_file(tensors, tmp_path / "m.safetensors", metadata=told)
    assert open_checkpoint(tmp_path / "m.safetensors").others == {
        "0.weight": "NVFP4Tensor of torchao is not read; Int8Tensor, IntxUnpackedToInt8Tensor, Float8Tensor are"
    }
    tensors, told = _flattened(scales=(ROWS, 3))
    save_file(tensors, tmp_path / "m.safetensors", metadata=told)
    with pytest.raises(StoredFileError, match=r"0\.weight of shape \(32, 64\) has scales of shape \(32, 3\)"):
        open_checkpoint(tmp_path / "m.safetensors")
    save_file(tensors, tmp_path / "m.safetensors", metadata=told | {"tensor_names": "[1"})
    with pytest.raises(StoredFileError, match="its metadata are not those of torchao"):
        open_checkpoint(tmp_path / "m.safetensors")


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_values_and_flips_are_those_of_the_library(tmp_path, name):
    """Bit for bit; a flip of the top bit of a word of each field changes the same weights by as much."""
    quantization = pytest.importorskip("torchao.quantization")
    support = pytest.importorskip("torchao.prototype.safetensors.safetensors_support")
    model = nn.Sequential(nn.Linear(COLUMNS, ROWS)).bfloat16()
    quantization.quantize_(model, eval(CONFIGURATIONS[name], {**vars(quantization), "torch": torch}))
    tensors, told = support.flatten_tensor_state_dict(model.state_dict())
    path = tmp_path / "m.safetensors"
    for part in (None, *(one for one in tensors if "_weight_" in one)):
        if part is not None:
            # Not the sign of a scale, which no library looks at: the lowest bit.
            tensors[part].view(torch.uint8).reshape(-1)[0] ^= 1
        save_file(tensors, path, metadata=told)
        weight = support.unflatten_tensor_state_dict(tensors, told)[0]["0.weight"]
        assert np.array_equal(open_checkpoint(path)["0.weight"].values(), weight.dequantize().float().numpy())
