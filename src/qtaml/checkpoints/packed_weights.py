"""Weights of compressed-tensors: codes, scales and zero points in tensors of their own of a safetensors file."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.checkpoints.checkpoint_file import CheckpointTensor, Part, Source
from qtaml.checkpoints.fields import Bytes, Field, Product, Sum, Value, in_a_row, integers, twos_complement
from qtaml.checkpoints.unit_format import UnitFormat
from qtaml.errors import QtamlError, StoredFileError

PACKED, PLAIN, SCALE, ZERO, SHAPE = ".weight_packed", ".weight", ".weight_scale", ".weight_zero_point", ".weight_shape"
_SCALES = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}
_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}
# Bits of codes in words of 32 bits: zero points of so many rows fill whole words, whatever their bits.
_WORD = 32


class Entry(NamedTuple):
    """A tensor of a safetensors file.

    Attributes:
        dtype: as the file calls it.
        shape: of the tensor.
        offset: of its first byte in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int


class _Layout(NamedTuple):
    """What units of a weight look like: the key under which weights share a format.

    Attributes:
        bits: of a code; 8 for FP8.
        packed: whether codes lie in words of 32 bits.
        floating: whether a code is FP8 E4M3.
        scale: dtype of the scales.
        rows: of weights in a unit.
        columns: of weights in a row.
        scale_rows: rows of scales of a unit.
        scale_columns: scales of a row.
        shared: whether one scale is that of the whole tensor.
        zero: whether there are zero points.
    """

    bits: int
    packed: bool
    floating: bool
    scale: str
    rows: int
    columns: int
    scale_rows: int
    scale_columns: int
    shared: bool
    zero: bool


def packed_weights(
    entries: Mapping[str, Entry], source: Source
) -> tuple[list[CheckpointTensor], dict[str, str], set[str]]:
    """Weights that are stored in several tensors of a file.

    Args:
        entries: all tensors of the file.
        source: the file.

    Returns:
        (weights, why others are left as they are, names of the tensors that are taken by both).

    Raises:
        StoredFileError: if the tensors of a weight do not fit each other.
        QtamlError: if `compressed_tensors` is not installed.
    """
    found, others, taken = list[CheckpointTensor](), dict[str, str](), set[str]()
    for name, entry in entries.items():
        stem = next((name.removesuffix(end) for end in (PACKED, PLAIN) if name.endswith(end)), None)
        if stem is None or not any(part.startswith(f"{stem}{SCALE}") for part in entries):
            continue
        parts = {part: one for part, one in entries.items() if part.startswith((f"{stem}.weight", f"{stem}.input_"))}
        taken |= parts.keys()
        if why := _not_read(stem, entry, parts):
            others[name] = why
        else:
            found.append(_weight(stem, name, parts, source))
    return found, others, taken


def _not_read(stem: str, entry: Entry, parts: Mapping[str, Entry]) -> str:
    """Why a weight is left as it is; empty if it is read."""
    known = {stem + end for end in (PACKED, PLAIN, SCALE, ZERO, SHAPE)}
    if unknown := sorted(part for part in parts if part not in known and not part.startswith(f"{stem}.input_")):
        return f"its values need {', '.join(unknown)}, which are not read"
    scale = parts.get(stem + SCALE)
    if scale is None or scale.dtype not in _SCALES:
        return f"its scales are {scale.dtype if scale else 'missing'}; {', '.join(_SCALES)} are read"
    packed = stem + PACKED in parts
    if stem + ZERO in parts and parts[stem + ZERO].dtype != ("I32" if packed else "I8"):
        return f"its zero points are {parts[stem + ZERO].dtype}; {'I32' if packed else 'I8'} are read"
    if packed:
        return "" if entry.dtype == "I32" and stem + SHAPE in parts else "its words are not those of pack-quantized"
    return "" if entry.dtype in ("I8", "F8_E4M3") else f"{entry.dtype} with scales is not read; I8 and F8_E4M3 are"


