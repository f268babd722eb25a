"""`qtaml cost`: area, energies and power of a stored network or a plan."""

from pathlib import Path
from typing import Annotated

import typer

from qtaml import _files
from qtaml.cli.options import JsonOption
from qtaml.cost import ARRAYS, Numbers, array_named, timeloop_memory, zigzag_memory
from qtaml.errors import ArgumentError
from qtaml.memory import read_artifact
from qtaml.planning import Plan
from qtaml.showing import save_figure

_NAMES = ", ".join(dict.fromkeys(one.name for one in ARRAYS))


def cost_command(
    plan: Annotated[Path, typer.Argument(help="Folder of a stored network, or the file of a plan (.json).")],
    array: Annotated[str, typer.Option(help=f"Array of the cells: {_NAMES}, or one of --numbers.")],
    node: Annotated[float | None, typer.Option(help="Technology node, nm, where the array has several.")] = None,
    window: Annotated[float | None, typer.Option(help="Seconds between refreshes, where cells are refreshed.")] = None,
    reads_per_second: Annotated[float, typer.Option(help="Reads of all weights.")] = 0.0,
    decode: Annotated[str, typer.Option(help="every_read, or once at start_up into a --copy.")] = "every_read",
    copy: Annotated[str | None, typer.Option(help="Array of the decoded copy, at the same node.")] = None,
    numbers: Annotated[Path | None, typer.Option(help="Your own figures (.json).")] = None,
    zigzag: Annotated[Path | None, typer.Option(help="Write the memory for ZigZag (.yaml).")] = None,
    timeloop: Annotated[Path | None, typer.Option(help="Write it for Timeloop and Accelergy (.yaml).")] = None,
    picture: Annotated[Path | None, typer.Option(help="File for a picture (needs qtaml[plot]).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Area, energies and power of a network as it is stored, each number with its source."""
    for path in (zigzag, timeloop):
        if path is not None and path.suffix not in (".yaml", ".yml"):
            raise ArgumentError(f"--zigzag and --timeloop must end in .yaml, got {path}")
    made = Plan.load(plan) if plan.suffix == ".json" else read_artifact(plan).plan
    own = Numbers.load(numbers) if numbers is not None else None
    found = made.cost(
        array=array,
        node=node,
        window=window,
        reads_per_second=reads_per_second,
        decode=decode,  # type: ignore[arg-type]  # checked there
        copy=copy,
        numbers=own,
    )
    if picture is not None:
        save_figure(found.plot(), picture)
    for path, write in ((zigzag, zigzag_memory), (timeloop, timeloop_memory)):
        if path is not None:
            held = array_named(array, node, own.arrays if own else ())
            _files.write_text(path, write(made.contents, held))
    typer.echo(found.to_json() if as_json else str(found), nl=not as_json)
