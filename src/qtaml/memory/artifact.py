"""A memory on disk: words, scales and the rest of the network as safetensors, the plan as JSON, a checksum for each."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from safetensors import SafetensorError

from qtaml import _files
from qtaml.errors import StoredFileError
from qtaml.formats import label_dtype
from qtaml.planning import Plan, TensorPlan

MANIFEST = "manifest.json"
_PLAN, _WORDS, _SCALES, _REST = "plan.json", "words.safetensors", "scales.safetensors", "rest.safetensors"
_FILES = (_PLAN, _WORDS, _SCALES, _REST)


@dataclass(frozen=True)
class StoredTensor:
    """What is kept of one tensor.

    Attributes:
        words: the stored words, uint8 up to 8 bits and uint16 above, in the shape of the tensor.
        scale: full scale of the levels, float64, kept outside the leaking memory.
    """

    words: torch.Tensor
    scale: torch.Tensor


@dataclass(frozen=True)
class Artifact:
    """A stored network without its architecture.

    Attributes:
        plan: how it is stored.
        tensors: the stored words of each tensor of the plan.
        rest: the parameters and buffers that are not in the leaking memory.
    """

    plan: Plan
    tensors: dict[str, StoredTensor]
    rest: dict[str, torch.Tensor]


@dataclass(frozen=True)
class Manifest:
    """What a directory with a stored network holds.

    Attributes:
        sha256: checksum of every other file, by its name.
        source: how the command line got the network, so that it can evaluate the memory again; empty otherwise.
        versions: versions of what wrote it.
        format: says that this is a qtaml memory.
        version: version of the layout.
    """

    sha256: dict[str, str]
    source: str = ""
    versions: dict[str, str] = field(default_factory=_files.versions)
    format: Literal["qtaml-memory"] = "qtaml-memory"
    version: Literal[1] = 1


def write_artifact(path: str | Path, artifact: Artifact, *, source: str = "") -> None:
    """Write a stored network to a directory, all at once: it appears complete or not at all.

    Args:
        path: the directory; an older stored network there is replaced, anything else is not.
        artifact: what to write.
        source: how the network can be made again (for the command line).

    Raises:
        StoredFileError: if the directory holds something else, or cannot be written.
    """
    stored = artifact.tensors.items()
    plan = artifact.plan.to_json()
    with _files.new_directory(path, MANIFEST) as directory:
        for file, tensors in (
            (_WORDS, {name: tensor.words for name, tensor in stored}),
            (_SCALES, {name: tensor.scale for name, tensor in stored}),
            (_REST, artifact.rest),
        ):
            dense = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
            safetensors.torch.save_file(dense, directory / file)
        (directory / _PLAN).write_text(plan, encoding="utf-8")
        manifest = Manifest({name: _sha256(directory / name) for name in _FILES}, source)
        (directory / MANIFEST).write_text(_files.to_json(manifest), encoding="utf-8")


def read_artifact(path: str | Path) -> Artifact:
    """Read a stored network from a directory, and verify every checksum.

    Raises:
        StoredFileError: if a file is missing, damaged, or not of a qtaml memory.
    """
    path = Path(path)
    manifest = read_manifest(path)
    for name in _FILES:
        _verify(path / name, manifest)
    plan = Plan.from_json(_files.read_bytes(path / _PLAN).decode(errors="replace"), str(path / _PLAN))
    words, scales, rest = (_tensors(path / name) for name in (_WORDS, _SCALES, _REST))
    for kind, found in (("words", words), ("scales", scales)):
        if different := sorted({entry.name for entry in plan.tensors} ^ found.keys()):
            raise StoredFileError(f"{path} does not fit its plan: {kind} of {different[0]!r} in only one of the two")
    for entry in plan.tensors:
        _check_content(path, entry, words[entry.name], scales[entry.name])
    tensors = {entry.name: StoredTensor(words[entry.name], scales[entry.name]) for entry in plan.tensors}
    return Artifact(plan, tensors, rest)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a stored network.

    Raises:
        StoredFileError: if the directory has none, or it is not one of qtaml's.
    """
    data = _files.read_bytes(path / MANIFEST)
    return _files.from_json(Manifest, data, str(path / MANIFEST))


def _verify(path: Path, manifest: Manifest) -> None:
    try:
        expected, found = manifest.sha256.get(path.name, "none"), _sha256(path)
    except OSError as error:
        raise StoredFileError(f"cannot read {path}: {error.strerror}") from error
    if found != expected:
        raise StoredFileError(f"{path} is damaged: its SHA-256 is {found}, the manifest says {expected}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_content(path: Path, entry: TensorPlan, words: torch.Tensor, scale: torch.Tensor) -> None:
    bits = entry.storage.bits
    per_row = entry.storage.granularity == "row" and len(entry.shape) > 1
    scale_shape = (entry.shape[0], *(1,) * (len(entry.shape) - 1)) if per_row else ()
    same = (words.dtype, tuple(words.shape)) == (label_dtype(bits), entry.shape)
    for what, holds in (
        (
            f"words must be {label_dtype(bits)} of shape {entry.shape}",
            same,
        ),
        ("words must be labels of their formats", not same or entry.storage.holds(words)),
        (
            f"scale must be float64 of shape {scale_shape}",
            (scale.dtype, tuple(scale.shape)) == (torch.float64, scale_shape),
        ),
        (
            "scale must be finite and at least 0",
            scale.dtype != torch.float64 or bool((scale.isfinite() & (scale >= 0)).all()),
        ),
    ):
        if not holds:
            raise StoredFileError(f"{path} does not fit its plan: {entry.name!r}: {what}")


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        # Copies, since the file that they would otherwise be a view of may change.
        return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise StoredFileError(f"{path} is not a safetensors file: {error}") from error
