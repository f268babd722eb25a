"""Codes times scales, less zero points, in tensors of their own: TFLite, ONNX, torchao, compressed-tensors."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
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

CODES = {f"{sign}int{bits}": bits for sign in ("", "u") for bits in range(1, 9)} | {
    name: FLOAT_FORMATS[name].bits for name in ("fp4_e2m1", "fp6_e2m3", "fp8_e4m3", "fp8_e5m2")
}
"""Bits of the types of codes and zero points."""
# Bits of the words that packed codes lie in: they fill whole ones.
_WORD = 32
_ROUNDED = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Layout(NamedTuple):
    """What a weight of codes and scales looks like.

    Attributes:
        shape: of the weight.
        grid: scales along each dimension, a divisor of its size; 1 where all share one.
        codes: their type, a key of `CODES`.
        scales: their type, a key of `FLOAT_FORMATS`.
        zeros: type of the zero points; None where there are none.
        offset: what is subtracted from each code, and each zero point, beside them.
        values: type to which weights are rounded; that of the scales if not given.
        packed: whether rows of codes, and columns of zero points, are filled up to 32 bits.
        divided: whether all scales are divided by one number more, of float32.
        name: of the format; that of the codes if not given.
    """

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    codes: str
    scales: str
    zeros: str | None = None
    offset: int = 0
    values: str | None = None
    packed: bool = False
    divided: bool = False
    name: str | None = None


def scaled_codes(source: Source, name: str, layout: Layout, offsets: Sequence[int]) -> CheckpointTensor:
    """A weight of a file.

    Args:
        source: the file.
        name: of the weight.
        layout: what it looks like.
        offsets: where codes, scales, and zero points and the divisor of the scales if there are any, begin in the file.

    Raises:
        StoredFileError: if there are no weights, or the scales do not fit them.
    """
    shape, grid = layout.shape, layout.grid
    if not shape or not math.prod(shape) or len(grid) != len(shape) or any(map(_odd, shape, grid)):
        raise StoredFileError(f"{source.path} is damaged: {name} of shape {shape} has scales of shape {grid}")
    rows = _rows(layout)
    unit, units = _unit_format(layout._replace(shape=(rows, *shape[1:]), grid=_grid_of_unit(layout))), shape[0] // rows
    parts = [Part(offsets[0], units, _bytes(layout, unit.fields[0]))]
    for offset, field in zip(offsets[1:], unit.fields[1:], strict=True):
        # One scale for all first indices is shared by all units, and so is what divides them.
        own = units if grid[0] > 1 and not field.divides else 1
        parts.append(Part(offset, own, _bytes(layout, field)))
    return CheckpointTensor(name, shape, unit, tuple(parts), source)


def _odd(size: int, scales: int) -> bool:
    return scales < 1 or bool(size % scales)


def _rows(layout: Layout) -> int:
    """First indices of a unit: those that share scales, or more where codes of others begin inside a byte, or word."""
    grid, size = layout.grid, layout.shape[0]
    rows = size // grid[0] if grid[0] > 1 else 1
    if layout.packed:
        whole = rows if layout.zeros is None or grid[0] == 1 else rows * _WORD
        return whole if size % whole == 0 else size
    bits = [CODES[layout.codes] * rows * math.prod(layout.shape[1:])]
    bits += [CODES[layout.zeros] * math.prod(grid[1:])] if layout.zeros and grid[0] > 1 else []
    return rows if not any(one % 8 for one in bits) else size


def _grid_of_unit(layout: Layout) -> tuple[int, ...]:
    first = 1 if layout.grid[0] == 1 else layout.grid[0] * _rows(layout) // layout.shape[0]
    return first, *layout.grid[1:]


def _bytes(layout: Layout, field: Field) -> int:
    last = int(field.places.max()) + 1
    return (_filled(last) if layout.packed and field.name != "scales" else last + -last % 8) // 8


def _filled(bits: int) -> int:
    """Bits of whole words of 32."""
    return -(-bits // _WORD) * _WORD


# Weights of one layout share a format, so that they are one kind in what is shown.
@lru_cache(maxsize=256)
def _unit_format(layout: Layout) -> UnitFormat:
    """The format of a unit, which `layout` describes as if it were a weight."""
    weights, scales = math.prod(layout.shape), math.prod(layout.grid)
    scale_of: Integers = np.arange(scales, dtype=np.int64).reshape(layout.grid)
    for axis, (size, count) in enumerate(zip(layout.shape, layout.grid, strict=True)):
        scale_of = scale_of.repeat(size // count, axis)
    scale_of = scale_of.ravel()
    own, places = np.arange(weights, dtype=np.int64), in_a_row(0, scales, FLOAT_FORMATS[layout.scales].bits)
    fields = [
        _codes("codes", layout.codes, _places(layout, weights), own, layout.offset),
        Field("scales", layout.scales, places, None, scale_of, part=1),
    ]
    value: Value = Product(("scales", "codes"))
    if layout.zeros is not None:
        zeros = _codes("zero points", layout.zeros, _places_of_zeros(layout, scales), scale_of, layout.offset)
        fields.append(replace(zeros, part=2))
        value = Product(("scales", Sum(("codes", "zero points"))))
    if layout.divided:
        all_of_one = np.zeros(weights, dtype=np.int64)
        divisor = Field("divisor", "fp32", in_a_row(0, 1, 32), None, all_of_one, part=len(fields), divides=True)
        fields.append(divisor)
        value = Product((value, "divisor"))
    name, rounded = layout.name or layout.codes.upper(), _ROUNDED[layout.values or layout.scales]
    return UnitFormat(name, weights, tuple(fields), value, _dequantiser(tuple(fields), value, rounded))


def _codes(name: str, kind: str, places: Integers, word_of: Integers, offset: int) -> Field:
    """Codes, or zero points, whose values are what is added to the codes."""
    if kind in FLOAT_FORMATS:
        return Field(name, kind, places, None, word_of)
    levels: Floats = (integers if kind.startswith("u") else twos_complement)(CODES[kind]) - offset
    return Field(name, "integer", places, -levels if name == "zero points" else levels, word_of)


def _places(layout: Layout, weights: int) -> Integers:
    bits = CODES[layout.codes]
    places = in_a_row(0, weights, bits)
    columns = layout.shape[-1]
    wasted = _filled(columns * bits) - columns * bits if layout.packed else 0
    return places + wasted * (np.arange(weights, dtype=np.int64) // columns)[:, None]


def _places_of_zeros(layout: Layout, count: int) -> Integers:
    bits = CODES[str(layout.zeros)]
    if not layout.packed:
        return in_a_row(0, count, bits)
    row, column = np.divmod(np.arange(count, dtype=np.int64), layout.grid[-1])
    # Packed down the columns: bit b of the numbers of a column lies in word b div 32 of that column.
    bit = row[:, None] * bits + np.arange(bits)
    return (bit // _WORD * layout.grid[-1] + column[:, None]) * _WORD + bit % _WORD


def _dequantiser(
    fields: tuple[Field, ...], value: Value, dtype: torch.dtype
) -> Callable[[Sequence[Bytes]], NDArray[np.float32]]:
    """Scale times code, rounded once: the product of so few bits is exact before that."""
    divided = any(field.divides for field in fields)

    def dequantise(parts: Sequence[Bytes]) -> NDArray[np.float32]:
        values = {one.name: values_of_weights(one, one.words(parts[one.part]), "keep") for one in fields}
        with np.errstate(all="ignore"):
            if "e8m0" in (one.meaning for one in fields):
                # The last word, no number by the standard, is 2**128 to compressed-tensors, beyond BF16.
                values["scales"] = np.nan_to_num(values["scales"], nan=np.inf)
            if divided:
                # As the library divides, in float32, which comes before the product.
                scales = (values["scales"] * values["divisor"]).astype(np.float32)
                values |= {"scales": scales.astype(np.float64), "divisor": np.ones(1)}
            found = torch.from_numpy(np.asarray(combined(value, values)))
        return np.asarray((found.float() if divided else found).to(dtype).float().numpy())

    return dequantise
