"""A checkpoint as read from its memory: errors drawn piece by piece, values, and the same file with the words read."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks, _files
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor
from qtaml.checkpoints.checkpoint_plan import BitStorage, CheckpointPlan, LeftOut, ProtectedTensor
from qtaml.checkpoints.fields import Bytes, Field
from qtaml.checkpoints.word_law import finite_words
from qtaml.checkpoints.word_range import WordRange, read_in_range
from qtaml.errors import StoredFileError
from qtaml.formats import Nonfinite
from qtaml.protections import Raw

# Words of up to so many bits are looked up in a table of all of them: the half of the time of a read of BF16.
_TABLE_BITS = 16

Columns = tuple[tuple[BitStorage | None, ...], NDArray[np.int64]]
"""What the 8 bits of some bytes of a unit are stored in, None for bits that belong to no field; and which bytes."""


@dataclass(frozen=True, eq=False)
class ReadCheckpoint:
    """A checkpoint as its memory gives it in one read.

    Attributes:
        checkpoint: the file that was stored.
        plan: how.
        seed: of the errors: the same seed gives the same.
        only: tensors that are read with errors, all others as they are stored; all of them if not given.
        field: the field of these that is read with errors, such as "scale"; all of them if not given.

    Raises:
        ArgumentError: if `only` names a tensor, or `field` a field, that there is not.
        StoredFileError: if the plan is for another checkpoint.
    """

    checkpoint: Checkpoint
    plan: CheckpointPlan
    seed: int
    only: tuple[str, ...] | None = None
    field: str | None = None

    def __post_init__(self) -> None:
        _checks.integer("seed", self.seed, 0)
        for name in self.only or ():
            _checks.one_of("only", name, list(self.checkpoint))
        if self.field is not None:
            own = dict.fromkeys(one.name for name in self._names for one in self.checkpoint[name].format.fields)
            _checks.one_of("field", self.field, list(own))
        self.plan.fits(self.checkpoint)

    def values(self, name: str) -> NDArray[np.float32]:
        """Weights of a tensor as read, as the format's own library dequantises them.

        Args:
            name: of the tensor.

        Returns:
            float32 of the tensor's shape.

        Raises:
            ArgumentError: if there is no such tensor.
            StoredFileError: if the file has changed.
        """
        tensor = self.checkpoint[name]
        if name not in self._names:
            return tensor.values()
        found = [tensor.format.dequantise(read).reshape(-1) for _, _, read in self._pieces(tensor)]
        return np.concatenate(found)[: tensor.weights].reshape(tensor.shape)

    def relative_errors(self) -> dict[str, float]:
        """Squared error of the weights of each tensor over their squares, of all weights."""
        return {name: self._error(self.checkpoint[name]) for name in self._names}

    @property
    def _names(self) -> list[str]:
        return list(self.checkpoint if self.only is None else self.only)

    def save(self, path: str | Path) -> None:
        """Write the checkpoint as a file of the same format: the words that are read, and all else as it was.

        Args:
            path: of the new file.

        Raises:
            StoredFileError: if it cannot be written, is the stored file itself, or that has changed.
        """
        if os.path.realpath(path) == os.path.realpath(self.checkpoint.source.path):
            raise StoredFileError(f"cannot write {path}: it is the checkpoint itself")
        with _files.new_file(path) as temporary:
            with _files.open_regular(self.checkpoint.source.path) as old, open(temporary, "wb") as new:
                shutil.copyfileobj(old, new, 2**22)
            with open(temporary, "r+b") as new:
                for tensor in track([self.checkpoint[name] for name in self._names], "writing what is read"):
                    for start, _, read in self._pieces(tensor):
                        _write(new, tensor, start, read)

    def _error(self, tensor: CheckpointTensor) -> float:
        error = power = 0.0
        for start, stop, read in self._pieces(tensor):
            stored = tensor.format.dequantise(tensor.raw(start, stop)).astype(np.float64)
            # A scale near the end of its range makes weights beyond that of float32; those count as its largest.
            found = np.nan_to_num(tensor.format.dequantise(read)).astype(np.float64)
            error += float(((found - stored) ** 2).sum())
            power += float((stored**2).sum())
        return error / (power or 1.0)

    def _pieces(self, tensor: CheckpointTensor) -> Iterator[tuple[int, int, tuple[Bytes, ...]]]:
        """First unit, end, and bytes of each part as read, of each piece of a tensor."""
        entry = next(one for one in self.plan.tensors if one.name == tensor.name)
        columns = [_columns(tensor, entry, part) for part in range(len(tensor.parts))]
        for start, stop in tensor.pieces():
            stored = tensor.raw(start, stop)
            parts = [rows.copy() for rows in stored]
            for part, rows in enumerate(parts):
                # What all units share is read once: its errors are the same in every piece.
                place = 0 if tensor.parts[part].units == 1 else start
                self._corrupt(rows, columns[part], child_seed(self.seed, tensor.name, part, place))
            for field, own in zip(tensor.format.fields, entry.fields, strict=True):
                if self.field not in (None, field.name):
                    field.put(parts[field.part], field.words(stored[field.part]))
                    continue
                _correct(field, parts[field.part], own.range, self.plan.rule)
            yield start, stop, tuple(parts)

    def _corrupt(self, rows: Bytes, columns: Sequence[Columns], seed: int) -> None:
        """Draw the errors of some bytes, in place."""
        for number, (bits, where) in enumerate(columns):
            behind = self.plan.fault.behind([Raw() if bit is None or isinstance(bit, LeftOut) else bit for bit in bits])
            stored = np.ascontiguousarray(rows[:, where])
            words = torch.from_numpy(stored.copy())
            read = behind.corrupt(words, bits=8, seed=child_seed(seed, number)).numpy()
            rows[:, where] = _held(bits, stored, read)


def _correct(field: Field, rows: Bytes, allowed: WordRange | None, rule: Nonfinite) -> None:
    """Put words out of their range, and those that are no finite numbers, right, in place."""
    if field.bits <= _TABLE_BITS:
        read_as = _read_as(field, allowed, rule)
        if read_as is not None:
            field.put(rows, read_as[field.unsigned(rows)])
        return
    words = field.words(rows)
    found = finite_words(field, read_in_range(field, words, allowed), rule)
    if found is not words:
        field.put(rows, found)


# Pieces of a tensor, and reads, share their tables.
@lru_cache(maxsize=256)
def _read_as(field: Field, allowed: WordRange | None, rule: Nonfinite) -> NDArray[np.uint16] | None:
    """What each word is read as; None where all are read as they are."""
    words = np.arange(1 << field.bits)
    found = finite_words(field, read_in_range(field, words, allowed), rule)
    return None if (found == words).all() else found.astype(np.uint16)


def _held(bits: Sequence[BitStorage | None], stored: Bytes, read: Bytes) -> Bytes:
    """Bytes read, with the bits that are not stored at their values, and those of no field as they were."""
    ones = sum(1 << place for place, bit in enumerate(bits) if isinstance(bit, LeftOut) and bit.value)
    kept = sum(1 << place for place, bit in enumerate(bits) if bit is None)
    drawn = sum(1 << place for place, bit in enumerate(bits) if bit is not None and not isinstance(bit, LeftOut))
    return (read & np.uint8(drawn)) | (stored & np.uint8(kept)) | np.uint8(ones)


def _columns(tensor: CheckpointTensor, entry: ProtectedTensor, part: int) -> list[Columns]:
    """The bytes of a unit's part, those that are stored alike together."""
    kinds: list[BitStorage | None] = [None]
    which = np.zeros(8 * tensor.parts[part].width, dtype=np.uint8)
    for field, own in zip(tensor.format.fields, entry.fields, strict=True):
        for bit, storage in enumerate(own.bits if field.part == part else ()):
            kinds += [] if storage in kinds else [storage]
            which[field.places[:, bit]] = kinds.index(storage)
    # Eight numbers of a byte as one, by which equal bytes are found at once: a unit may have millions.
    keys = which.view(np.uint64)
    alike = [np.flatnonzero(keys == key) for key in np.unique(keys)]
    return [(tuple(kinds[one] for one in which.reshape(-1, 8)[where[0]].tolist()), where) for where in alike]


def _write(file: BinaryIO, tensor: CheckpointTensor, start: int, read: Sequence[Bytes]) -> None:
    for part, rows in zip(tensor.parts, read, strict=True):
        file.seek(part.offset + (start * part.width if part.units > 1 else 0))
        file.write(np.ascontiguousarray(rows).tobytes())
