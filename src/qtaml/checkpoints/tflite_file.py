"""TFLite files: constant tensors of INT8 with their scales, and of floats, where they lie in the flatbuffer."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qtaml import _files
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor, Part, Source
from qtaml.checkpoints.fields import Bytes, Field, Product, in_a_row, twos_complement
from qtaml.checkpoints.safetensors_file import float_format
from qtaml.checkpoints.unit_format import UnitFormat
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
    """Codes with their scales: one for each first index lies beside its weights, any others are shared by all units."""
    scales = len(one.scales)
    own = scales > 1 and one.axis == 0
    unit = coded_format(one.shape[1:], 1 if own else scales, one.axis - 1 if scales > 1 and not own else -1)
    parts = (
        Part(one.offset, one.shape[0], unit.weights),
        Part(one.scales_offset, one.shape[0] if own else 1, 4 if own else 4 * scales),
    )
    return CheckpointTensor(one.name, one.shape, unit, parts, source)


@lru_cache(maxsize=256)
def coded_format(shape: tuple[int, ...], scales: int, axis: int) -> UnitFormat:
    """INT8 codes of one first index, with one scale, or one for each index along an axis."""
    weights = math.prod(shape)
    along = np.indices(shape or (1,))[axis].ravel() if axis >= 0 else np.zeros(weights, dtype=np.int64)
    codes = Field("codes", "integer", in_a_row(0, weights, 8), twos_complement(8), np.arange(weights, dtype=np.int64))
    scale = Field("scales", "fp32", in_a_row(0, scales, 32), None, along.astype(np.int64), part=1)
    return UnitFormat("INT8", weights, (codes, scale), Product(("scales", "codes")), _dequantiser(along))


def _dequantiser(along: NDArray[np.int64]) -> Callable[[Sequence[Bytes]], NDArray[np.float32]]:
    """Scale times code in float32, as TFLite's DEQUANTIZE."""

    def dequantise(parts: Sequence[Bytes]) -> NDArray[np.float32]:
        codes, scales = (np.ascontiguousarray(part) for part in parts)
        with np.errstate(all="ignore"):
            return np.asarray(codes.view(np.int8).astype(np.float32) * scales.view("<f4")[:, along])

    return dequantise
