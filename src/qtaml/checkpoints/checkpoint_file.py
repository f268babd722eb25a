"""A checkpoint file: the tensors whose stored words are known, read from the file piece by piece."""

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qtaml import _checks, _files
from qtaml.checkpoints.fields import Bytes
from qtaml.checkpoints.unit_format import UnitFormat
from qtaml.errors import ArgumentError, StoredFileError

# Bytes of a tensor that are in memory at once. Reads draw errors piece by piece, so the number is part of what a seed
# means.
PIECE = 2**22


@dataclass(frozen=True)
class Part:
    """A run of bytes in the file that holds a part of every unit of a tensor.

    Attributes:
        offset: of its first byte in the file.
        units: units that it holds: all of the tensor, or one, which all share.
        width: bytes of a unit.
    """

    offset: int
    units: int
    width: int


@dataclass(frozen=True)
class Source:
    """A file as it was when it was opened.

    Attributes:
        path: where it lies.
        size: bytes.
        changed: when it was last written, in nanoseconds.
    """

    path: Path
    size: int
    changed: int

    @staticmethod
    def of(path: Path) -> "Source":
        """The file at a path.

        Raises:
            StoredFileError: if it cannot be read, or is no regular file.
        """
        with _files.open_regular(path) as file:
            stat = os.fstat(file.fileno())
            return Source(path, stat.st_size, stat.st_mtime_ns)

    def read(self, offset: int, count: int) -> Bytes:
        """Bytes of the file.

        Raises:
            StoredFileError: if it cannot be read, or another one has taken its place since.
        """
        with _files.open_regular(self.path) as file:
            stat = os.fstat(file.fileno())
            if (stat.st_size, stat.st_mtime_ns) != (self.size, self.changed):
                raise StoredFileError(f"{self.path} has changed since it was opened; open it anew")
            file.seek(offset)
            return np.fromfile(file, dtype=np.uint8, count=count)


@dataclass(frozen=True, eq=False)
class CheckpointTensor:
    """A tensor of weights in a file: its stored words, and what they stand for.

    Attributes:
        name: in the file; for a tensor that is stored in several, the name of the weight.
        shape: of the weights.
        format: what its units are.
        parts: where they lie.
        source: the file.
    """

    name: str
    shape: tuple[int, ...]
    format: UnitFormat
    parts: tuple[Part, ...]
    source: Source

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def units(self) -> int:
        """Number of units."""
        return self.parts[0].units

    @property
    def bits(self) -> int:
        """Bits that it takes in the file, scales and minima included."""
        return sum(8 * part.units * part.width for part in self.parts)

    def words(self, name: str) -> int:
        """Number of words of a field.

        Raises:
            ArgumentError: if there is no such field.
        """
        field = self.format.by_name[_checks.one_of("name", name, self.format.by_name)]
        return field.words_of_unit * self.parts[field.part].units

    def raw(self, start: int, stop: int) -> tuple[Bytes, ...]:
        """Bytes of some units, of each part of shape (units, bytes); of a part that all share, (1, bytes)."""
        return tuple(self._rows(part, start, stop) if part.units > 1 else self._rows(part, 0, 1) for part in self.parts)

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First unit and end of each piece of the tensor that is worked on at once."""
        step = max(1, PIECE // sum(part.width for part in self.parts))
        return ((start, min(start + step, self.units)) for start in range(0, self.units, step))

    def values(self) -> NDArray[np.float32]:
        """All weights, as the format's own library reads them, float32 of the tensor's shape."""
        found = [self.format.dequantise(self.raw(*piece)).reshape(-1) for piece in self.pieces()]
        return np.concatenate(found)[: self.weights].reshape(self.shape)

    def _rows(self, part: Part, start: int, stop: int) -> Bytes:
        return self.source.read(part.offset + start * part.width, (stop - start) * part.width).reshape(-1, part.width)


class Checkpoint(Mapping[str, CheckpointTensor]):
    """Tensors of a checkpoint file by their names; weights are read when they are asked for.

    Args:
        source: the file.
        kind: of file, such as "GGUF".
        tensors: those whose words are known.
        others: why each other tensor is left as it is, by its name.

    Raises:
        StoredFileError: if tensors lie outside the file or over each other, or two have one name.
    """

    def __init__(
        self, source: Source, kind: str, tensors: Sequence[CheckpointTensor], others: Mapping[str, str]
    ) -> None:
        self.source, self.kind, self.others = source, kind, dict(others)
        self._tensors = {tensor.name: tensor for tensor in tensors}
        if len(self._tensors) < len(tensors):
            name, _ = Counter(tensor.name for tensor in tensors).most_common(1)[0]
            raise StoredFileError(f"{source.path} holds two tensors of one name: {name!r}")
        _check_places(source, [(one.name, part) for one in tensors for part in one.parts])

    def __getitem__(self, name: str) -> CheckpointTensor:
        if name not in self._tensors:
            raise ArgumentError(
                f"name must be that of a tensor of {self.source.path} whose words are known, got {name!r}"
                + (f": {self.others[name]}" if name in self.others else "")
            )
        return self._tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.source.path)!r}, {self.kind}, {len(self)} tensors)"

    @property
    def weights(self) -> int:
        """Weights of all its tensors."""
        return sum(tensor.weights for tensor in self.values())

    @property
    def bits(self) -> int:
        """Bits that they take in the file."""
        return sum(tensor.bits for tensor in self.values())


def _check_places(source: Source, parts: Sequence[tuple[str, Part]]) -> None:
    """Refuse tensors beyond the end of the file, and two that share bytes: they would be stored twice."""
    end, before = 0, ""
    for name, part in sorted(parts, key=lambda one: one[1].offset):
        if part.offset + part.units * part.width > source.size:
            raise StoredFileError(
                f"{source.path} is truncated: {name} ends at byte {part.offset + part.units * part.width}, "
                f"the file at {source.size}"
            )
        if part.offset < end:
            raise StoredFileError(f"{source.path} is damaged: {before} and {name} lie over each other")
        end, before = part.offset + part.units * part.width, name
