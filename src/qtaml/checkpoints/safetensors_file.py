"""safetensors files: floats of any width, tensor by tensor."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray

from qtaml import _files
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor, Part, Source
from qtaml.checkpoints.fields import Bytes, Field, each, in_a_row
from qtaml.checkpoints.packed_weights import Entry, packed_weights
from qtaml.checkpoints.torchao_weights import NAMES, torchao_weights
from qtaml.checkpoints.unit_format import UnitFormat
from qtaml.errors import StoredFileError
from qtaml.formats import FLOAT_FORMATS

_KINDS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "F8_E4M3": "fp8_e4m3", "F8_E5M2": "fp8_e5m2"}
_DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}


def read_safetensors(source: Source) -> Checkpoint:
    """The tensors of a safetensors file.

    Args:
        source: the file.

    Raises:
        StoredFileError: if the file is damaged or truncated.
    """
    entries, metadata = header_of(source)
    if NAMES in metadata:
        tensors, others, taken = torchao_weights(entries, metadata, source)
    else:
        tensors, others, taken = packed_weights(entries, source)
    for name, (dtype, shape, offset) in entries.items():
        if name in taken:
            continue
        if dtype not in _KINDS:
            others[name] = f"{dtype} is not read; {', '.join(_KINDS)} are"
        elif not math.prod(shape):
            others[name] = "it holds no weights"
        else:
            unit = float_format(_KINDS[dtype])
            part = Part(offset, math.prod(shape), unit.fields[0].bits // 8)
            tensors.append(CheckpointTensor(name, shape, unit, (part,), source))
    return Checkpoint(source, "safetensors", tensors, others)


def header_of(source: Source) -> tuple[dict[str, Entry], dict[str, str]]:
    """The tensors of a safetensors file, and where they lie in it; and its metadata.

    Raises:
        StoredFileError: if the file is damaged or truncated.
    """
    try:
        # The library checks the header: sizes, gaps, overlaps, names. What it does not tell is where tensors lie.
        with safetensors.safe_open(source.path, framework="numpy"):
            pass
        with _files.open_regular(source.path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length), object_pairs_hook=_each_once)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        if isinstance(error, StoredFileError):
            raise
        raise StoredFileError(f"cannot read {source.path}: {error}") from error
    metadata = header.pop("__metadata__", None) or {}
    entries = {
        name: Entry(one["dtype"], tuple(one["shape"]), 8 + length + one["data_offsets"][0])
        for name, one in header.items()
    }
    return entries, metadata


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # The library takes the last of several, and says nothing.
    found = dict(pairs)
    if len(found) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"its header has two entries of one name: {name!r}")
    return found


@cache
def float_format(kind: str) -> UnitFormat:
    """A float word for each weight; values as torch reads them.

    Args:
        kind: "fp32", "fp16", "bf16", "fp8_e4m3" or "fp8_e5m2".
    """
    field = Field("words", kind, in_a_row(0, 1, FLOAT_FORMATS[kind].bits), None, each(1, 1))
    return UnitFormat(kind.upper(), 1, (field,), "words", _read_as(_DTYPES[kind]))


def _read_as(dtype: torch.dtype) -> Callable[[Sequence[Bytes]], NDArray[np.float32]]:
    def dequantise(parts: Sequence[Bytes]) -> NDArray[np.float32]:
        (units,) = parts
        raw = torch.from_numpy(np.ascontiguousarray(units))
        return np.asarray(raw.view(dtype).float().numpy(), dtype=np.float32)

    return dequantise
