"""A memory on disk: bit planes, scales, readout tables and the rest as safetensors, plan and map as JSON, checksums."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from safetensors import SafetensorError

from qtaml import _files
from qtaml.errors import ArgumentError, ModelError, StoredFileError
from qtaml.formats import Format, Outliers, label_dtype, scale_shape
from qtaml.memory.planes import filled_up_with_zeros, pack, regions, unpack
from qtaml.memory.protection_map import formats_of, protection_map
from qtaml.model import is_wrapper_tensor
from qtaml.planning import AnySettings, Plan, TensorPlan

MANIFEST, MANIFEST_CHECKSUM = "manifest.json", "manifest.json.sha256"
_PLAN, _MAP = "plan.json", "map.json"
_PLANES, _SCALES, _OUTLIERS, _READOUTS, _REST = (
    f"{name}.safetensors" for name in ("planes", "scales", "outliers", "readouts", "rest")
)
_FILES = (_PLAN, _MAP, _PLANES, _SCALES, _OUTLIERS, _READOUTS, _REST)
_FORMAT, _VERSION, _KEPT = "qtaml-memory", 7, "__metadata__"
_PLACES, _VALUES = ".places", ".values"
# The most weights of a stored network: 16 million, and a thousand for each byte of planes. Weights of 0 bits take no
# bytes, and words are made for them all the same, so a forged plan of a few bytes could ask for any amount of memory. A
# network that leaves 99.9% of its weights out is dead, so nobody stores one.
_UNSTORED, _FOR_EACH_BYTE = 2**24, 2**10

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class StoredTensor:
    """The stored words of one tensor, with their scale.

    Attributes:
        words: the stored words, uint8 up to 8 bits and uint16 above, in the shape of the tensor.
        scale: full scale of the levels, float64, outside the leaking memory.
        outliers: the weights that are kept beside the words; None if none are.
    """

    words: torch.Tensor
    scale: torch.Tensor
    outliers: Outliers | None = None

    def to(self, device: torch.device) -> "StoredTensor":
        """The same on a device."""
        outliers = self.outliers and self.outliers.to(device)
        return StoredTensor(self.words.to(device), self.scale.to(device), outliers)


@dataclass(frozen=True)
class Artifact:
    """A stored network without its architecture.

    Attributes:
        plan: how it is stored.
        tensors: the stored words of each tensor of the plan.
        rest: the parameters and buffers that are not in the leaking memory.
        source: how the command line named the network; empty if it did not store it.
        weights: the file of weights that it put into the network; likewise.
    """

    plan: Plan
    tensors: dict[str, StoredTensor]
    rest: dict[str, torch.Tensor]
    source: str = ""
    weights: str = ""

    def with_words(self, words: Mapping[str, torch.Tensor]) -> "Artifact":
        """This network with other stored words; as `Memory.with_words`."""
        tensors = {}
        for entry in self.plan.tensors:
            stored = self.tensors[entry.name]
            new = check_words(entry, words.get(entry.name)).to(stored.words.device)
            tensors[entry.name] = replace(stored, words=new)
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
    """The manifest of a stored network: checksums of its files, settings, origin and versions.

    Attributes:
        sha256: checksum of every other file, by its name.
        settings: settings of the method that made the plan, seed included.
        source: how the command line named the network, as a hint for who looks for it: nothing is loaded because it is
            named here. Empty otherwise.
        weights: the file of weights that it put into the network; likewise.
        versions: versions of the packages that wrote it.
        format: says that this is a qtaml memory.
        version: version of the layout.
    """

    sha256: dict[str, str]
    settings: AnySettings
    source: str = ""
    weights: str = ""
    versions: dict[str, str] = field(default_factory=_files.versions)
    format: Literal["qtaml-memory"] = "qtaml-memory"
    version: Literal[7] = 7


@dataclass(frozen=True)
class _Kind:
    """The fields that every version of the manifest has."""

    format: str = ""
    version: int = 0


def check_replaceable(path: str | Path) -> None:
    """Check that a stored network may be put in a place: nothing is there, or a stored network and nothing else.

    Raises:
        StoredFileError: if something else is there, or a file that no stored network has.
    """
    path = Path(path)
    try:
        path.stat()
        found = os.scandir(path) if path.is_dir() else ()
        # A link counts as foreign, since what it points to would not be replaced but lost.
        entries = {entry.name: entry.is_file(follow_symlinks=False) for entry in found}
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise StoredFileError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
    if path.is_dir() and not entries:
        return
    if MANIFEST not in entries:
        raise StoredFileError(f"{path} exists and has no {MANIFEST}: it is not overwritten")
    # Of any version: an older stored network may be replaced, though not read.
    if (kind := _kind(_files.read_bytes(path / MANIFEST), path).format) != _FORMAT:
        raise StoredFileError(f"{path} holds {kind!r}, not a {_FORMAT}: it is not overwritten")
    known = {MANIFEST, MANIFEST_CHECKSUM, *_FILES}
    if other := sorted(name for name, regular in entries.items() if name not in known or not regular):
        raise StoredFileError(f"{path} holds {other[0]!r}, which no stored network has: it is not overwritten")


def write_artifact(path: str | Path, artifact: Artifact, *, source: str = "", weights: str = "") -> None:
    """Write a stored network to a directory, all at once: it appears complete or not at all.

    Args:
        path: the directory; an older stored network there is replaced, anything else is not.
        artifact: what to write.
        source: how the command line named the network.
        weights: the file of weights that it put into the network.

    Raises:
        StoredFileError: if the directory holds something else, or cannot be written.
        ModelError: if a tensor has a name or a layout that no file can hold.
    """
    # Refused before anything is packed or written.
    if _KEPT in {*artifact.tensors, *artifact.rest}:
        raise ModelError(f"tensor {_KEPT!r} must have another name to be stored: safetensors keeps this one for itself")
    for name, tensor in artifact.rest.items():
        if is_wrapper_tensor(tensor):
            raise ModelError(
                f"tensor {name!r} must be an ordinary one to be stored, got a {type(tensor).__name__}: give its "
                "dequantised values, nn.Parameter(weight.dequantize())"
            )
        if tensor.layout != torch.strided:
            raise ModelError(f"tensor {name!r} must be dense to be stored, got layout {tensor.layout}")
        if tensor.dtype == torch.complex128 or tensor.is_quantized:
            raise ModelError(f"tensor {name!r} must have a dtype of safetensors to be stored, got {tensor.dtype}")
    plan = artifact.plan
    packed = {
        entry.name: torch.from_numpy(pack(entry.storage, artifact.tensors[entry.name].words)) for entry in plan.tensors
    }
    with _files.new_directory(path, check_replaceable) as directory:
        for name, tensors in (
            (_PLANES, packed),
            (_SCALES, {name: tensor.scale for name, tensor in artifact.tensors.items()}),
            (_OUTLIERS, _outliers(artifact.tensors)),
            (_READOUTS, _readouts(plan)),
            (_REST, artifact.rest),
        ):
            # safetensors writes a tensor as it lies in memory: views and transposed ones have to be laid out first.
            dense = {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}
            safetensors.torch.save_file(dense, directory / name)
        (directory / _PLAN).write_text(plan.to_json(), encoding="utf-8")
        (directory / _MAP).write_text(_files.to_json(protection_map(plan)), encoding="utf-8")
        checksums = {name: _sha256(directory / name) for name in _FILES}
        # Last, since it has the checksums of the others.
        manifest = _files.to_json(Manifest(checksums, plan.settings, source, weights)).encode()
        (directory / MANIFEST).write_bytes(manifest)
        (directory / MANIFEST_CHECKSUM).write_bytes(_checksum_line(manifest))


def read_artifact(path: str | Path) -> Artifact:
    """Read a stored network from a directory, and verify every checksum.

    Each file is read once, and the same bytes are hashed and parsed; beside a writer all files are of one state.

    Raises:
        StoredFileError: if a file is missing, damaged, or not of a qtaml memory.
    """
    path = Path(path)
    with _files.opened_together(path, (MANIFEST, MANIFEST_CHECKSUM, *_FILES)) as read:
        manifest = _manifest(path, read(MANIFEST), read(MANIFEST_CHECKSUM))

        def checked(name: str) -> bytes:
            data = read(name)
            if (found := _files.sha256(data)) != (expected := manifest.sha256.get(name, "none")):
                raise StoredFileError(f"{path / name} is damaged: its SHA-256 is {found}, the manifest says {expected}")
            return data

        # A wrong byte becomes a replacement character, and so an error of the parser that names the file.
        plan = Plan.from_json(checked(_PLAN).decode(errors="replace"), str(path / _PLAN))
        # The map is for readers without qtaml; here it says nothing that the plan does not, and so has to be the same.
        if checked(_MAP) != _files.to_json(protection_map(plan)).encode():
            raise StoredFileError(f"{path} does not fit its plan: {_MAP} is not the map of this plan")
        packed, scales, kept, readouts, rest = (
            _tensors(path / name, checked(name)) for name in (_PLANES, _SCALES, _OUTLIERS, _READOUTS, _REST)
        )
    _check_content(path, plan, packed, scales, readouts)
    outliers = _checked_outliers(path, plan, kept)
    tensors = {
        entry.name: StoredTensor(
            unpack(entry.storage, packed[entry.name].numpy()).reshape(entry.shape),
            scales[entry.name],
            outliers.get(entry.name),
        )
        for entry in plan.tensors
    }
    return Artifact(plan, tensors, rest, manifest.source, manifest.weights)


def _manifest(path: Path, data: bytes, checksum: bytes) -> Manifest:
    """The manifest of a stored network; a wrong format or version is reported before any damage."""
    kind = _kind(data, path)
    if kind.format != _FORMAT:
        raise StoredFileError(f"{path} holds {kind.format!r}, not a {_FORMAT}")
    if kind.version != _VERSION:
        remedy = "update qtaml" if kind.version > _VERSION else "store the network again"
        raise StoredFileError(
            f"{path} has version {kind.version} of the layout, and this qtaml reads version {_VERSION}: {remedy}"
        )
    if checksum != _checksum_line(data):
        raise StoredFileError(f"{path} is damaged: {MANIFEST} and {MANIFEST_CHECKSUM} do not fit each other")
    return _files.from_json(Manifest, data, str(path / MANIFEST))


def _kind(data: bytes, path: Path) -> _Kind:
    try:
        return _files.from_json(_Kind, data, str(path / MANIFEST))
    except StoredFileError as error:
        raise StoredFileError(f"{path / MANIFEST} is damaged, or is no manifest of a stored network") from error


def _checksum_line(manifest: bytes) -> bytes:
    """As `sha256sum` writes and checks it."""
    return f"{_files.sha256(manifest)}  {MANIFEST}\n".encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _readouts(plan: Plan) -> Tensors:
    return {str(number): _readout(fmt) for fmt, number in formats_of(plan).items()}


def _readout(fmt: Format) -> torch.Tensor:
    return torch.from_numpy(fmt.readout())


def _outliers(tensors: Mapping[str, StoredTensor]) -> Tensors:
    found: Tensors = {}
    for name, tensor in tensors.items():
        if tensor.outliers:
            found |= {name + _PLACES: tensor.outliers.places, name + _VALUES: tensor.outliers.values}
    return found


def _checked_outliers(path: Path, plan: Plan, kept: Tensors) -> dict[str, Outliers]:
    """Outliers by tensor, as many as the plan says, at ascending places within it."""
    counts = {entry.name: entry.storage.outliers for entry in plan.tensors if entry.storage.outliers}
    kinds = ((_PLACES, torch.int64), (_VALUES, torch.float32))
    expected = {name + kind: (dtype, (count,)) for name, count in counts.items() for kind, dtype in kinds}
    if {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in kept.items()} != expected:
        raise StoredFileError(f"{path} does not fit its plan: {_OUTLIERS} must hold the outliers of the plan")
    weights = {entry.name: entry.storage.weights for entry in plan.tensors}
    found = {name: Outliers(kept[name + _PLACES], kept[name + _VALUES]) for name in counts}
    for name, (places, values) in found.items():
        if int(places[0]) < 0 or int(places[-1]) >= weights[name] or bool((places.diff() <= 0).any()):
            raise StoredFileError(f"{path} does not fit its plan: {name!r}: outliers must be at ascending places")
        if not bool(values.isfinite().all()):
            raise StoredFileError(f"{path} does not fit its plan: {name!r}: outliers must be finite")
    return found


def _check_content(path: Path, plan: Plan, packed: Tensors, scales: Tensors, readouts: Tensors) -> None:
    """Check that tensors fit the plan of a directory: its checksums are right, but a forger can compute them too."""
    size = sum(tensor.nbytes for tensor in packed.values())
    if (most := _UNSTORED + _FOR_EACH_BYTE * size) < plan.weights:
        raise StoredFileError(
            f"{path} does not fit its plan of {plan.weights} weights: {size} bytes of planes are for {most} at most"
        )
    for kind, found in (("planes", packed), ("scales", scales)):
        if different := sorted({entry.name for entry in plan.tensors} ^ found.keys()):
            raise StoredFileError(f"{path} does not fit its plan: {kind} of {different[0]!r} in only one of the two")
    formats = {str(number): fmt for fmt, number in formats_of(plan).items()}
    # Names and shapes are compared first, and tables made one by one: a plan whose file lacks them could ask for more
    # than the memory holds.
    if formats.keys() != readouts.keys() or not all(
        readouts[name].shape == (fmt.levels.readout_size,) and _same(readouts[name], _readout(fmt))
        for name, fmt in formats.items()
    ):
        raise StoredFileError(f"{path} does not fit its plan: {_READOUTS} holds other readout tables")
    for entry in plan.tensors:
        for problem in _problems(entry, packed[entry.name], scales[entry.name]):
            raise StoredFileError(f"{path} does not fit its plan: {entry.name!r}: {problem}")


def _same(found: torch.Tensor, made: torch.Tensor) -> bool:
    """Whether all numbers are equal, NaN as well."""
    return found.dtype == made.dtype and torch.allclose(found, made, rtol=0, atol=0, equal_nan=True)


def _problems(entry: TensorPlan, packed: torch.Tensor, scale: torch.Tensor) -> Iterator[str]:
    storage = entry.storage
    size = regions(storage)[-1].stop
    if (packed.dtype, tuple(packed.shape)) != (torch.uint8, (size,)):
        yield f"planes must be uint8 of shape {(size,)}, got {packed.dtype} of shape {tuple(packed.shape)}"
    # Or two files would hold the same words, and no longer be equal byte for byte.
    if not filled_up_with_zeros(storage, packed.numpy()):
        yield "planes must be filled up with zeros"
    expected = scale_shape(entry.shape, storage.granularity)
    if (scale.dtype, tuple(scale.shape)) != (torch.float64, expected):
        yield f"scale must be float64 of shape {expected}, got {scale.dtype} of shape {tuple(scale.shape)}"
    if not bool((scale.isfinite() & (scale >= 0)).all()):
        yield "scale must be finite and at least 0"


def _tensors(path: Path, data: bytes) -> Tensors:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, KeyError, AssertionError) as error:
        raise StoredFileError(f"{path} is not a safetensors file: {error}") from error
