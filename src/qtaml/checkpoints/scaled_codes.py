"""Codes times scales, less zero points: what TFLite, ONNX and torchao hold, in tensors of their own."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.checkpoints.checkpoint_file import CheckpointTensor, Part, Source
from qtaml.checkpoints.fields import (
    Bytes,
    Field,
    Floats,
    Integers,
    Product,
    Sum,
    Value,
    in_a_row,
    integers,
    twos_complement,
)
from qtaml.checkpoints.unit_format import UnitFormat, combined
from qtaml.checkpoints.word_law import values_of_weights
from qtaml.errors import StoredFileError
from qtaml.formats import FLOAT_FORMATS

CODES = {"int8": 8, "uint8": 8, "int4": 4, "uint4": 4, "fp8_e4m3": 8, "fp8_e5m2": 8}
"""Bits of the types of codes and zero points."""
_ROUNDED = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Layout(NamedTuple):
    """What a weight of codes and scales looks like.

    Attributes:
        shape: of the weight.
        grid: scales along each dimension, a divisor of its size; 1 where all share one.
        codes: their type, a key of `CODES`.
        scales: their type: "fp32", "fp16" or "bf16".
        zeros: type of the zero points; None where there are none.
        offset: what is subtracted from each code beside them.
        values: type to which weights are rounded; that of the scales if not given.
    """

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    codes: str
    scales: str
    zeros: str | None = None
    offset: int = 0
    values: str | None = None


def scaled_codes(source: Source, name: str, layout: Layout, offsets: Sequence[int]) -> CheckpointTensor:
    """A weight of a file.

    Args:
        source: the file.
        name: of the weight.
        layout: what it looks like.
        offsets: where codes, scales, and zero points if there are any, begin in the file.

    Raises:
        StoredFileError: if there are no weights, or the scales do not fit them.
    """
    shape, grid = layout.shape, layout.grid
    if not shape or not math.prod(shape) or len(grid) != len(shape) or any(map(_odd, shape, grid)):
        raise StoredFileError(f"{source.path} is damaged: {name} of shape {shape} has scales of shape {grid}")
    rows = _rows(layout)
    unit, units = _unit_format(layout._replace(shape=(rows, *shape[1:]), grid=_grid_of_unit(layout))), shape[0] // rows
    parts = [Part(offsets[0], units, _bytes(unit.fields[0]))]
    # One scale for all first indices is shared by all units.
    own = units if grid[0] > 1 else 1
    parts += [Part(offset, own, _bytes(field)) for offset, field in zip(offsets[1:], unit.fields[1:], strict=True)]
    return CheckpointTensor(name, shape, unit, tuple(parts), source)


def _odd(size: int, scales: int) -> bool:
    return scales < 1 or bool(size % scales)


def _rows(layout: Layout) -> int:
    """First indices of a unit: those that share scales, or all of them where codes of others begin inside a byte."""
    rows = layout.shape[0] // layout.grid[0] if layout.grid[0] > 1 else 1
    bits = [CODES[layout.codes] * rows * math.prod(layout.shape[1:])]
    bits += [CODES[layout.zeros] * math.prod(layout.grid[1:])] if layout.zeros and layout.grid[0] > 1 else []
    return rows if not any(one % 8 for one in bits) else layout.shape[0]


def _grid_of_unit(layout: Layout) -> tuple[int, ...]:
    first = 1 if layout.grid[0] == 1 else layout.grid[0] * _rows(layout) // layout.shape[0]
    return first, *layout.grid[1:]


def _bytes(field: Field) -> int:
    return -(-field.places.size // 8)


# Weights of one layout share a format, so that they are one kind in what is shown.
@lru_cache(maxsize=256)
def _unit_format(layout: Layout) -> UnitFormat:
    """The format of a unit, which `layout` describes as if it were a weight."""
    weights, scales = math.prod(layout.shape), math.prod(layout.grid)
    scale_of: Integers = np.arange(scales, dtype=np.int64).reshape(layout.grid)
    for axis, (size, count) in enumerate(zip(layout.shape, layout.grid, strict=True)):
        scale_of = scale_of.repeat(size // count, axis)
    scale_of = scale_of.ravel()
    form = FLOAT_FORMATS[layout.scales]
    fields = [
        _codes("codes", layout.codes, np.arange(weights, dtype=np.int64), weights, 0, layout.offset),
        Field("scales", layout.scales, in_a_row(0, scales, form.bits), None, scale_of, part=1),
    ]
    value: Value = Product(("scales", "codes"))
    if layout.zeros is not None:
        fields.append(_codes("zero points", layout.zeros, scale_of, scales, 2))
        value = Product(("scales", Sum(("codes", "zero points"))))
    return UnitFormat(
        layout.codes.upper(),
        weights,
        tuple(fields),
        value,
        _dequantiser(tuple(fields), value, _ROUNDED[layout.values or layout.scales]),
    )


def _codes(name: str, kind: str, word_of: Integers, words: int, part: int, offset: int = 0) -> Field:
    """Codes, or zero points, whose values are what is added to the codes."""
    bits, levels = CODES[kind], None
    if kind not in FLOAT_FORMATS:
        plain: Floats = integers(bits) if kind.startswith("u") else twos_complement(bits)
        levels = -plain if name == "zero points" else plain - offset
    return Field(name, kind if levels is None else "integer", in_a_row(0, words, bits), levels, word_of, part=part)


def _dequantiser(
    fields: tuple[Field, ...], value: Value, dtype: torch.dtype
) -> Callable[[Sequence[Bytes]], NDArray[np.float32]]:
    """Scale times code, rounded once: the product of so few bits is exact before that."""

    def dequantise(parts: Sequence[Bytes]) -> NDArray[np.float32]:
        values = {one.name: values_of_weights(one, one.words(parts[one.part]), "keep") for one in fields}
        with np.errstate(all="ignore"):
            found = torch.from_numpy(np.asarray(combined(value, values)))
        return np.asarray(found.to(dtype).float().numpy())

    return dequantise
