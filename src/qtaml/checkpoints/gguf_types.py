"""Block formats of GGUF: where their fields lie. Values come from `gguf` itself."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from qtaml.checkpoints.fields import (
    Bytes,
    Field,
    Floats,
    Integers,
    Product,
    Sum,
    Value,
    each,
    in_a_row,
    integers,
    interleaved,
    table,
    twos_complement,
)
from qtaml.checkpoints.unit_format import UnitFormat
from qtaml.formats import FLOAT_FORMATS

_NIBBLES, _PAIRS = (0, 4), (0, 2, 4, 6)


def gguf_type(name: str) -> UnitFormat | None:
    """The block format of a type of GGUF; None for types that are not read. Needs `gguf`.

    Args:
        name: as `gguf.GGMLQuantizationType` calls it.
    """
    return _made(name) if name in _FORMATS else None


@cache
def _made(name: str) -> UnitFormat:
    weights, fields, value = _FORMATS[name]()
    return UnitFormat(name, weights, tuple(fields), value, _dequantiser(name))


def gguf_types() -> tuple[str, ...]:
    """Names of the types that are read."""
    return tuple(_FORMATS)


def _dequantiser(name: str) -> Callable[[Sequence[Bytes]], NDArray[np.float32]]:
    import gguf

    kind = gguf.GGMLQuantizationType[name]

    def dequantise(parts: Sequence[Bytes]) -> NDArray[np.float32]:
        (units,) = parts
        # A type of a damaged scale overflows on purpose: the rule for infinity is the reader's.
        with np.errstate(all="ignore"):
            found = gguf.quants.dequantize(np.ascontiguousarray(units), kind)
        return np.asarray(found, dtype=np.float32).reshape(len(units), -1)

    return dequantise


_Made = tuple[int, list[Field], Value]


def _float(name: str, byte: int, weights: int) -> Field:
    """One scale of 16 bits for a whole unit."""
    return Field(name, "fp16", in_a_row(byte, 1, 16), None, each(weights, 1))


def _codes(places: Integers, levels: Floats, meaning: str = "integer") -> Field:
    """A code for each weight, in the order of the weights."""
    return Field("codes", meaning, places, levels, np.arange(len(places), dtype=np.int64))


def _scales(name: str, places: Integers, levels: Floats, weights: int, meaning: str = "integer") -> Field:
    """A word for each run of weights."""
    return Field(name, meaning, places, levels, each(weights, len(places)))


def _joined(*places: Integers) -> Integers:
    """Words whose bits lie at several places, the lower ones first."""
    return np.concatenate(places, axis=1)


def _q4_0() -> _Made:
    codes = _codes(interleaved(2, 1, 16, _NIBBLES, 4), integers(4, -8))
    return 32, [_float("scale", 0, 32), codes], Product(("scale", "codes"))


def _q4_1() -> _Made:
    codes = _codes(interleaved(4, 1, 16, _NIBBLES, 4), integers(4))
    return 32, [_float("scale", 0, 32), _float("minimum", 2, 32), codes], Sum((Product(("scale", "codes")), "minimum"))


def _q5_0() -> _Made:
    places = _joined(interleaved(6, 1, 16, _NIBBLES, 4), in_a_row(2, 32, 1))
    return 32, [_float("scale", 0, 32), _codes(places, integers(5, -16))], Product(("scale", "codes"))


def _q5_1() -> _Made:
    places = _joined(interleaved(8, 1, 16, _NIBBLES, 4), in_a_row(4, 32, 1))
    fields = [_float("scale", 0, 32), _float("minimum", 2, 32), _codes(places, integers(5))]
    return 32, fields, Sum((Product(("scale", "codes")), "minimum"))


def _q8_0() -> _Made:
    codes = _codes(in_a_row(2, 32, 8), twos_complement(8))
    return 32, [_float("scale", 0, 32), codes], Product(("scale", "codes"))


# Scale x code - minimum, with the sign in the levels of the small minima.
_WITH_MINIMA = Sum((Product(("super scale", "scales", "codes")), Product(("super minimum", "minima"))))
_WITH_SCALES = Product(("super scale", "scales", "codes"))


def _q2_k() -> _Made:
    pairs = in_a_row(0, 32, 4)
    return (
        256,
        [
            _float("super scale", 80, 256),
            _float("super minimum", 82, 256),
            _scales("scales", pairs[0::2], integers(4), 256),
            _scales("minima", pairs[1::2], integers(4, step=-1), 256),
            _codes(interleaved(16, 2, 32, _PAIRS, 2), integers(2)),
        ],
        _WITH_MINIMA,
    )


def _q3_k() -> _Made:
    scales = _joined(interleaved(96, 1, 8, _NIBBLES, 4), interleaved(104, 1, 4, _PAIRS, 2))
    codes = _joined(interleaved(32, 2, 32, _PAIRS, 2), interleaved(0, 1, 32, range(8), 1))
    return (
        256,
        [
            _float("super scale", 108, 256),
            _scales("scales", scales, integers(6, -32), 256),
            _codes(codes, integers(3, -4)),
        ],
        _WITH_SCALES,
    )


def _k_scales(first: int, shift: int) -> Integers:
    """Eight scales, or minima, of 6 bits as Q4_K and Q5_K pack them: four whole, four in two pieces."""
    whole = interleaved(first, 1, 4, (0,), 6)
    return np.concatenate([whole, _joined(interleaved(12, 1, 4, (shift,), 4), interleaved(first, 1, 4, (6,), 2))])


def _with_k_scales(codes: Field) -> _Made:
    fields = [
        _float("super scale", 0, 256),
        _float("super minimum", 2, 256),
        _scales("scales", _k_scales(4, 0), integers(6), 256),
        _scales("minima", _k_scales(8, 4), integers(6, step=-1), 256),
        codes,
    ]
    return 256, fields, _WITH_MINIMA


def _q4_k() -> _Made:
    return _with_k_scales(_codes(interleaved(16, 4, 32, _NIBBLES, 4), integers(4)))


def _q5_k() -> _Made:
    places = _joined(interleaved(48, 4, 32, _NIBBLES, 4), interleaved(16, 1, 32, range(8), 1))
    return _with_k_scales(_codes(places, integers(5)))


def _q6_k() -> _Made:
    codes = _joined(interleaved(0, 2, 64, _NIBBLES, 4), interleaved(128, 2, 32, _PAIRS, 2))
    return (
        256,
        [
            _float("super scale", 208, 256),
            _scales("scales", in_a_row(192, 16, 8), twos_complement(8), 256),
            _codes(codes, integers(6, -32)),
        ],
        _WITH_SCALES,
    )


def _tq1_0() -> _Made:
    """Five digits of base 3 in a byte: digit k of byte u is (3 (3**k u mod 256)) div 256 - 1."""
    power = 3 ** np.arange(5)[:, None]
    levels = (np.arange(256) * power % 256 * 3 // 256 - 1).astype(np.float64)
    runs = ((0, 32, 5), (32, 16, 5), (48, 4, 4))
    words = np.concatenate([np.tile(np.arange(first, first + count), digits) for first, count, digits in runs])
    variants = np.concatenate([np.repeat(np.arange(digits), count) for _, count, digits in runs])
    codes = Field("codes", "base 3", in_a_row(0, 52, 8), levels, words, variants)
    return 256, [_float("scale", 52, 256), codes], Product(("scale", "codes"))


def _tq2_0() -> _Made:
    codes = _codes(interleaved(0, 2, 32, _PAIRS, 2), integers(2, -1))
    return 256, [_float("scale", 64, 256), codes], Product(("scale", "codes"))


def _mxfp4() -> _Made:
    from gguf.quants import MXFP4

    scale = table(MXFP4.e8m0_to_fp32_half(np.arange(256, dtype=np.uint8)))
    codes = _codes(interleaved(1, 1, 16, _NIBBLES, 4), table(MXFP4.kvalues), "e2m1")
    return 32, [_scales("scale", in_a_row(0, 1, 8), scale, 32, "e8m0"), codes], Product(("scale", "codes"))


def _nvfp4() -> _Made:
    from gguf.quants import NVFP4

    scales = table(NVFP4.ue4m3_to_fp32(np.arange(256, dtype=np.uint8)))
    codes = _codes(interleaved(4, 4, 8, _NIBBLES, 4), table(NVFP4.kvalues), "e2m1")
    return 64, [_scales("scales", in_a_row(0, 4, 8), scales, 64, "ue4m3"), codes], Product(("scales", "codes"))


def _iq4_nl() -> _Made:
    from gguf.quants import IQ4_NL

    codes = _codes(interleaved(2, 1, 16, _NIBBLES, 4), table(IQ4_NL.kvalues), "look-up")
    return 32, [_float("scale", 0, 32), codes], Product(("scale", "codes"))


def _iq4_xs() -> _Made:
    from gguf.quants import IQ4_NL

    scales = _joined(in_a_row(4, 8, 4), in_a_row(2, 8, 2))
    codes = _codes(interleaved(8, 8, 16, _NIBBLES, 4), table(IQ4_NL.kvalues), "look-up")
    return 256, [_float("super scale", 0, 256), _scales("scales", scales, integers(6, -32), 256), codes], _WITH_SCALES


def _whole(kind: str) -> Callable[[], _Made]:
    """A float for each weight."""
    field = Field("words", kind, in_a_row(0, 1, FLOAT_FORMATS[kind].bits), None, each(1, 1))
    return lambda: (1, [field], "words")


_FORMATS: dict[str, Callable[[], _Made]] = {
    "F32": _whole("fp32"),
    "F16": _whole("fp16"),
    "BF16": _whole("bf16"),
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "TQ1_0": _tq1_0,
    "TQ2_0": _tq2_0,
    "MXFP4": _mxfp4,
    "NVFP4": _nvfp4,
    "IQ4_NL": _iq4_nl,
    "IQ4_XS": _iq4_xs,
}
