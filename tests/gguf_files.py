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


def write_llama(path: Path, kind: str = "Q8_0", vocabulary: int = 64) -> Path:
    """A language model of one block with random weights of a type, and a tokenizer of single letters."""
    draw, width, form = np.random.default_rng(0), 32, gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, "llama")
    for name, number in (("embedding_length", width), ("feed_forward_length", 64), ("block_count", 1)):
        getattr(writer, f"add_{name}")(number)
    for name in ("head_count", "head_count_kv"):
        getattr(writer, f"add_{name}")(2)
    writer.add_context_length(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([chr(ord("A") + place) for place in range(vocabulary - 1)] + ["AB"])
    writer.add_token_merges(["A B"])
    shapes = {"token_embd": (vocabulary, width), "output": (vocabulary, width), "output_norm": (width,)}
    shapes |= {f"blk.0.attn_{one}": (width, width) for one in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (64, width), "blk.0.ffn_up": (64, width), "blk.0.ffn_down": (width, 64)}
    shapes |= {"blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,)}
    for name, shape in shapes.items():
        weights = draw.normal(0, 0.3, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(f"{name}.weight", np.abs(weights) + np.float32(0.5))
        else:
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(weights, form), raw_dtype=form)
    for write in (
        writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close
    ):  # fmt: skip
        write()
    return path
