"""What all words of a tensor have in common: bits that never change, and the range of their keys."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtaml.checkpoints.checkpoint_file import CheckpointTensor
from qtaml.checkpoints.fields import Bytes, Field, Integers
from qtaml.checkpoints.word_range import key_places

Bits = NDArray[np.bool_]


class SeenWords(NamedTuple):
    """Of all words of a field.

    Attributes:
        zeros: which bits are 0 in all of them.
        ones: which are 1 in all of them.
        range: least and greatest key; None where it is not looked for.
    """

    zeros: Bits
    ones: Bits
    range: tuple[int, int] | None


def seen_words(tensor: CheckpointTensor) -> dict[str, SeenWords]:
    """What the words of each field have in common, from all of the tensor, a piece at a time."""
    ones = [np.zeros(part.width, dtype=np.uint8) for part in tensor.parts]
    zeros = [np.zeros(part.width, dtype=np.uint8) for part in tensor.parts]
    ranges: dict[str, list[tuple[int, int]]] = {field.name: [] for field in tensor.format.fields if _ranged(field)}
    for piece in tensor.pieces():
        parts = tensor.raw(*piece)
        for index, rows in enumerate(parts):
            ones[index] |= _any_of(rows)
            zeros[index] |= _any_of(~rows)
        for name, own in ranges.items():
            field = tensor.format.by_name[name]
            own.append(_range_of(field, parts[field.part]))
    found = {}
    for field in tensor.format.fields:
        has_one, has_zero = (np.unpackbits(seen[field.part], bitorder="little")[field.places] for seen in (ones, zeros))
        least, greatest = zip(*ranges.get(field.name, [(0, 0)]), strict=True)
        span = (min(least), max(greatest)) if field.name in ranges else None
        found[field.name] = SeenWords(has_one.max(0) == 0, has_zero.max(0) == 0, span)
    return found


def bits_seen(field: Field, words: Integers) -> tuple[Bits, Bits]:
    """Which bits are 0 in some of the words, and which are 1 in some."""
    some, every = int(np.bitwise_or.reduce(words, axis=None)), int(np.bitwise_and.reduce(words, axis=None))
    places = np.arange(field.bits)
    return ~every >> places & 1 == 1, some >> places & 1 == 1


def _ranged(field: Field) -> bool:
    """Float words, and words that several weights share: the codes of all others take what values there are."""
    return field.levels is None or field.words_of_unit < len(field.word_of)


def _range_of(field: Field, rows: Bytes) -> tuple[int, int]:
    first, bits = key_places(field)
    words = field.unsigned(rows)
    if first + bits < field.bits:
        # Without its sign a float is in the order of its exponent.
        words = words & words.dtype.type((1 << first + bits) - 1)
    return int(words.min()) >> first, int(words.max()) >> first


def _any_of(rows: Bytes) -> Bytes:
    """Bits that are 1 in any row."""
    # NumPy goes through the rows one by one, which takes long for many short ones: first many side by side.
    count, width = rows.shape
    beside = max(1, min(count, 4096 // width))
    whole = count // beside * beside
    wide = np.bitwise_or.reduce(rows[:whole].reshape(-1, beside * width), axis=0).reshape(beside, width)
    return np.asarray(np.bitwise_or.reduce(np.concatenate([wide, rows[whole:]]), axis=0))
