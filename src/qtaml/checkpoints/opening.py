"""Which kind of checkpoint a file is, by what it begins with; for what is not read, the next step."""

import os
import zipfile
from pathlib import Path

from qtaml import _files
from qtaml.checkpoints.checkpoint_file import Checkpoint, Source
from qtaml.checkpoints.gguf_file import MAGIC, read_gguf
from qtaml.checkpoints.onnx_checkpoint import read_onnx
from qtaml.checkpoints.safetensors_file import read_safetensors
from qtaml.checkpoints.tflite_file import read_tflite
from qtaml.errors import StoredFileError
from qtaml.networks.tflite_reading import IDENTIFIER

READ = "a .gguf, .safetensors, .onnx or .tflite file"
_WEIGHT_FILES = (".gguf", ".safetensors", ".onnx", ".tflite")
_LISTED = 4
_FOREIGN = (b"PK\x03\x04", b"\x80", b"version ")
"""What zip files, pickles and pointers of Git LFS begin with."""


def open_checkpoint(path: str | Path) -> Checkpoint:
    """The stored words of a checkpoint file; the weights stay in the file until they are asked for.

    Args:
        path: a GGUF, safetensors, ONNX or TFLite file.

    Returns:
        Its tensors by their names.

    Raises:
        StoredFileError: if the file is missing, damaged, truncated, or something that is not read; the message says
            what to do instead.
        QtamlError: if a package that the format needs is not installed.

    Example:
        >>> import tempfile, torch
        >>> from safetensors.torch import save_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_file({"layer.weight": torch.ones(2, 3, dtype=torch.bfloat16)}, f"{folder}/m.safetensors")
        ...     checkpoint = open_checkpoint(f"{folder}/m.safetensors")
        ...     checkpoint["layer.weight"].values().tolist(), checkpoint.bits
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], 96)
    """
    path = Path(path)
    if os.path.isdir(path):
        raise StoredFileError(_next_step_of_folder(path))
    source = Source.of(path)
    start = bytes(source.read(0, 9))
    if start.startswith(MAGIC):
        return read_gguf(source)
    if start[4:8] == IDENTIFIER:
        return read_tflite(source)
    if path.suffix == ".onnx":
        return read_onnx(source)
    # Eight bytes are the length of the header, which may begin like anything else.
    if path.suffix == ".safetensors" and (start[8:] == b"{" or not start.startswith(_FOREIGN)):
        return read_safetensors(source)
    raise StoredFileError(f"{path} is not read: {_next_step(path, start)}")


def without_network(path: Path) -> str:
    """What to type where weights without a network are given for a network; empty where nothing is to be said.

    Args:
        path: of a file or folder.
    """
    # Not by the path itself, which fails for names that no file can have.
    if os.path.isdir(path):
        held = (path / "adapter_config.json").is_file() or any(entry.suffix == ".gguf" for entry in path.iterdir())
        return _next_step_of_folder(path) if held and not (path / "config.json").is_file() else ""
    if path.suffix == ".safetensors" and os.path.isfile(path):
        return (
            f"{path} is a checkpoint, weights without the network that computes with them: qtaml inspect {path}, "
            f"qtaml protect {path} --cells 1.2 --p 0.01; or package.module:factory --weights FILE.safetensors"
        )
    if os.path.isfile(path) and _is_script(path):
        return f"{path} is TorchScript, which is not loaded: give its program, torch.export.export(...), as .pt2"
    return ""


def _next_step_of_folder(path: Path) -> str:
    """What to give instead of a folder."""
    if (path / "adapter_config.json").is_file():
        return (
            f"{path} is the folder of an adapter, which holds changes of weights: merge it into its network first "
            "(peft: model.merge_and_unload().save_pretrained(FOLDER)), and give a file of that"
        )
    files = sorted(entry.name for entry in path.iterdir() if entry.suffix in _WEIGHT_FILES)
    if not files:
        return f"{path} is a folder without checkpoint files; give {READ}"
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return f"{path} is a folder; give one of its files: {', '.join(files[:_LISTED])}{more}"


def _next_step(path: Path, start: bytes) -> str:
    """What to do with a file that is no checkpoint which is read."""
    if start.startswith(b"version "):
        return "it is a pointer of Git LFS, not the weights themselves: fetch them by git lfs pull"
    if start.startswith(b"PK\x03\x04") and path.suffix == ".pt2":
        return "it is a program of torch.export, which the other commands take as MODEL: qtaml design MODEL ..."
    if start.startswith(b"PK\x03\x04") and _is_script(path):
        return (
            "it is TorchScript, which can run code: where you trust it, "
            "safetensors.torch.save_file(torch.jit.load(PATH).state_dict(), 'model.safetensors')"
        )
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return (
            "it is a pickled checkpoint, which can run code: where you trust it, "
            "safetensors.torch.save_file(torch.load(PATH, weights_only=True), 'model.safetensors')"
        )
    return f"give {READ}"


def _is_script(path: Path) -> bool:
    """Whether a zip file has the code of TorchScript."""
    try:
        with _files.open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return any("/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
