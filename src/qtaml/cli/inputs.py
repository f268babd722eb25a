"""From what a user names on the command line to a network and data."""

import importlib
import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from qtaml import _files
from qtaml.cli.hugging_face import load_directory, tokens_of_text
from qtaml.cli.state_dict import check_not_pickled, load_weights
from qtaml.errors import ArgumentError, ModelError, StoredFileError
from qtaml.model import Batch

LABELS = "labels"


def load_model(spec: str, weights: Path | None = None) -> nn.Module:
    """The network that a command line names.

    Args:
        spec: path of a `torch.export` program (`.pt2`), a Hugging Face directory, or "package.module:factory", a
            function without arguments that returns the network; the current folder is searched too.
        weights: a `.safetensors` file with its state dict.

    Returns:
        The network.

    Raises:
        ArgumentError: if `spec` is none of these.
        StoredFileError: if a file cannot be read, is damaged, or holds pickled objects.
        ModelError: if the factory gives no module, or the weights do not fit it.
        QtamlError: if the package that a Hugging Face directory needs is not installed.
    """
    path = Path(spec)
    if path.is_dir():
        model = load_directory(path)
    elif spec.endswith(".pt2"):
        model = _load_program(path)
    elif spec.count(":") == 1:
        model = _call_factory(spec)
    else:
        check_not_pickled(path)
        raise ArgumentError(
            f"MODEL must be a .pt2 file, a Hugging Face directory, or package.module:factory, got {spec!r}"
        )
    if weights is not None:
        load_weights(model, weights)
    return model


def source_of(spec: str) -> str:
    """What a stored network keeps of where its network came from: paths in full."""
    return str(Path(spec).resolve()) if _is_on_disk(spec) else spec


def stored_spec(spec: str | None, source: str) -> str:
    """What to load as the network of a stored one: as named, or where the stored network says that it was.

    Args:
        spec: as for `load_model`; None if not named.
        source: what the stored network says. Only a program or a directory is loaded on its word, never code.

    Raises:
        ArgumentError: if the network must be named.
        StoredFileError: if it is not where it was.
    """
    if spec is None and not (_is_on_disk(source) and Path(source).exists()):
        if _is_on_disk(source):
            raise StoredFileError(
                f"the stored network was made from {source}, which is not there: name the network with --model"
            )
        where = f"was made from {source}" if source else "does not say where its network is"
        raise ArgumentError(f"the stored network {where}: name the network with --model")
    return spec or source


def _is_on_disk(spec: str) -> bool:
    return spec.endswith(".pt2") or (bool(spec) and Path(spec).is_dir())


def load_data(path: Path, model: str = "", length: int = 128) -> tuple[Batch, torch.Tensor | None]:
    """Inputs and labels from an `.npz` or `.safetensors` file, or the tokens of a text.

    Args:
        path: a file of arrays, samples first. The array named "labels" holds the right classes. Another single array is
            the input; several are inputs by their names. Any other file is a text in UTF-8.
        model: the Hugging Face directory whose tokenizer a text needs.
        length: tokens of a sample of a text.

    Returns:
        (inputs, labels); labels are None if there are none.

    Raises:
        StoredFileError: if the file cannot be read, or holds pickled objects or no inputs.
        ArgumentError: if a text is too short, or `model` has no tokenizer.
        QtamlError: if a text needs transformers, which is not installed.
    """
    if path.suffix not in (".npz", ".safetensors"):
        return tokens_of_text(_read_text(path), path, model, length), None
    arrays = _read_arrays(path)
    labels = arrays.pop(LABELS, None)
    if not arrays:
        raise StoredFileError(f"{path} holds no inputs: it needs an array besides {LABELS!r}")
    if labels is not None and labels.is_floating_point():
        raise StoredFileError(f"{path} must hold whole numbers under {LABELS!r}, got {labels.dtype}")
    inputs: Batch = next(iter(arrays.values())) if len(arrays) == 1 else arrays
    return inputs, None if labels is None else labels.long()


def load_labelled(path: Path, model: str = "", length: int = 128) -> tuple[Batch, torch.Tensor]:
    """Inputs and labels, as `load_data`, from a file that must have both.

    Raises:
        ArgumentError: if there are no labels.
        StoredFileError: as `load_data`.
    """
    inputs, labels = load_data(path, model, length)
    if labels is None:
        raise ArgumentError(f"{path} must hold an array named {LABELS!r}")
    return inputs, labels


def calibration_batch(path: Path, model: str, count: int, length: int) -> Batch:
    """The first samples of what `load_data` returns; arguments and errors as there."""
    inputs, _ = load_data(path, model, length)
    if isinstance(inputs, torch.Tensor):
        return inputs[:count]
    assert isinstance(inputs, dict)
    return {name: value[:count] for name, value in inputs.items()}


def _read_arrays(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
        else:
            arrays = safetensors.torch.load_file(path)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
        raise StoredFileError(f"cannot read {path}: {error}") from error
    for name, array in arrays.items():
        if array.ndim == 0:
            raise StoredFileError(f"{path} must hold arrays with samples first, got a single number under {name!r}")
    return arrays


def _read_text(path: Path) -> str:
    try:
        return _files.read_bytes(path).decode()
    except UnicodeDecodeError:
        raise StoredFileError(f"data must be an .npz or .safetensors file, or text in UTF-8, got {path}") from None


def _load_program(path: Path) -> nn.Module:
    # Here, since it takes a second to import, and most commands load no program.
    from torch.export.pt2_archive.constants import CUSTOM_OBJ_FILENAME_PREFIX, OPAQUE_OBJ_FILENAME_PREFIX

    try:
        with zipfile.ZipFile(path) as archive:
            names = [Path(name).name for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise StoredFileError(f"cannot read {path}: {error}") from error
    if any(name.startswith((CUSTOM_OBJ_FILENAME_PREFIX, OPAQUE_OBJ_FILENAME_PREFIX)) for name in names):
        raise StoredFileError(f"{path} holds pickled objects, which are not loaded")
    try:
        with _nothing_unpickled():
            return torch.export.load(path).module()
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise StoredFileError(f"{path} is not a program of torch.export: {reason}") from error


@contextmanager
def _nothing_unpickled() -> Iterator[None]:
    # torch.export.load falls back to full unpickling for sample inputs; this variable is torch's way to forbid it.
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _call_factory(spec: str) -> nn.Module:
    module_name, _, function_name = spec.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        factory = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ArgumentError(f"MODEL {spec!r} cannot be imported: {error}") from error
    with redirect_stdout(sys.stderr):  # what it prints would spoil JSON on standard output
        model = factory()
    if not isinstance(model, nn.Module):
        raise ModelError(f"MODEL {spec!r} must return a torch.nn.Module, got {type(model).__name__}")
    return model
