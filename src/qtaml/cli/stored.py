"""Stored networks: written at the end of every command that plans, read at the start of every one that uses them."""

import os
from pathlib import Path

import typer
from torch import nn

from qtaml.cli.inputs import load_model, source_of
from qtaml.errors import ArgumentError
from qtaml.memory import Artifact, Memory, attach, check_replaceable, store
from qtaml.model import Batches
from qtaml.planning import Plan


def load_stored(artifact: Artifact, model: str | None, weights: Path | None) -> tuple[Memory, nn.Module, str]:
    """A stored network, the network that it was made from, and how the command line names that.

    Args:
        artifact: what the folder of the stored network holds.
        model: the network; it must be named, for to load it can run code.
        weights: a `.safetensors` file with its state dict.

    Raises:
        StoredFileError: if a file is missing, damaged or foreign.
        ArgumentError: if the network is not named.
        ModelError: if it is not the one stored.
    """
    spec = named(model, artifact)
    network = load_model(spec, weights)
    return attach(artifact, network), network, spec


def named(model: str | None, artifact: Artifact) -> str:
    """The network as the command line names it: the source that a stored network remembers is never loaded.

    Raises:
        ArgumentError: if it does not name it; the message says which source the stored network remembers.
    """
    # To import a factory runs code, and a stored network may come from anywhere.
    if model is None:
        where = f"was made from {artifact.source}" if artifact.source else "does not say where its network is"
        with_weights = f" with --weights {artifact.weights}" if artifact.weights else ""
        raise ArgumentError(f"the stored network {where}{with_weights}: name the network with --model")
    return model


def check_out(out: Path, *read: str | Path | None) -> None:
    """Check that a stored network may be put in a folder, before anything is computed for it.

    Args:
        out: the folder.
        read: files and folders that the command reads, or writes beside it.

    Raises:
        StoredFileError: if the folder holds something else than a stored network.
        ArgumentError: if one of them lies in it.
    """
    check_replaceable(out)
    # Links resolved: the folder is replaced as a whole, with whatever lies in it under any name.
    place = out.resolve()
    for source in read:
        # A text that does not exist as a path, or cannot be one, is the name of a factory. A folder of checkpoints need
        # not exist yet.
        if not source or "\0" in str(source) or (isinstance(source, str) and not os.path.exists(source)):
            continue
        own = Path(source).resolve()
        if place in (own, *own.parents):
            raise ArgumentError(f"--out must hold nothing that is read, got {out} and {source}")


def store_and_show(
    network: nn.Module,
    plan: Plan,
    spec: str,
    weights: Path | None,
    out: Path,
    *,
    as_json: bool,
    calibration: Batches | None = None,
) -> None:
    """Store a network under a plan in a folder, and print the plan.

    Args:
        network: the network.
        plan: how it is stored.
        spec: how the command line named the network.
        weights: the file of weights that was named with it.
        out: the folder.
        as_json: print JSON, and nothing else.
        calibration: inputs, for a plan that feeds rounding errors back.

    Raises:
        StoredFileError: if the folder holds something else, or cannot be written.
    """
    replaced = save_stored(store(network, plan, calibration=calibration), spec, weights, out)
    for remark in plan.remarks if as_json else ():
        typer.echo(remark, err=True)
    typer.echo(plan.to_json() if as_json else f"{plan}\nstored network: {out}{replaced}", nl=not as_json)


def save_stored(memory: Memory, spec: str, weights: Path | None, out: Path) -> str:
    """Save a stored network with what the command line named it by; arguments and errors as for `store_and_show`.

    Returns:
        What to add to the name of the folder: empty, or that an older stored network was replaced.
    """
    replaced = ", in place of the one that was there" if (out / "plan.json").exists() else ""
    memory.save(out, source=source_of(spec), weights=os.path.abspath(weights) if weights else "")
    return replaced
