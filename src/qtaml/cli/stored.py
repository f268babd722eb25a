"""Stored networks: written at the end of every command that plans, read at the start of every one that uses them."""

from pathlib import Path

import typer
from torch import nn

from qtaml import _files
from qtaml.cli.inputs import load_model, source_of, stored_spec
from qtaml.memory import MANIFEST, Artifact, Memory, attach, read_artifact, read_manifest, store
from qtaml.planning import Plan


def load_stored(
    stored: Path, model: str | None, weights: Path | None, artifact: Artifact | None = None
) -> tuple[Memory, nn.Module, str]:
    """A stored network, the network that it was made from, and how the command line names that.

    Args:
        stored: the folder of the stored network.
        model: the network, if it is named.
        weights: a `.safetensors` file with its state dict; where it lay when the network was stored if not given.
        artifact: what the folder holds, where it was read already.

    Raises:
        StoredFileError: if a file is missing, damaged or foreign.
        ArgumentError: if the network must be named.
        ModelError: if it is not the one stored.
    """
    manifest = read_manifest(stored)
    spec = stored_spec(model, manifest.source)
    if weights is None and Path(manifest.weights).is_file():
        weights = Path(manifest.weights)
    network = load_model(spec, weights)
    return attach(artifact or read_artifact(stored), network), network, spec


def check_out(out: Path) -> None:
    """Check that a stored network may be put in a folder, before anything is computed for it.

    Raises:
        StoredFileError: if it holds something else.
    """
    _files.check_replaceable(out, MANIFEST)


def store_and_show(
    network: nn.Module, plan: Plan, spec: str, weights: Path | None, out: Path, *, as_json: bool
) -> None:
    """Store a network under a plan in a folder, and print the plan.

    Args:
        network: the network.
        plan: how it is stored.
        spec: how the command line named the network.
        weights: the file of weights that was named with it.
        out: the folder.
        as_json: print JSON, and nothing else.

    Raises:
        StoredFileError: if the folder holds something else, or cannot be written.
    """
    store(network, plan).save(out, source=source_of(spec), weights=str(weights.resolve()) if weights else "")
    for remark in plan.remarks if as_json else ():
        typer.echo(remark, err=True)
    typer.echo(plan.to_json() if as_json else f"{plan}\nstored network: {out}", nl=not as_json)
