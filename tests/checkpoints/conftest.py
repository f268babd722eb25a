"""Checkpoint files for the tests, written by the libraries of their formats."""

import pytest
import torch
from safetensors.torch import save_file

from tests.gguf_files import write_gguf


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory):
    """A small file of mixed types."""
    path = tmp_path_factory.mktemp("checkpoints") / "small.gguf"
    types = {"a.weight": ("Q4_0", 320), "b.weight": ("Q4_K", 40), "c.weight": ("MXFP4", 320), "norm": ("F32", 64)}
    return write_gguf(path, types)


@pytest.fixture(scope="session")
def float_file(tmp_path_factory):
    """A small safetensors file of float words of each width."""
    path = tmp_path_factory.mktemp("checkpoints") / "small.safetensors"
    generator = torch.Generator().manual_seed(0)
    dtypes = {
        "f32": torch.float32,
        "f16": torch.float16,
        "bf16": torch.bfloat16,
        "e4m3": torch.float8_e4m3fn,
        "e5m2": torch.float8_e5m2,
    }
    weights = {name: torch.randn(40, 30, generator=generator).to(dtype) for name, dtype in dtypes.items()}
    save_file({**weights, "positions": torch.arange(4)}, path, metadata={"format": "pt"})
    return path
