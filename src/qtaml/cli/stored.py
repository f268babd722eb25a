"""What every command that plans does before and after: the network is stored, and the plan is shown."""

from pathlib import Path

import typer
from torch import nn

from qtaml import _files
from qtaml.cli.inputs import source_of
from qtaml.memory import MANIFEST, store
from qtaml.planning import Plan


def check_out(out: Path) -> None:
    """Check that a stored network may be put in a folder, before anything is computed for it.

    Raises:
        StoredFileError: if it holds something else.
    """
    _files.check_replaceable(out, MANIFEST)


def store_and_show(network: nn.Module, plan: Plan, spec: str, out: Path, *, as_json: bool) -> None:
    """Store a network under a plan in a folder, and print the plan.

    Args:
        network: the network.
        plan: how it is stored.
        spec: how the command line named the network.
        out: the folder.
        as_json: print JSON, and nothing else.

    Raises:
        StoredFileError: if the folder holds something else, or cannot be written.
    """
    store(network, plan).save(out, source=source_of(spec))
    typer.echo(plan.to_json() if as_json else f"{plan}\nstored network: {out}", nl=not as_json)
