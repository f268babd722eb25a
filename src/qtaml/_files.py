"""Files: JSON of frozen records, consistent reads, atomic writes, checksums, and versions of packages."""

import hashlib
import os
import platform
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pydantic
from safetensors import SafetensorError

from qtaml import _replacing
from qtaml.errors import StoredFileError

T = TypeVar("T")

# A memo: making an adapter takes far longer than using it. Bounded, for classes made at run time.
_adapter: Callable[[Any], pydantic.TypeAdapter[Any]] = lru_cache(maxsize=32)(pydantic.TypeAdapter)
# How often a reader of a folder begins anew: beside a writer that never rests, 1,000 loads began 1,003 times.
_TRIES = 100


def versions() -> dict[str, str]:
    """Versions of the packages that make results.

    Example:
        >>> sorted(versions())
        ['numpy', 'python', 'qtaml', 'scipy', 'torch']
    """
    # A copy, or a caller could change the memo.
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("qtaml", "torch", "numpy", "scipy")}
    return {**packages, "python": platform.python_version()}


def to_json(record: Any) -> str:
    """A frozen record as indented JSON."""
    return _adapter(type(record)).dump_json(record, indent=2).decode() + "\n"


def from_json(kind: type[T], text: str | bytes, source: str) -> T:
    """The record that a JSON text holds; `source` names the text in errors.

    Raises:
        StoredFileError: if the text is not JSON of this kind of record.
    """
    try:
        record: T = _adapter(kind).validate_json(text)
        return record
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        # The first error is the cause; later ones are often its consequences, one for each member of a union.
        place = ".".join(map(str, first["loc"])) or "the file"
        raise StoredFileError(f"{source} is not a valid {kind.__name__}: {place}: {first['msg']}") from error


def read_bytes(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        StoredFileError: if it cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        return file.read()


def check_folder(path: Path) -> None:
    """Check that a path is a folder, or free to become one.

    Raises:
        StoredFileError: if not.
    """
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            raise StoredFileError(f"cannot write {path}: it is not a folder")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        if isinstance(error, StoredFileError):
            raise
        raise StoredFileError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open for reading. Pipes and devices are refused unopened: opening one can hang.

    Raises:
        StoredFileError: if it cannot be read, now or inside the block, or is no regular file.
    """
    try:
        file = _opened(path, None)
    except (OSError, ValueError) as error:
        raise _cannot_read(path, error) from error
    with file:
        try:
            yield file
        except OSError as error:
            raise _cannot_read(path, error) from error


@contextmanager
def opened_together(folder: Path, names: Sequence[str]) -> Iterator[Callable[[str], bytes]]:
    """Consistent read of several files of a folder, even if a writer replaces the folder meanwhile.

    Args:
        folder: the folder.
        names: names of its files.

    Yields:
        A function that reads one of them, once; it raises `StoredFileError` if that is missing or no regular file.
    """
    with ExitStack() as stack:
        for _ in range(_TRIES):
            with ExitStack() as attempt:
                found, exchanged = _open_all(folder, names, attempt)
                if not exchanged:
                    stack.push(attempt.pop_all())
                    break
        else:
            raise StoredFileError(f"cannot read {folder}: it is being replaced again and again")

        def read(name: str) -> bytes:
            try:
                if isinstance(file := found[name], Exception):
                    raise file
                return file.read()
            except (OSError, ValueError) as error:
                raise _cannot_read(folder / name, error) from error

        yield read


def _open_all(folder: Path, names: Sequence[str], stack: ExitStack) -> tuple[dict[str, BinaryIO | Exception], bool]:
    """Files of a folder, or why they cannot be opened; and whether another folder took its place on the way."""
    handle = None
    try:
        # Relative to a handle, all names are looked up in the same folder, whatever has its path by now.
        if os.open in os.supports_dir_fd:  # not on Windows
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, handle)
    except (OSError, ValueError) as error:
        return dict.fromkeys(names, error), False
    found: dict[str, BinaryIO | Exception] = {}
    for name in names:
        try:
            found[name] = stack.enter_context(_opened(name if handle is not None else folder / name, handle))
        except (OSError, ValueError) as error:
            found[name] = error
    # A writer exchanges the folders and then deletes the old one: a file is missing only if this folder is in place.
    missing = any(isinstance(file, FileNotFoundError) for file in found.values())
    return found, missing and handle is not None and not _still_there(folder, handle)


def _still_there(folder: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(folder), os.fstat(handle))
    except OSError:
        return False


def _opened(path: Path | str, folder: int | None) -> BinaryIO:
    # Asked before opening: to open a pipe waits for a writer, and to open some devices acts on them.
    kind = os.stat(path, dir_fd=folder).st_mode
    if not stat.S_ISREG(kind):
        raise ValueError("it is a directory" if stat.S_ISDIR(kind) else "it is not a regular file")
    # Not blocking: a pipe may have taken its place since the check. O_BINARY: Windows would translate line ends.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    return open(os.open(path, flags, dir_fd=folder), "rb")


def _cannot_read(path: Path, error: OSError | ValueError) -> StoredFileError:
    return StoredFileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a file all at once: readers see the old content or the new, never a part.

    Raises:
        StoredFileError: if it cannot be written.
    """
    with new_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """A temporary file to write, which takes its place, on the disk too, when the block ends without an error.

    An older file keeps its rights.

    Yields:
        Its path, with the same ending.

    Raises:
        StoredFileError: if it cannot be written, or something else than a regular file is there.
    """
    with _told_as_stored_file_error(path):
        target = _resolved(path)
        _check_regular(path, target)  # known before anything is computed for it
        with _replacing.workshop(target) as folder:
            # The suffix is kept: some writers choose the format of the file by it.
            temporary = folder / f"new{target.suffix}"
            mode = _replacing.rights(target, _replacing.new_file_rights(temporary))
            yield temporary
            _check_regular(path, target)
            _replacing.put_file(temporary, target, mode)


@contextmanager
def new_directory(path: str | Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """Fill a directory and put it in place all at once, on the disk too, when the block ends without an error.

    An older directory keeps its rights, and files of the same names theirs.

    Args:
        path: where the directory goes.
        check: raises `StoredFileError` if what is there must not be replaced.

    Yields:
        An empty directory to write files into.

    Raises:
        StoredFileError: if what is there must not be replaced, or it cannot be written.
    """
    with _told_as_stored_file_error(path):
        check(Path(path))
        target = _resolved(path)
        with _replacing.workshop(target) as folder:
            usual = _replacing.new_file_rights(folder / "rights")
            # One level down: the workshop itself holds the lock, and goes at the end.
            filled = folder / "new"
            filled.mkdir()
            yield filled
            check(Path(path))
            _replacing.put_folder(filled, target, usual)


def _check_regular(path: str | Path, target: Path) -> None:
    if target.is_dir():
        raise StoredFileError(f"cannot write {path}: it is a directory")
    if target.exists() and not target.is_file():
        raise StoredFileError(f"cannot write {path}: it is not a regular file")


@contextmanager
def _told_as_stored_file_error(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoredFileError(f"cannot write {path}: {error.strerror or error}") from error
    except SafetensorError as error:  # safetensors tells so of a full disk too
        raise StoredFileError(f"cannot write {path}: {error}") from error


def _resolved(path: str | Path) -> Path:
    try:
        return Path(path).resolve()
    except (ValueError, RuntimeError) as error:
        raise StoredFileError(f"cannot write {str(path)!r}: {error}") from error
