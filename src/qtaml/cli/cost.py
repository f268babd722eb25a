"""`qtaml cost`: area, energies and power of a stored network or a plan."""

from pathlib import Path
from typing import Annotated

import typer

from qtaml import _files
from qtaml.cli.options import (
    ArrayOption,
    CopyOption,
    DecodeOption,
    JsonOption,
    NodeOption,
    NumbersOption,
    ReadsPerSecondOption,
)
from qtaml.cost import Numbers, array_named, timeloop_memory, zigzag_memory
from qtaml.errors import ArgumentError
from qtaml.memory import read_artifact
from qtaml.planning import Plan
from qtaml.showing import save_figure


def cost_command(
    plan: Annotated[Path, typer.Argument(help="Folder of a stored network, or the file of a plan (.json).")],
    array: ArrayOption,
    node: NodeOption = None,
    window: Annotated[float | None, typer.Option(help="Seconds between refreshes, where cells are refreshed.")] = None,
    reads_per_second: ReadsPerSecondOption = 0.0,
    decode: DecodeOption = "every_read",
    copy: CopyOption = None,
    numbers: NumbersOption = None,
    zigzag: Annotated[Path | None, typer.Option(help="Write the memory for ZigZag (.yaml).")] = None,
    timeloop: Annotated[Path | None, typer.Option(help="Write it for Timeloop and Accelergy (.yaml).")] = None,
    picture: Annotated[Path | None, typer.Option(help="File for a picture (needs qtaml[plot]).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Area, energies and power of a network as it is stored, each number with its source."""
    for path in (zigzag, timeloop):
        if path is not None and path.suffix not in (".yaml", ".yml"):
            raise ArgumentError(f"--zigzag and --timeloop must end in .yaml, got {path}")
    if zigzag is not None and zigzag == timeloop:
        raise ArgumentError(f"--zigzag and --timeloop must be two files, got {zigzag} for both")
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
