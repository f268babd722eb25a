"""Files: JSON of frozen records, atomic writes, checksums, and the versions that made a result."""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from safetensors import SafetensorError

from qtaml.errors import StoredFileError

T = TypeVar("T")

_adapter: Callable[[Any], pydantic.TypeAdapter[Any]] = lru_cache(maxsize=32)(pydantic.TypeAdapter)


def versions() -> dict[str, str]:
    """Versions of what made a result.

    Example:
        >>> sorted(versions())
        ['numpy', 'python', 'qtaml', 'scipy', 'torch']
    """
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
        place = ".".join(map(str, first["loc"])) or "the file"
        raise StoredFileError(f"{source} is not a valid {kind.__name__}: {place}: {first['msg']}") from error


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        StoredFileError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoredFileError(f"cannot read {path}: {error.strerror}") from error


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
    with new_file(path) as temporary, open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """A temporary file to write, which takes its place when the block ends without an error.

    Yields:
        Its path, with the same ending.

    Raises:
        StoredFileError: if it cannot be written.
    """
    with _told_as_stored_file_error(path):
        target = _resolved(path)
        if target.is_dir():  # known before anything is computed for it
            raise StoredFileError(f"cannot write {path}: it is a directory")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".new-", suffix=target.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _give_usual_rights(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_directory(path: str | Path, marker: str) -> Iterator[Path]:
    """Fill a directory and put it in place all at once, when the block ends without an error.

    Args:
        path: where the directory goes. What is there is replaced only if it holds the file `marker`, or nothing.
        marker: name of the file that shows a directory to be of the same kind.

    Yields:
        An empty directory to write into.

    Raises:
        StoredFileError: if something else is at `path`, or it cannot be written.
    """
    with _told_as_stored_file_error(path):
        check_replaceable(path, marker)
        target = _resolved(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
        filled, replaced = temporary / "new", temporary / "old"
        try:
            filled.mkdir()
            yield filled
            for file in filled.iterdir():
                _give_usual_rights(file)
            if target.exists():
                os.replace(target, replaced)
            os.replace(filled, target)
        finally:
            if replaced.exists() and not target.exists():
                os.replace(replaced, target)
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: str | Path, marker: str) -> None:
    """Check that `new_directory` may put a directory in a place, before anything is computed for it.

    Raises:
        StoredFileError: if something else is there.
    """
    with _told_as_stored_file_error(path):
        target = _resolved(path)
        if target.exists() and not (target / marker).is_file() and not (target.is_dir() and not any(target.iterdir())):
            raise StoredFileError(f"{path} exists and has no {marker}: it is not overwritten")


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


def _give_usual_rights(path: Path) -> None:
    """Those that any new file has; temporary files, and those of safetensors, are private."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
