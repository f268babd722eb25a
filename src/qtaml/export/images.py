"""Memory images: files of the stored bits for filling a hardware memory, and dumps of one read back."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks, _files
from qtaml.errors import ArgumentError, StoredFileError
from qtaml.memory import Artifact, pack, regions, unpack
from qtaml.planning import Plan
from qtaml.protections import Protection

# Bits of the widest memory word, well above the widest interfaces (1024 bits of a stack of HBM).
_WIDEST = 4096
Bytes = NDArray[np.uint8]


class ImageWriter(Protocol):
    """A function that writes a memory image; see `write_binary`."""

    def __call__(self, artifact: Artifact, path: Path, *, word_bits: int) -> list["ImagePlane"]:
        """Write the stored bits of a network to a file and return where each bit plane lies."""
        ...


@dataclass(frozen=True)
class ImagePlane:
    """Where a bit plane lies in a memory.

    Attributes:
        tensor: name of the tensor.
        region: number of the region in the tensor; its weights are in the protection map.
        bit: bit position, 0 for the least significant.
        protection: protection of these bits. Memory words hold data bits only; the other cells of a code are made by
            the memory.
        address: the first memory word.
        words: number of memory words. Bit i of the plane is bit i % word_bits of word i // word_bits.
        bits: number of bits; the last word is filled up with zeros.
    """

    tensor: str
    region: int
    bit: int
    protection: Protection
    address: int
    words: int
    bits: int


def image_planes(plan: Plan, word_bits: int = 32) -> list[ImagePlane]:
    """Layout of the bit planes of a plan in a memory: one after the other, each from a new memory word.

    Args:
        plan: how the network is stored.
        word_bits: width of a memory word, a multiple of 8 up to 4096.

    Raises:
        ArgumentError: if the width is another.

    Example:
        >>> from qtaml.planning import uniform_msp
        >>> plan = uniform_msp(torch.nn.Linear(10, 4), p=0.1, protected_bits=1)
        >>> [(plane.bit, plane.protection.kind, plane.address, plane.words) for plane in image_planes(plan)][:3]
        [(7, 'ideal', 0, 2), (6, 'raw', 2, 2), (5, 'raw', 4, 2)]
    """
    _check_width(word_bits)
    found, address = [], 0
    for entry in plan.tensors:
        for number, region in enumerate(regions(entry.storage)):
            words = -(-region.words // word_bits)
            for bit in region.bits:
                protection = region.format.protections[bit]
                found.append(ImagePlane(entry.name, number, bit, protection, address, words, region.words))
                address += words
    return found


def write_binary(artifact: Artifact, path: str | Path, *, word_bits: int = 32) -> list[ImagePlane]:
    """Write the stored bits as a raw binary image, memory words little-endian, by an atomic rename.

    Args:
        artifact: the stored network.
        path: the file; an older one is replaced.
        word_bits: width of a memory word, a multiple of 8 up to 4096.

    Returns:
        Where each bit plane lies, as `image_planes` says.

    Raises:
        ArgumentError: if the width is another.
        StoredFileError: if the file cannot be written.
    """
    planes = image_planes(artifact.plan, word_bits)
    with _files.new_file(path) as new, new.open("wb") as file:
        for content in image_bytes(artifact, planes, word_bits):
            file.write(content.tobytes())
    return planes


def write_verilog(artifact: Artifact, path: str | Path, *, word_bits: int = 32) -> list[ImagePlane]:
    """Write the stored bits as text for Verilog's `$readmemh`, one memory word a line; arguments as `write_binary`."""
    planes = image_planes(artifact.plan, word_bits)
    with _files.new_file(path) as new, new.open("w", encoding="ascii", errors="backslashreplace") as file:
        for plane, content in zip(planes, image_bytes(artifact, planes, word_bits), strict=True):
            # A name with a line break would end the comment, and its rest be read as words.
            name = plane.tensor.replace("\n", " ")
            file.write(
                f"// {name}, region {plane.region}, bit {plane.bit}, {plane.protection.kind}\n@{plane.address:x}\n"
            )
            # Memory words are little-endian, hexadecimal numbers start with the highest byte.
            words = content.reshape(plane.words, word_bits // 8)[:, ::-1]
            digits = words.tobytes().hex()
            width = word_bits // 4
            file.writelines(f"{digits[start : start + width]}\n" for start in range(0, len(digits), width))
    return planes


def read_binary(path: str | Path, plan: Plan, *, word_bits: int = 32) -> dict[str, torch.Tensor]:
    """Words of each tensor in a raw binary dump of a memory.

    Args:
        path: the dump.
        plan: how the network was stored.
        word_bits: width of a memory word, as it was written.

    Raises:
        ArgumentError: if the width is no multiple of 8 from 8 to 4096.
        StoredFileError: if the file cannot be read, or has another size.
    """
    content = np.frombuffer(_files.read_bytes(Path(path)), np.uint8)
    expected = _size(plan, word_bits)
    if len(content) != expected:
        raise StoredFileError(
            f"{path} has {len(content)} bytes; this network in words of {word_bits} bits takes {expected}"
        )
    return _words_of(plan, content, word_bits)


def read_verilog(path: str | Path, plan: Plan, *, word_bits: int | None = None) -> dict[str, torch.Tensor]:
    """Words of each tensor in a dump of `$writememh`.

    Args:
        path: the dump: hexadecimal words, comments, and addresses such as @1f. It may be one of a larger memory: words
            beyond the network are ignored.
        plan: how the network was stored.
        word_bits: width of a memory word, as it was written; four times the number of digits if not given.

    Raises:
        StoredFileError: if the file cannot be read, holds something else (x or z, for bits that are not known, where
            the network lies), has words of another width, or does not hold every memory word of the network once.
    """
    text = _files.read_bytes(Path(path)).decode("ascii", errors="replace")
    # Verilog allows underscores in numbers and comments anywhere.
    tokens = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL).replace("_", "").split()
    wrong = next((token for token in tokens if not re.fullmatch(r"@[0-9a-fA-F]+|[0-9a-fA-FxXzZ]+", token)), None)
    if wrong is not None:
        raise StoredFileError(f"{path} must hold hexadecimal words and addresses, got {wrong[:40]!r}")
    widths = {4 * len(token) for token in tokens if not token.startswith("@")}
    if len(widths) != 1 or (word_bits is not None and widths != {word_bits}):
        expected = "one width" if word_bits is None else f"{word_bits} bits"
        found = ", ".join(map(str, sorted(widths))) or "no words"
        raise StoredFileError(f"{path} must hold words of {expected}, got {found}")
    word_bits = widths.pop()
    try:
        size = _size(plan, word_bits)
    except ArgumentError as error:
        raise StoredFileError(f"{path}: {error}") from error
    content, seen = np.zeros(size, np.uint8), np.zeros(8 * size // word_bits, bool)
    address = 0
    for token in tokens:
        if token.startswith("@"):
            address = int(token[1:], 16)
            continue
        # Beyond the network lies what else the memory holds, unknown bits included.
        if address < len(seen):
            if seen[address]:
                raise StoredFileError(f"{path} holds the word at address {address:#x} twice")
            if re.search("[xXzZ]", token):
                raise StoredFileError(f"{path} holds bits that are not known at address {address:#x}: {token[:40]!r}")
            start = address * word_bits // 8
            content[start : start + word_bits // 8] = np.frombuffer(bytes.fromhex(token)[::-1], np.uint8)
            seen[address] = True
        address += 1
    if not seen.all():
        missing = int(np.argmin(seen))
        raise StoredFileError(
            f"{path} holds {seen.sum()} of the {len(seen)} words that this network takes; the first missing one is at "
            f"address {missing:#x}"
        )
    return _words_of(plan, content, word_bits)


def image_bytes(artifact: Artifact, planes: Sequence[ImagePlane], word_bits: int) -> Iterator[Bytes]:
    """The bytes of each plane, filled up to whole memory words."""
    sizes = iter([plane.words * word_bits // 8 for plane in planes])
    for entry in artifact.plan.tensors:
        packed = pack(entry.storage, artifact.tensors[entry.name].words)
        for region in regions(entry.storage):
            for bit in region.bits:
                content, bits = np.zeros(next(sizes), np.uint8), packed[region.plane(bit)]
                content[: len(bits)] = bits
                yield content


def _words_of(plan: Plan, content: Bytes, word_bits: int) -> dict[str, torch.Tensor]:
    places = iter(image_planes(plan, word_bits))
    words = {}
    for entry in plan.tensors:
        parts = []
        for region in regions(entry.storage):
            for _ in region.bits:
                start = next(places).address * word_bits // 8
                parts.append(content[start : start + -(-region.words // 8)])
        packed = np.concatenate([*parts, np.zeros(0, np.uint8)])
        words[entry.name] = unpack(entry.storage, packed).reshape(entry.shape)
    return words


def _size(plan: Plan, word_bits: int) -> int:
    """Bytes of an image."""
    return sum(plane.words for plane in image_planes(plan, word_bits)) * word_bits // 8


def _check_width(word_bits: int) -> None:
    if _checks.integer("word_bits", word_bits, 8, _WIDEST) % 8:
        raise ArgumentError(f"word_bits must be a multiple of 8, got {word_bits}")