def _weight(stem: str, name: str, entries: Mapping[str, Entry], source: Source) -> CheckpointTensor:
    codes, scale, zero = entries[name], entries[stem + SCALE], entries.get(stem + ZERO)
    packed = name.endswith(PACKED)
    shape = _shape(source, entries[stem + SHAPE]) if packed else codes.shape
    if len(shape) != 2 or len(codes.shape) != 2 or min(shape) < 1 or codes.shape[0] != shape[0]:
        raise _unfit(source, stem, f"shape {shape}, codes of shape {codes.shape}")
    rows, columns = shape
    bits = _bits(source, stem, codes.shape[1], columns) if packed else 8
    grid = (*scale.shape, 1, 1)[:2] if math.prod(scale.shape) > 1 else (1, 1)
    if rows % grid[0] or columns % grid[1]:
        raise _unfit(source, stem, f"shape {shape}, scales of shape {scale.shape}")
    shared = grid[0] == 1
    # A unit has whole rows of scales, and of zero points, which are packed down the columns.
    unit = 1 if shared else rows // grid[0]
    if zero is not None and packed:
        unit = math.lcm(unit, _WORD) if rows % math.lcm(unit, _WORD) == 0 else rows
    scale_rows = 1 if shared else unit * grid[0] // rows
    layout = _Layout(
        *(bits, packed, codes.dtype == "F8_E4M3", scale.dtype, unit, columns, scale_rows, grid[1], shared),
        zero is not None,
    )
    units = rows // unit
    width = scale_rows * grid[1]
    parts = [Part(codes.offset, units, unit * codes.shape[1] * (4 if packed else 1))]
    parts.append(Part(scale.offset, 1 if shared else units, width * _DTYPES[scale.dtype].itemsize))
    if zero is not None:
        size = _zero_bytes(layout)
        if math.prod(zero.shape) * (4 if packed else 1) != (1 if shared else units) * size:
            raise _unfit(source, stem, f"scales of shape {scale.shape}, zero points of shape {zero.shape}")
        parts.append(Part(zero.offset, 1 if shared else units, size))
    return CheckpointTensor(f"{stem}{PLAIN}", shape, _unit_format(layout), tuple(parts), source)


def _unfit(source: Source, stem: str, why: str) -> StoredFileError:
    return StoredFileError(f"{source.path} is damaged: the parts of {stem}{PLAIN} do not fit each other: {why}")


def _shape(source: Source, entry: Entry) -> tuple[int, ...]:
    if entry.dtype != "I64" or entry.shape != (2,):
        raise StoredFileError(
            f"{source.path} is damaged: a weight_shape must be two I64, got {entry.dtype} {entry.shape}"
        )
    return tuple(source.read(entry.offset, 16).view("<i8").tolist())


