"""Weights from a file into a network: safetensors only, with the difference shown where they do not fit."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from qtaml import _files
from qtaml.checkpoints import open_checkpoint
from qtaml.errors import ModelError, StoredFileError
from qtaml.model import aliases

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
# A zip archive, as torch.save writes, and a pickle of protocol 2 or later.
_PICKLED_STARTS = (b"PK\x03\x04", b"\x80")
# What git clone leaves in place of the weights where Git LFS is not installed.
_LFS_START = b"version https://git-lfs"
_SHOWN = 3


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict into a model, quantised weights by their values.

    Tied weights may be under one of their names, or under each.

    Args:
        model: it is changed.
        path: a `.safetensors` file.

    Raises:
        StoredFileError: if the file cannot be read, is damaged, or is pickled.
        ModelError: if the weights do not fit the model; the message shows the difference.
    """
    try:
        check_not_pickled(path)
        with _files.open_regular(path):  # refuses what is no file, and may hang
            state = state_of(path)
        # Files keep tied weights once, and load_state_dict asks for each name.
        _tie(model, state, path)
        # Not strict: torch would list all names, thousands for another architecture; check_names lists a few.
        missing, unexpected = model.load_state_dict(state, strict=False)
    except (OSError, SafetensorError) as error:
        raise StoredFileError(f"cannot read {path}: {error}") from error
    except RuntimeError as error:
        # torch's first line only names the class.
        lines = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        raise ModelError(f"the weights in {path} do not fit the model; {listing(lines)}") from error
    check_names(path, missing, unexpected)


def state_of(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a safetensors file; weights of codes and scales as their own library reads them.

    Raises:
        SafetensorError: if the file is damaged.
        StoredFileError: if codes and scales do not fit each other.
    """
    state, checkpoint = safetensors.torch.load_file(path), open_checkpoint(path)
    made = {name: tensor for name, tensor in checkpoint.items() if len(tensor.parts) > 1}
    if not made:
        return state
    # Their parts are no tensors of the network.
    kept = {
        name: value for name, value in state.items() if name in {**checkpoint, **checkpoint.others} and name not in made
    }
    return kept | {name: torch.from_numpy(tensor.values()) for name, tensor in made.items()}


def _tie(model: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Give each tensor of a state dict every name that it has in the model."""
    own = model.state_dict().keys()
    for name, others in aliases(model, list(state)).items():
        for other in own & others:
            # Weights that differ under tied names would be loaded one over the other, and the last one would win.
            if not torch.equal(state.setdefault(other, state[name]), state[name]):
                raise ModelError(
                    f"the weights in {path} do not fit the model, which ties {name!r} and {other!r}: there they differ"
                )


def check_names(path: Path, missing: Collection[str], unexpected: Collection[str]) -> None:
    """Check that weights have the names of a model's tensors.

    Raises:
        ModelError: if a name is missing or unexpected; the message shows some of each.
    """
    different = {"missing": missing, "unexpected": unexpected}
    if shown := [f"{word}: {listing(names)}" for word, names in different.items() if names]:
        raise ModelError(f"the weights in {path} do not fit the model; {'; '.join(shown)}")


def check_not_pickled(path: Path) -> None:
    """Check that a file is no pickle, by its name, or by the first bytes of what should be safetensors.

    Raises:
        StoredFileError: if it is, and how to convert it; or if it only says where Git LFS keeps the weights.
    """
    # Other names are refused by their suffix, or by safetensors when it reads the header.
    start = _start(path) if path.suffix == ".safetensors" else b""
    if start.startswith(_LFS_START):
        raise StoredFileError(f"{path} is a pointer of Git LFS, not the weights themselves: fetch them by git lfs pull")
    # A safetensors file begins with the length of its header, whose lowest byte may be that of a pickle.
    if path.suffix in PICKLED or (start.startswith(_PICKLED_STARTS) and start[8:9] != b"{"):
        raise StoredFileError(
            f"{path} is a pickled checkpoint, which is not loaded: it can run code. Convert it where you trust it: "
            "model.load_state_dict(torch.load(PATH, weights_only=True)), then "
            "safetensors.torch.save_model(model, 'model.safetensors') for --weights, or the whole network: "
            "torch.export.save(torch.export.export(model.eval(), (inputs,), "
            "dynamic_shapes=({0: torch.export.Dim('samples')},)), 'network.pt2')"
        )


@contextmanager
def nothing_unpickled() -> Iterator[None]:
    """In the block `torch.load` takes only tensors and plain containers from a pickle, whoever calls it."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # torch's own way to forbid anything else
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _start(path: Path) -> bytes:
    try:
        with _files.open_regular(path) as file:
            return file.read(len(_LFS_START))
    except StoredFileError:
        return b""  # who loads it says so


def listing(names: Collection[str]) -> str:
    """The first few names, and how many more there are.

    Example:
        >>> listing(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    shown = ", ".join(sorted(names)[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
