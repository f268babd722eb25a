"""GGUF files for the tests, written by `gguf`."""

from pathlib import Path

import numpy as np
import pytest

from qtaml.checkpoints.gguf_types import gguf_type

gguf = pytest.importorskip("gguf")


def random_units(name: str, count: int, seed: int = 0) -> np.ndarray:
    """Random blocks of a type of GGUF, with scales of sensible sizes: any other bits are as random as they come."""
    generator = np.random.default_rng(seed)
    kind = gguf.GGMLQuantizationType[name]
    units = generator.integers(0, 256, (count, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    for field in gguf_type(name).fields:
        if field.levels is None:
            values = generator.normal(0, 0.01, (count, field.words_of_unit)).astype(np.float32)
            dtype = {"fp16": np.float16, "bf16": None, "fp32": np.float32}[field.meaning]
            raw = values.view(np.uint32) >> 16 if dtype is None else values.astype(dtype).view(f"u{field.bits // 8}")
            field.put(units, raw.astype(np.int64))
        elif field.meaning == "e8m0":
            field.put(units, generator.integers(110, 125, (count, field.words_of_unit)))
    return units


def write_gguf(path: Path, types: dict[str, tuple[str, int]]) -> Path:
    """A GGUF file of tensors of random blocks: type and number of blocks by name."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
    writer.add_uint32("llama.block_count", 1)
    for name, (kind, count) in types.items():
        units = random_units(kind, count).reshape(4, -1)
        dtype = {"F32": np.float32, "F16": np.float16}.get(kind)
        data = units if dtype is None else units.view(dtype)
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
