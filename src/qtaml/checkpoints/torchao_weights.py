"""Weights of torchao, as its `flatten_tensor_state_dict` puts them into a safetensors file: codes and scales."""

import json
import math
from collections.abc import Mapping
from typing import Any

from qtaml.checkpoints.checkpoint_file import CheckpointTensor, Source
from qtaml.checkpoints.packed_weights import Entry
from qtaml.checkpoints.scaled_codes import Layout, scaled_codes
from qtaml.errors import StoredFileError

NAMES = "tensor_names"
"""Key of the metadata that torchao writes."""
# Types of codes, as the file calls them, of each class of tensors.
_CLASSES = {"Int8Tensor": "I8", "IntxUnpackedToInt8Tensor": "I8", "Float8Tensor": "F8_E4M3"}
_KINDS = {"I8": "int8", "F8_E4M3": "fp8_e4m3", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}
_VALUES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def torchao_weights(
    entries: Mapping[str, Entry], metadata: Mapping[str, str], source: Source
) -> tuple[list[CheckpointTensor], dict[str, str], set[str]]:
    """Weights that torchao has quantised.

    Args:
        entries: all tensors of the file.
        metadata: of the file.
        source: the file.

    Returns:
        (weights, why others are left as they are, names of the tensors that are taken by both).

    Raises:
        StoredFileError: if the metadata are damaged, or the tensors of a weight do not fit each other.
    """
    found, others, taken = list[CheckpointTensor](), dict[str, str](), set[str]()
    try:
        told = {name: json.loads(metadata[name]) for name in json.loads(metadata[NAMES])}
        kinds = {name: (str(one["_type"]), one.get("_data", {})) for name, one in told.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoredFileError(f"{source.path} is damaged: its metadata are not those of torchao ({error})") from error
    for name, (kind, data) in kinds.items():
        module, _, last = name.rpartition(".")
        stem = f"{module}._{last}_"
        parts = {part.removeprefix(stem): one for part, one in entries.items() if part.startswith(stem)}
        if kind == "Tensor" or not parts:
            continue
        taken |= {stem + part for part in parts}
        made = _weight(source, name, kind, data, parts)
        if isinstance(made, str):
            others[name] = made
        else:
            found.append(made)
    return found, others, taken


def _weight(
    source: Source, name: str, kind: str, data: Mapping[str, Any], parts: Mapping[str, Entry]
) -> CheckpointTensor | str:
    """A weight, or why it is left as it is."""
    if kind not in _CLASSES:
        return f"{kind} of torchao is not read; {', '.join(_CLASSES)} are"
    codes, scales, zeros = (parts.get(part) for part in ("qdata", "scale", "zero_point"))
    values = _VALUES.get(str((data.get("dtype") or {}).get("_data")))
    if codes is None or scales is None or codes.dtype != _CLASSES[kind] or values is None:
        return f"its tensors are not those of a {kind}"
    if scales.dtype not in ("F32", "F16", "BF16") or (zeros is not None and zeros.dtype != "I8"):
        return f"its scales are {scales.dtype}, its zero points {zeros.dtype if zeros else 'missing'}"
    grid = scales.shape if math.prod(scales.shape) > 1 else (1,) * len(codes.shape)
    if zeros is not None and zeros.shape != scales.shape:
        raise StoredFileError(f"{source.path} is damaged: {name} has zero points of shape {zeros.shape}")
    layout = Layout(codes.shape, grid, _KINDS[codes.dtype], _KINDS[scales.dtype], zeros and "int8", values=values)
    return scaled_codes(source, name, layout, [one.offset for one in (codes, scales, zeros) if one is not None])
