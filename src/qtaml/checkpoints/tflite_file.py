"""TFLite files: constant tensors of INT8 with their scales, and of floats, where they lie in the flatbuffer."""

import math

import numpy as np

from qtaml import _files
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor, Part, Source
from qtaml.checkpoints.safetensors_file import float_format
from qtaml.checkpoints.scaled_codes import Layout, scaled_codes
from qtaml.networks.tflite_reading import TfliteConstant, tflite_constants

_FLOATS = {"FLOAT32": "fp32", "FLOAT16": "fp16"}


def read_tflite(source: Source) -> Checkpoint:
    """The constant tensors of a TFLite file.

    Args:
        source: the file.

    Raises:
        StoredFileError: if the file is damaged or truncated.
        QtamlError: if `tflite` is not installed.
    """
    with _files.open_regular(source.path) as file:
        content = np.memmap(file, dtype=np.uint8, mode="r")
    tensors, others = list[CheckpointTensor](), dict[str, str]()
    for one in tflite_constants(content, source.path):
        if one.kind in _FLOATS:
            unit = float_format(_FLOATS[one.kind])
            part = Part(one.offset, math.prod(one.shape), unit.fields[0].bits // 8)
            one.check_size(source.path, 8 * part.width)
            tensors.append(CheckpointTensor(one.name, one.shape, unit, (part,), source))
        elif one.kind != "INT8" or not len(one.scales) or not one.shape:
            others[one.name] = f"{one.kind} is not read; FLOAT32, FLOAT16, and INT8 with scales are"
        elif one.zeros.any():
            others[one.name] = "zero points other than 0 are not read"
        else:
            one.check_size(source.path, 8)
            tensors.append(_codes(source, one))
    return Checkpoint(source, "TFLite", tensors, others)


def _codes(source: Source, one: TfliteConstant) -> CheckpointTensor:
    """Codes with their scales: one for each index along an axis, or one for all."""
    grid = [1] * len(one.shape)
    if len(one.scales) > 1:
        grid[one.axis] = len(one.scales)
    return scaled_codes(
        source, one.name, Layout(one.shape, tuple(grid), "int8", "fp32"), (one.offset, one.scales_offset)
    )
