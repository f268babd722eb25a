"""GGUF files: the header, read without trust; the words of the tensors stay in the file."""

import math
import os
import struct
from typing import BinaryIO

from qtaml import _files
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor, Part, Source
from qtaml.checkpoints.gguf_types import gguf_type, gguf_types
from qtaml.errors import QtamlError, StoredFileError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = "general.alignment"
# Bytes of the scalars that metadata are made of, by their numbers; 8 is a text and 9 an array.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY, _UINT32 = 8, 9, 4
# GGML_MAX_DIMS of the library.
_MOST_DIMENSIONS = 4


def read_gguf(source: Source) -> Checkpoint:
    """The tensors of a GGUF file.

    The header is read here and not by `gguf.GGUFReader`, which believes every count in it: a damaged one has it loop
    until memory ends.

    Args:
        source: the file.

    Raises:
        StoredFileError: if the file is damaged, truncated, or of a version that is not read.
        QtamlError: if `gguf` is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise QtamlError("GGUF files need gguf: pip install 'qtaml[gguf]'") from error
    with _files.open_regular(source.path) as file:
        header = _Header(file, source)
        entries = header.tensors()
        start = -(-file.tell() // header.alignment) * header.alignment
    tensors, others = [], {}
    for name, shape, number, offset in entries:
        try:
            kind = gguf.GGMLQuantizationType(number)
        except ValueError:
            raise header.damaged(f"{name} has type {number}, which gguf does not know") from None
        weights, width = gguf.GGML_QUANT_SIZES[kind]
        if shape[-1] % weights:
            raise header.damaged(f"rows of {name}, {kind.name}, must be multiples of {weights}, got {shape[-1]}")
        part = Part(start + offset, math.prod(shape) // weights, width)
        if (unit := gguf_type(kind.name)) is None:
            others[name] = f"{kind.name} is not read; {', '.join(gguf_types())} are"
        else:
            tensors.append(CheckpointTensor(name, shape, unit, (part,), source))
    return Checkpoint(source, f"GGUF version {header.version}", tensors, others)


class _Header:
    """What stands before the tensors of a GGUF file, number by number; each is held against what the file can hold."""

    def __init__(self, file: BinaryIO, source: Source) -> None:
        self._file, self._source, self.alignment = file, source, 32
        if self._bytes(4) != MAGIC:
            raise self.damaged(f"it does not begin with {MAGIC.decode()}")
        self.version = self._number("I")
        if self.version not in _VERSIONS:
            big = " (big-endian)" if self.version & 0xFFFF == 0 else ""
            raise StoredFileError(f"{source.path} must be GGUF of version 2 or 3, got version {self.version}{big}")
        self._tensors, keys = self._number("Q"), self._number("Q")
        seen = set[str]()
        for _ in range(keys):
            key = self._once(self._text(), seen, "key")
            kind = self._number("I")
            if key != _ALIGNMENT:
                self._skip(kind)
            elif kind != _UINT32:
                raise self.damaged(f"{_ALIGNMENT} must be a number of 32 bits, got type {kind}")
            else:
                self.alignment = self._number("I")
        if self.alignment == 0 or self.alignment & (self.alignment - 1):
            raise self.damaged(f"{_ALIGNMENT} must be a power of two, got {self.alignment}")

    def tensors(self) -> list[tuple[str, tuple[int, ...], int, int]]:
        """Name, shape, number of the type, and offset of each tensor."""
        found, seen = [], set[str]()
        for _ in range(self._tensors):
            name = self._once(self._text(), seen, "tensor")
            dimensions = self._number("I")
            if not 1 <= dimensions <= _MOST_DIMENSIONS:
                raise self.damaged(f"{name} must have 1 to {_MOST_DIMENSIONS} dimensions, got {dimensions}")
            # The fastest dimension comes first in the file.
            shape = tuple(self._number("Q") for _ in range(dimensions))[::-1]
            number, offset = self._number("I"), self._number("Q")
            if min(shape) < 1:
                raise self.damaged(f"{name} must have weights, got shape {shape}")
            if offset % self.alignment:
                raise self.damaged(f"{name} must begin at a multiple of {self.alignment}, got {offset}")
            found.append((name, shape, number, offset))
        return found

    def damaged(self, why: str) -> StoredFileError:
        """The error for a header that cannot be right."""
        return StoredFileError(f"{self._source.path} is damaged: {why}")

    def _once(self, name: str, seen: set[str], what: str) -> str:
        if name in seen:
            raise self.damaged(f"two {what}s have the name {name!r}")
        seen.add(name)
        return name

    def _skip(self, kind: int, nested: int = 0) -> None:
        """Pass over a value of the metadata."""
        if kind in _SIZES:
            self._pass(_SIZES[kind])
        elif kind == _TEXT:
            self._pass(self._number("Q"))
        elif kind == _ARRAY and not nested:
            of, count = self._number("I"), self._number("Q")
            if of in _SIZES:
                self._pass(_SIZES[of] * count)
            else:
                for _ in range(count):  # ends with the file: each text takes its length
                    self._skip(of, nested + 1)
        else:
            raise self.damaged(f"metadata have type {kind}, which is none")

    def _text(self) -> str:
        data = self._bytes(self._number("Q"))
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise self.damaged("a name is no text in UTF-8") from None

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(f"<{form}", self._bytes(struct.calcsize(form)))
        return int(number)

    def _bytes(self, count: int) -> bytes:
        self._check(count)
        return self._file.read(count)

    def _pass(self, count: int) -> None:
        self._check(count)
        self._file.seek(count, os.SEEK_CUR)

    def _check(self, count: int) -> None:
        if count > self._source.size - self._file.tell():
            raise self.damaged(f"the header ends after byte {self._file.tell()}, {count} more are missing")
