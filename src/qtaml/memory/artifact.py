"""A memory on disk: bit planes, scales, readout tables and the rest as safetensors, plan and map as JSON, checksums."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from safetensors import SafetensorError

from qtaml import _files
from qtaml.errors import ArgumentError, ModelError, StoredFileError
from qtaml.formats import label_dtype
from qtaml.memory.planes import filled_up_with_zeros, pack, regions, unpack
from qtaml.memory.protection_map import formats_of, protection_map
from qtaml.planning import Plan, Setting, TensorPlan

MANIFEST, MANIFEST_CHECKSUM = "manifest.json", "manifest.json.sha256"
_PLAN, _MAP = "plan.json", "map.json"
_PLANES, _SCALES, _READOUTS, _REST = (f"{name}.safetensors" for name in ("planes", "scales", "readouts", "rest"))
_FILES = (_PLAN, _MAP, _PLANES, _SCALES, _READOUTS, _REST)
_FORMAT, _VERSION, _KEPT = "qtaml-memory", 2, "__metadata__"

Tensors = dict[str, torch.Tensor]


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

    def with_words(self, words: Mapping[str, torch.Tensor]) -> "Artifact":
        """This network with other stored words; as `Memory.with_words`."""
        tensors = {}
        for entry in self.plan.tensors:
            stored = self.tensors[entry.name]
            new = check_words(entry, words.get(entry.name)).to(stored.words.device)
            tensors[entry.name] = StoredTensor(new, stored.scale)
        return replace(self, tensors=tensors)


def check_words(entry: TensorPlan, words: torch.Tensor | None) -> torch.Tensor:
    """Check that words are there and fit a tensor of a plan.

    Raises:
        ArgumentError: if not.
    """
    expected = label_dtype(entry.storage.bits)
    if words is None or (words.shape, words.dtype) != (entry.shape, expected):
        got = "none" if words is None else f"{words.dtype} of shape {tuple(words.shape)}"
        raise ArgumentError(f"words of {entry.name!r} must be {expected} of shape {entry.shape}, got {got}")
    if not entry.storage.holds(words):
        raise ArgumentError(f"words of {entry.name!r} must be labels of their formats")
    return words


@dataclass(frozen=True)
class Manifest:
    """What a directory with a stored network holds.

    Attributes:
        sha256: checksum of every other file, by its name.
        method: what made the plan.
        settings: what it was asked, seed included.
        source: how the command line got the network, so that it can evaluate the memory again; empty otherwise.
        weights: the file of weights that it put into the network; empty otherwise.
        versions: versions of what wrote it.
        format: says that this is a qtaml memory.
        version: version of the layout.
    """

    sha256: dict[str, str]
    method: str
    settings: dict[str, Setting]
    source: str = ""
    weights: str = ""
    versions: dict[str, str] = field(default_factory=_files.versions)
    format: Literal["qtaml-memory"] = "qtaml-memory"
    version: Literal[2] = 2


@dataclass(frozen=True)
class _Kind:
    """What every version of the manifest says first."""

    format: str = ""
    version: int = 0


def write_artifact(path: str | Path, artifact: Artifact, *, source: str = "", weights: str = "") -> None:
    """Write a stored network to a directory, all at once: it appears complete or not at all.

    Args:
        path: the directory; an older stored network there is replaced, anything else is not.
        artifact: what to write.
        source: how the network can be made again (for the command line).
        weights: file of its weights (likewise).

    Raises:
        StoredFileError: if the directory holds something else, or cannot be written.
        ModelError: if a tensor has a name or a layout that no file can hold.
    """
    if _KEPT in {*artifact.tensors, *artifact.rest}:
        raise ModelError(f"tensor {_KEPT!r} must have another name to be stored: safetensors keeps this one for itself")
    for name, tensor in artifact.rest.items():
        if tensor.layout != torch.strided:
            raise ModelError(f"tensor {name!r} must be dense to be stored, got layout {tensor.layout}")
        if tensor.dtype == torch.complex128 or tensor.is_quantized:
            raise ModelError(f"tensor {name!r} must have a dtype of safetensors to be stored, got {tensor.dtype}")
    plan = artifact.plan
    packed = {
        entry.name: torch.from_numpy(pack(entry.storage, artifact.tensors[entry.name].words)) for entry in plan.tensors
    }
    with _files.new_directory(path, MANIFEST) as directory:
        for name, tensors in (
            (_PLANES, packed),
            (_SCALES, {name: tensor.scale for name, tensor in artifact.tensors.items()}),
            (_READOUTS, _readouts(plan)),
            (_REST, artifact.rest),
        ):
            dense = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
            safetensors.torch.save_file(dense, directory / name)
        (directory / _PLAN).write_text(plan.to_json(), encoding="utf-8")
        (directory / _MAP).write_text(_files.to_json(protection_map(plan)), encoding="utf-8")
        checksums = {name: _sha256(directory / name) for name in _FILES}
        manifest = Manifest(checksums, plan.method, plan.settings, source, weights)
        (directory / MANIFEST).write_text(_files.to_json(manifest), encoding="utf-8")
        (directory / MANIFEST_CHECKSUM).write_text(_checksum_line(directory), encoding="utf-8")


def read_artifact(path: str | Path) -> Artifact:
    """Read a stored network from a directory, and verify every checksum.

    Raises:
        StoredFileError: if a file is missing, damaged, or not of a qtaml memory.
    """
    path = Path(path)
    manifest = read_manifest(path)
    for name in _FILES:
        if (found := _sha256(path / name)) != (expected := manifest.sha256.get(name, "none")):
            raise StoredFileError(f"{path / name} is damaged: its SHA-256 is {found}, the manifest says {expected}")
    plan = Plan.from_json(_files.read_bytes(path / _PLAN).decode(errors="replace"), str(path / _PLAN))
    if _files.read_bytes(path / _MAP) != _files.to_json(protection_map(plan)).encode():
        raise StoredFileError(f"{path} does not fit its plan: {_MAP} is not the map of this plan")
    packed, scales, readouts, rest = (_tensors(path / name) for name in (_PLANES, _SCALES, _READOUTS, _REST))
    _check_content(path, plan, packed, scales, readouts)
    tensors = {
        entry.name: StoredTensor(
            unpack(entry.storage, packed[entry.name].numpy()).reshape(entry.shape), scales[entry.name]
        )
        for entry in plan.tensors
    }
    return Artifact(plan, tensors, rest)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a stored network.

    Raises:
        StoredFileError: if the directory has none, or it is damaged, of another version, or not one of qtaml's.
    """
    data = _files.read_bytes(path / MANIFEST)
    try:
        kind = _files.from_json(_Kind, data, str(path / MANIFEST))
    except StoredFileError as error:
        raise StoredFileError(f"{path / MANIFEST} is damaged, or is no manifest of a stored network") from error
    if kind.format != _FORMAT:
        raise StoredFileError(f"{path} holds {kind.format!r}, not a {_FORMAT}")
    if kind.version != _VERSION:
        remedy = "update qtaml" if kind.version > _VERSION else "store the network again"
        raise StoredFileError(
            f"{path} has version {kind.version} of the layout, and this qtaml reads version {_VERSION}: {remedy}"
        )
    if _files.read_bytes(path / MANIFEST_CHECKSUM) != _checksum_line(path).encode():
        raise StoredFileError(f"{path} is damaged: {MANIFEST} and {MANIFEST_CHECKSUM} do not fit each other")
    return _files.from_json(Manifest, data, str(path / MANIFEST))