def _bits(source: Source, stem: str, words: int, columns: int) -> int:
    """Bits of a code, from the words of a row."""
    found = [bits for bits in range(1, 9) if -(-columns * bits // _WORD) == words]
    if len(found) != 1:
        raise _unfit(source, stem, f"rows of {columns} codes in {words} words")
    return found[0]


def _zero_bytes(layout: _Layout) -> int:
    """Bytes of the zero points of a unit."""
    if not layout.packed:
        return layout.scale_rows * layout.scale_columns
    return 4 * -(-layout.scale_rows * layout.bits // _WORD) * layout.scale_columns


# Weights of one layout share a format, so that they are one kind in what is shown.
@lru_cache(maxsize=256)
def _unit_format(layout: _Layout) -> UnitFormat:
    weights = layout.rows * layout.columns
    row, column = np.divmod(np.arange(weights, dtype=np.int64), layout.columns)
    scale_of = row * layout.scale_rows // layout.rows * layout.scale_columns
    scale_of += column * layout.scale_columns // layout.columns
    scales = layout.scale_rows * layout.scale_columns
    bits = 8 * _DTYPES[layout.scale].itemsize
    fields = [_codes(layout), Field("scales", _SCALES[layout.scale], in_a_row(0, scales, bits), None, scale_of, part=1)]
    value: Value = Product(("scales", "codes"))
    if layout.zero:
        fields.append(_zeros(layout, scale_of))
        value = Product(("scales", Sum(("codes", "zero points"))))
    return UnitFormat(_name(layout), weights, tuple(fields), value, _dequantiser(layout))


def _name(layout: _Layout) -> str:
    shared = layout.rows * layout.columns // (layout.scale_rows * layout.scale_columns)
    kind = "FP8" if layout.floating else f"INT{layout.bits}"
    return f"{kind}, {'one scale' if layout.shared and layout.scale_columns == 1 else f'scales of {shared}'}"


def _codes(layout: _Layout) -> Field:
    weights = layout.rows * layout.columns
    own = np.arange(weights, dtype=np.int64)
    if not layout.packed:
        return Field(
            *("codes", "fp8_e4m3" if layout.floating else "integer", in_a_row(0, weights, 8)),
            *(None if layout.floating else twos_complement(8), own),
        )
    words = -(-layout.columns * layout.bits // _WORD)
    row, column = np.divmod(own, layout.columns)
    places = (row * words * _WORD + column * layout.bits)[:, None] + np.arange(layout.bits)
    return Field("codes", "integer", places, integers(layout.bits, -(2 ** (layout.bits - 1))), own)


def _zeros(layout: _Layout, scale_of: NDArray[np.int64]) -> Field:
    """Zero points, whose values are what is added to the codes."""
    count = layout.scale_rows * layout.scale_columns
    if not layout.packed:
        return Field("zero points", "integer", in_a_row(0, count, 8), -twos_complement(8), scale_of, part=2)
    row, column = np.divmod(np.arange(count, dtype=np.int64), layout.scale_columns)
    # Packed down the columns: bit b of the numbers of a column lies in word b div 32 of that column.
    bit = row[:, None] * layout.bits + np.arange(layout.bits)
    places = (bit // _WORD * layout.scale_columns + column[:, None]) * _WORD + bit % _WORD
    levels = integers(layout.bits, 2 ** (layout.bits - 1), step=-1)
    return Field("zero points", "integer", places, levels, scale_of, part=2)


def _dequantiser(layout: _Layout) -> Callable[[Sequence[Bytes]], NDArray[np.float32]]:
    """Values as the library's own `decompress` gives them, in the type of the scales."""
    compressor, scheme = _library(layout)

    def dequantise(parts: Sequence[Bytes]) -> NDArray[np.float32]:
        with np.errstate(all="ignore"):
            state = _state(layout, parts)
            return np.asarray(compressor.decompress(state, scheme)["weight"].float().reshape(len(parts[0]), -1).numpy())

    return dequantise


def _library(layout: _Layout) -> tuple[Any, Any]:
    try:
        from compressed_tensors.compressors import BaseCompressor
        from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    except ImportError as error:
        raise QtamlError(
            "weights with scales need compressed-tensors: pip install 'qtaml[compressed-tensors]'"
        ) from error
    columns = layout.columns // layout.scale_columns
    settings: dict[str, Any] = {"strategy": "tensor"}
    if not layout.shared or layout.scale_columns > 1:
        rows = layout.rows // layout.scale_rows
        settings = (
            {"strategy": "channel"} if layout.scale_columns == 1 else {"strategy": "group", "group_size": columns}
        )
        if rows > 1:
            settings = {"strategy": "block", "block_structure": [rows, columns]}
    arguments = QuantizationArgs(
        num_bits=layout.bits, type="float" if layout.floating else "int", symmetric=not layout.zero, **settings
    )
    kind = "pack-quantized" if layout.packed else "naive-quantized"
    scheme = QuantizationScheme(targets=["Linear"], weights=arguments)
    return BaseCompressor.get_value_from_registry(kind), scheme


def _state(layout: _Layout, parts: Sequence[Bytes]) -> dict[str, torch.Tensor]:
    """The tensors of a weight that has the rows of some units only."""
    units = len(parts[0])
    rows, scale_rows = units * layout.rows, (1 if layout.shared else units) * layout.scale_rows
    raw = [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]
    scale = raw[1].view(_DTYPES[layout.scale]).reshape(scale_rows, layout.scale_columns)
    if layout.shared and layout.scale_columns == 1:
        scale = scale.reshape(1)
    state = {"weight_scale": scale}
    if layout.packed:
        state["weight_packed"] = raw[0].view(torch.int32).reshape(rows, -1)
        state["weight_shape"] = torch.tensor([rows, layout.columns])
    else:
        state["weight"] = raw[0].view(torch.float8_e4m3fn if layout.floating else torch.int8).reshape(rows, -1)
    if layout.zero:
        zero = raw[2].view(torch.int32 if layout.packed else torch.int8)
        state["weight_zero_point"] = (
            zero.reshape(-1, layout.scale_columns) if layout.scale_columns > 1 else zero.reshape(-1, 1)
        )
    return state
