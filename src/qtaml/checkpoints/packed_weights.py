"""Weights of compressed-tensors: codes, scales and zero points in tensors of their own of a safetensors file."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from qtaml.checkpoints.checkpoint_file import CheckpointTensor, Source
from qtaml.checkpoints.scaled_codes import Layout, scaled_codes
from qtaml.errors import StoredFileError

PACKED, PLAIN, SCALE, ZERO, SHAPE = "weight_packed", "weight", "weight_scale", "weight_zero_point", "weight_shape"
DIVISOR = "weight_global_scale"
_FLOATS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "I8": 1, "U8": 1, "F8_E4M3": 1}
# Of microscaling formats a scale of 8 bits, a power of two, is that of so many weights in a row.
_MX_WEIGHTS = 32
_BLOCKS = {2**power for power in range(20)}
"""Rows and columns of blocks."""


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
    """
    found, others, taken = list[CheckpointTensor](), dict[str, str](), set[str]()
    modules = defaultdict[str, dict[str, Entry]](dict)
    for name, entry in entries.items():
        module, dot, last = name.rpartition(".")
        if last.startswith(("weight", "input_")):
            modules[module + dot][last] = entry
    for module, parts in modules.items():
        codes = next((one for one in (PACKED, PLAIN) if one in parts), None)
        if codes is None or not any(one.startswith(SCALE) for one in parts):
            continue
        if codes == PACKED and PLAIN in parts:
            raise StoredFileError(f"{source.path} holds two tensors of one name: {module + PLAIN!r}, packed and plain")
        taken |= {module + one for one in parts}
        made = _weight(module, parts[codes], parts, source)
        if isinstance(made, str):
            others[module + codes] = made
        else:
            found.append(made)
    return found, others, taken


def _weight(module: str, codes: Entry, parts: Mapping[str, Entry], source: Source) -> CheckpointTensor | str:
    """A weight, or why it is left as it is."""
    known, name = {PACKED, PLAIN, SCALE, ZERO, SHAPE, DIVISOR}, module + PLAIN
    if unknown := sorted(module + one for one in parts if one not in known and not one.startswith("input_")):
        return f"its values need {', '.join(unknown)}, which are not read"
    scale, zero, divisor = (parts.get(part) for part in (SCALE, ZERO, DIVISOR))
    if scale is None:
        return f"its scales are missing; {', '.join(_FLOATS)}, U8 and F8_E4M3 are read"
    form = _form(name, codes, scale, parts, source)
    if isinstance(form, str):
        return form
    if divisor is not None and (not form.divided or divisor.dtype != "F32"):
        return f"its values need a global scale, {divisor.dtype} beside scales of {scale.dtype}, which is not read"
    if zero is not None and zero.dtype != (wanted := {"I32": "I32", "I8": "I8"}.get(codes.dtype, "none")):
        return f"its zero points are {zero.dtype} beside {codes.dtype}; {wanted} are read"
    zeros = None if zero is None else form.codes
    layout = form._replace(zeros=zeros, divided=divisor is not None)
    stored = [one for one in (codes, scale, zero, divisor) if one is not None]
    made = scaled_codes(source, name, layout, [one.offset for one in stored])
    for one, part in zip(stored, made.parts, strict=True):
        if math.prod(one.shape) * _BYTES[one.dtype] != part.units * part.width:
            told = ", ".join(f"{other.dtype} {list(other.shape)}" for other in stored)
            raise _unfit(source, name, f"weights of shape {list(made.shape)} in {told}")
    return made


