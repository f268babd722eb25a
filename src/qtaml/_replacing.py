"""Atomic rename of a finished file or folder over another, synced so that it survives a power cut."""

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

# Constants of Linux, which Python does not have: paths are relative to the current folder; the two change places.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_OLD = "old"


@contextmanager
def workshop(target: Path) -> Iterator[Path]:
    """A private folder beside a target, to make what takes its place; it is deleted when the block ends.

    Writers that were killed leave theirs behind, and the next writer of the same target deletes those: a writer holds a
    lock on its folder, which the system drops with the process. Without locks (Windows, some network file systems) they
    stay.

    Raises:
        OSError: if it cannot be made.
    """
    _make_folder(target.parent)
    # Beside the target: a rename works within one file system only. Hashed, since a long name with a suffix might be
    # refused.
    start = f".new-{hashlib.sha256(target.name.encode(errors='surrogateescape')).hexdigest()[:12]}-"
    for left in target.parent.glob(f"{start}*"):
        _delete_if_left(left, target)
    while (locked := _locked(folder := target.parent / f"{start}{secrets.token_hex(4)}")) is None:
        pass  # another writer took it for left over before it was locked
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(locked)


def put_file(new: Path, target: Path, mode: int) -> None:
    """Put a file from a workshop in place, with these rights."""
    _sync(new, mode)
    os.replace(new, target)
    _sync(target.parent)


def put_folder(new: Path, target: Path, mode: int) -> None:
    """Put a folder from a workshop in place, with the rights that files of the same names have there now.

    On Linux the two change places at once. Where the system cannot do that, nothing is in place for a moment, and the
    next writer puts the old folder back if this one is killed in it.
    """
    # Contents first, then the folder, then the rename: after a power cut a new name must not point to old or empty
    # files.
    for file in new.iterdir():
        _sync(file, rights(target / file.name, mode))
    _sync(new, rights(target, stat.S_IMODE(new.stat().st_mode)))
    if not target.exists():
        os.rename(new, target)
    elif not _exchange(new, target):
        old = new.with_name(_OLD)
        try:
            os.rename(target, old)
            os.rename(new, target)
        finally:
            _put_back(old, target)
    _sync(target.parent)


def rights(path: Path, default: int) -> int:
    """The rights of what is at a path, or the default if nothing is."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else default


def new_file_rights(path: Path) -> int:
    """Make an empty file; the rights that the system gives it, which are those of any new file there."""
    # To ask for the umask is to change it for a moment, in all threads.
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, each of them synced."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _locked(folder: Path) -> int | None:
    """Make a folder and hold a lock on it; None if another process has it."""
    # Nobody else may put a link there for this process to write through.
    folder.mkdir(mode=0o700)
    if sys.platform == "win32":
        return os.open(os.devnull, os.O_RDONLY)
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        return handle  # no locks here: nobody takes it for left over either
    # Between mkdir and the lock another writer may have taken it for left over and deleted it.
    if not folder.exists():
        os.close(handle)
        return None
    return handle


def _delete_if_left(folder: Path, target: Path) -> None:
    """Delete the workshop of a writer that is no more."""
    if sys.platform == "win32":
        return
    try:
        # O_NOFOLLOW: a link of such a name is not a workshop, and what it points to must not be deleted.
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # That writer may have died between its two renames.
        _put_back(folder / _OLD, target)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        pass
    finally:
        os.close(handle)


def _put_back(old: Path, target: Path) -> None:
    if old.exists() and not target.exists():
        os.rename(old, target)


def _exchange(first: Path, second: Path) -> bool:
    """Let two paths change places at once; False if the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    if (number := ctypes.get_errno()) in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(number, os.strerror(number), str(second))


def _sync(path: Path, mode: int | None = None) -> None:
    """Have the system write a file or folder to the disk, with new rights if given."""
    folder = path.is_dir()
    # Windows can open no folder as a file.
    if folder and sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        if mode is not None:
            os.chmod(path, mode)
        os.fsync(handle)
    finally:
        os.close(handle)