def _checksum_line(directory: Path) -> str:
    """As `sha256sum` writes and checks it."""
    return f"{_sha256(directory / MANIFEST)}  {MANIFEST}\n"


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoredFileError(f"cannot read {path}: {error.strerror}") from error


def _readouts(plan: Plan) -> Tensors:
    return {str(number): torch.from_numpy(fmt.readout()) for fmt, number in formats_of(plan).items()}


def _check_content(path: Path, plan: Plan, packed: Tensors, scales: Tensors, readouts: Tensors) -> None:
    """Check that tensors fit the plan of a directory, whose checksums are right."""
    for kind, found in (("planes", packed), ("scales", scales)):
        if different := sorted({entry.name for entry in plan.tensors} ^ found.keys()):
            raise StoredFileError(f"{path} does not fit its plan: {kind} of {different[0]!r} in only one of the two")
    if not _same(readouts, _readouts(plan)):
        raise StoredFileError(f"{path} does not fit its plan: {_READOUTS} holds other readout tables")
    for entry in plan.tensors:
        for problem in _problems(entry, packed[entry.name], scales[entry.name]):
            raise StoredFileError(f"{path} does not fit its plan: {entry.name!r}: {problem}")


def _same(first: Tensors, second: Tensors) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _problems(entry: TensorPlan, packed: torch.Tensor, scale: torch.Tensor) -> Iterator[str]:
    storage = entry.storage
    size = regions(storage)[-1].stop
    if (packed.dtype, tuple(packed.shape)) != (torch.uint8, (size,)):
        yield f"planes must be uint8 of shape {(size,)}, got {packed.dtype} of shape {tuple(packed.shape)}"
    if not filled_up_with_zeros(storage, packed.numpy()):
        yield "planes must be filled up with zeros"
    per_row = storage.granularity == "row" and len(entry.shape) > 1
    scale_shape = (entry.shape[0], *(1,) * (len(entry.shape) - 1)) if per_row else ()
    if (scale.dtype, tuple(scale.shape)) != (torch.float64, scale_shape):
        yield f"scale must be float64 of shape {scale_shape}, got {scale.dtype} of shape {tuple(scale.shape)}"
    if not bool((scale.isfinite() & (scale >= 0)).all()):
        yield "scale must be finite and at least 0"


def _tensors(path: Path) -> Tensors:
    try:
        # Copies, since the file that they would otherwise be a view of may change.
        return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise StoredFileError(f"{path} is not a safetensors file: {error}") from error
