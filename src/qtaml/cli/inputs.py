"""Networks, inputs and labels from the names on the command line."""

import importlib
import math
import os
import sys
import zipfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from qtaml import _files
from qtaml.checkpoints.opening import without_network
from qtaml.cli.hugging_face import load_directory, load_gguf, tokens_of_text
from qtaml.cli.program_file import load_program
from qtaml.cli.state_dict import check_not_pickled, load_weights
from qtaml.errors import ArgumentError, ModelError, StoredFileError
from qtaml.model import Batch
from qtaml.networks import NETWORK_FILES, OnnxNetwork, TfliteNetwork

LABELS = "labels"
# Against zip bombs, bytes that an `.npz` file may unpack to: 64 MiB, and a hundred for each of its own. Only constants
# pack better than that.
_MOST_UNPACKED, _MOST_RATIO = 2**26, 100


def load_model(spec: str, weights: Path | None = None) -> nn.Module:
    """The network that a command line names.

    Args:
        spec: path of a `torch.export` program (`.pt2`), an ONNX file (`.onnx`), a TFLite or GGUF file, a
            Hugging Face directory, or "package.module:factory", a function without arguments that returns the network;
            the current folder is searched too.
        weights: a `.safetensors` file with its state dict.

    Returns:
        The network.

    Raises:
        ArgumentError: if `spec` is none of these.
        StoredFileError: if a file cannot be read, is damaged, or holds pickled objects.
        ModelError: if the factory gives no module, or the weights do not fit it.
        QtamlError: if the package that a Hugging Face directory, or a file of another runtime, needs is not installed.
    """
    path = Path(spec)
    if hint := "" if spec.endswith(".pt2") else without_network(path):
        raise ArgumentError(f"MODEL must be a network: {hint}")
    if path.is_dir():
        model = load_directory(path)
    elif spec.endswith(".pt2"):
        model = load_program(path)
    elif spec.endswith(".onnx"):
        model = OnnxNetwork(path)
    elif spec.endswith(".gguf"):
        model = load_gguf(path)
    elif spec.endswith(".tflite"):
        model = TfliteNetwork(path)
    elif spec.count(":") == 1:
        model = _call_factory(spec)
    else:
        # A pickled checkpoint gets its own message, with how to convert it.
        check_not_pickled(path)
        raise ArgumentError(
            f"MODEL must be a .pt2, .onnx, .tflite or .gguf file, a Hugging Face directory, or package.module:factory, "
            f"got {spec!r}"
        )
    if weights is not None:
        load_weights(model, weights)
    return model


def source_of(spec: str) -> str:
    """The source that a stored network remembers: an absolute path, its links unresolved, or the name of a factory."""
    return os.path.abspath(spec) if spec.endswith(NETWORK_FILES) or Path(spec).is_dir() else spec


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
        with _files.open_regular(path) as file:
            arrays = _unpacked(path, file) if path.suffix == ".npz" else safetensors.torch.load(file.read())
    except (ValueError, TypeError, EOFError, KeyError, AssertionError, zipfile.BadZipFile, SafetensorError) as error:
        raise (
            # StoredFileError is a ValueError, and names the file already.
            error if isinstance(error, StoredFileError) else StoredFileError(f"cannot read {path}: {error}")
        ) from error
    for name, array in arrays.items():
        if array.ndim == 0:
            raise StoredFileError(f"{path} must hold arrays with samples first, got a single number under {name!r}")
    return arrays


def _unpacked(path: Path, file: BinaryIO) -> dict[str, torch.Tensor]:
    """The arrays of an `.npz` file. Refused first: headers that ask for more than there is, and zip bombs."""
    # Seeking to the end returns the size of the file that is open; its path may name another one by now.
    most = _MOST_UNPACKED + _MOST_RATIO * file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        if (size := sum(one.file_size for one in archive.infolist())) > most:
            raise StoredFileError(
                f"{path} unpacks to {size} bytes, more than the {most} that a file of its size may; "
                "write it with numpy.savez, unpacked, if it is right"
            )
        for one in archive.infolist():
            with archive.open(one) as member:
                version = np.lib.format.read_magic(member)
                # Versions 2 and 3 have headers of one layout, and differ in the encoding of names.
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(member)
                # NumPy takes the memory that a header asks for before it reads, so a short file could take all of it.
                if math.prod(shape) * dtype.itemsize > one.file_size:
                    raise StoredFileError(
                        f"{path} holds less than the array of shape {shape} that {one.filename!r} says"
                    )
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _read_text(path: Path) -> str:
    try:
        return _files.read_bytes(path).decode()
    except UnicodeDecodeError:
        raise StoredFileError(f"data must be an .npz or .safetensors file, or text in UTF-8, got {path}") from None


def _call_factory(spec: str) -> nn.Module:
    module_name, _, function_name = spec.partition(":")
    # An installed command does not search the current folder, where a user's module lies.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        factory = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ArgumentError(f"MODEL {spec!r} cannot be imported: {error}") from error
    if not callable(factory):
        raise ArgumentError(f"MODEL {spec!r} must name a function that makes a network, got {factory!r}")
    with redirect_stdout(sys.stderr):  # what it prints would spoil JSON on standard output
        model = factory()
    if not isinstance(model, nn.Module):
        raise ModelError(f"MODEL {spec!r} must return a torch.nn.Module, got {type(model).__name__}")
    return model