def _form(name: str, codes: Entry, scale: Entry, parts: Mapping[str, Entry], source: Source) -> Layout | str:
    """What codes and scales of these types are, as if there were no zero points; or why they are not read."""
    packed, kinds = PACKED in parts, (codes.dtype, scale.dtype)
    if len(codes.shape) != 2 or min(codes.shape) < 1:
        raise _unfit(source, name, f"codes of shape {list(codes.shape)}")
    rows, columns = codes.shape
    if packed and codes.dtype == "I32" and scale.dtype in _FLOATS and SHAPE in parts:
        shape = _shape(source, parts[SHAPE])
        if shape[0] != rows:
            raise _unfit(source, name, f"shape {list(shape)}, codes of shape {list(codes.shape)}")
        bits = _bits(source, name, columns, shape[1])
        form = Layout(shape, (1, 1), f"uint{bits}", _FLOATS[scale.dtype], offset=2 ** (bits - 1), packed=True)
        kind = f"INT{bits}"
    elif packed and kinds == ("U8", "F8_E4M3"):
        form, kind = Layout((rows, 2 * columns), (1, 1), "fp4_e2m1", "fp8_e4m3", values="bf16", divided=True), "NVFP4"
    elif packed and kinds == ("U8", "U8"):
        # 4 bits, or 6, of so many weights for each scale.
        bits = 8 * columns // (_MX_WEIGHTS * (scale.shape[-1] if scale.shape else 1))
        if bits not in (4, 6):
            raise _unfit(source, name, f"rows of {columns} bytes with scales of shape {list(scale.shape)}")
        of_codes = "fp4_e2m1" if bits == 4 else "fp6_e2m3"
        form, kind = Layout((rows, 8 * columns // bits), (1, 1), of_codes, "e8m0", values="bf16"), f"MXFP{bits}"
    elif not packed and kinds == ("F8_E4M3", "U8"):
        form, kind = Layout(codes.shape, (1, 1), "fp8_e4m3", "e8m0", values="bf16"), "MXFP8"
    elif not packed and codes.dtype in ("I8", "F8_E4M3") and scale.dtype in _FLOATS:
        of_codes, kind = ("int8", "INT8") if codes.dtype == "I8" else ("fp8_e4m3", "FP8")
        form = Layout(codes.shape, (1, 1), of_codes, _FLOATS[scale.dtype])
    else:
        return f"{codes.dtype} {'packed ' if packed else ''}with scales of {scale.dtype} is no format that is read"
    grid = (*scale.shape, 1, 1)[:2] if math.prod(scale.shape) > 1 else (1, 1)
    # Last blocks may be smaller. Of powers of two then no equal parts are one, but of a single block.
    blocks = [size / count for size, count in zip(form.shape, grid, strict=True) if count > 1]
    if not packed and grid[0] < form.shape[0] and any(block not in _BLOCKS for block in blocks):
        return f"its scales of shape {list(scale.shape)} may be those of blocks of which the last are smaller"
    if form.shape[0] % grid[0] or form.shape[1] % grid[1]:
        raise _unfit(source, name, f"shape {list(form.shape)}, scales of shape {list(scale.shape)}")
    return form._replace(grid=grid, name=_named(kind, form.shape, grid))


def _named(kind: str, shape: tuple[int, ...], grid: tuple[int, ...]) -> str:
    if kind.startswith(("NV", "MX")):
        return kind
    shared = math.prod(shape) // math.prod(grid)
    return f"{kind}, {'one scale' if math.prod(grid) == 1 else f'scales of {shared}'}"


def _unfit(source: Source, name: str, why: str) -> StoredFileError:
    return StoredFileError(f"{source.path} is damaged: the parts of {name} do not fit each other: {why}")


def _shape(source: Source, entry: Entry) -> tuple[int, ...]:
    if entry.dtype != "I64" or entry.shape != (2,):
        raise StoredFileError(
            f"{source.path} is damaged: a weight_shape must be two I64, got {entry.dtype} {entry.shape}"
        )
    return tuple(source.read(entry.offset, 16).view("<i8").tolist())


def _bits(source: Source, name: str, words: int, columns: int) -> int:
    """Bits of a code, from the words of 32 bits of a row."""
    found = [bits for bits in range(1, 9) if -(-columns * bits // 32) == words]
    if len(found) != 1:
        raise _unfit(source, name, f"rows of {columns} codes in {words} words")
    return found[0]
