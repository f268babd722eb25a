"""Checkpoints of a training: tensors as safetensors, all else as JSON, in a folder that is replaced all at once."""

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from qtaml import _files
from qtaml.errors import ArgumentError, StoredFileError

_TENSORS, _RECORD = "tensors.safetensors", "training.json"


@dataclass(frozen=True)
class Epoch:
    """An epoch of training.

    Attributes:
        loss: mean over its steps.
        held_out: mean loss of reads of the network on the held-out samples, after it; None without such samples.
    """

    loss: float
    held_out: float | None = None


@dataclass(frozen=True)
class Progress:
    """Where a training stands, but for its tensors.

    Attributes:
        asked: checksum of network, plan, samples and settings: a checkpoint is of one training.
        steps: steps made.
        history: the epochs that are finished.
        sha256: of the file of tensors.
        versions: versions of the packages that wrote it.
        format: says what this is.
    """

    asked: str
    steps: int
    history: tuple[Epoch, ...]
    sha256: str
    versions: dict[str, str]
    format: str = "qtaml-training"


def save_checkpoint(
    path: Path, asked: str, steps: int, history: tuple[Epoch, ...], tensors: dict[str, torch.Tensor]
) -> None:
    """Write a checkpoint.

    Args:
        path: the folder; an older checkpoint there is replaced, anything else is not.
        asked: as in `Progress`.
        steps: as there.
        history: as there.
        tensors: by name, no two of which share memory.

    Raises:
        StoredFileError: if the folder holds something else, or cannot be written.
    """
    data = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    record = Progress(asked, steps, history, _files.sha256(data), _files.versions())
    with _files.new_directory(path, check_checkpoint_folder) as folder:
        (folder / _TENSORS).write_bytes(data)
        (folder / _RECORD).write_text(_files.to_json(record))


def load_checkpoint(path: Path, asked: str) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """The checkpoint in a folder, or None if nothing is there.

    Raises:
        StoredFileError: if there is something else, or it is damaged.
        ArgumentError: if it is of another training.
    """
    check_checkpoint_folder(path)
    if not (path / _RECORD).exists():
        return None
    with _files.opened_together(path, (_RECORD, _TENSORS)) as read:
        progress, data = _files.from_json(Progress, read(_RECORD), str(path / _RECORD)), read(_TENSORS)
    if _files.sha256(data) != progress.sha256:
        raise StoredFileError(f"{path / _TENSORS} is damaged: its SHA-256 is not the one in {_RECORD}")
    if progress.asked != asked:
        raise ArgumentError(
            f"checkpoint must be of this training, got that of another network, plan, samples or settings in {path}: "
            "name another folder, or delete it"
        )
    try:
        return progress, safetensors.torch.load(data)
    except SafetensorError as error:
        raise StoredFileError(f"{path / _TENSORS} cannot be read: {error}") from error


def check_checkpoint_folder(path: Path) -> None:
    """Check that a folder is a checkpoint, or free to become one.

    Raises:
        StoredFileError: if not.
    """
    _files.check_folder(path)
    if path.exists() and (names := {one.name for one in path.iterdir()}) and names != {_TENSORS, _RECORD}:
        raise StoredFileError(f"cannot write {path}: it holds something else than a checkpoint of a training")
