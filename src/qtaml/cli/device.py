"""`qtaml device`: the cells that ship with qtaml, and what they do over thickness and time."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtaml import _files
from qtaml.cli import device_sweep
from qtaml.cli.options import JsonOption
from qtaml.device import PRESETS, preset_record
from qtaml.showing import save_figure

app = typer.Typer(
    help="Memory cells and their flip probabilities, from the barrier on.", no_args_is_help=True, add_completion=False
)

NameArgument = Annotated[str, typer.Argument(help="Name of a preset; `qtaml device list` shows them.")]


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the presets, with the flip probability of each at its window."""
    rows = [(record, record.cell.flip_probability(record.window)) for record in PRESETS.values()]
    if as_json:
        entries = [{"name": r.name, "technology": r.technology, "window": r.window, "p": p} for r, p in rows]
        typer.echo(_files.to_json(entries), nl=False)
        return
    table = Table(caption="p: flip probability after the window, mean over cells", caption_justify="left")
    for column in ("name", "technology", "window (s)", "p"):
        table.add_column(column, justify="right" if column in ("window (s)", "p") else "left")
    for record, p in rows:
        table.add_row(record.name, record.technology, f"{record.window:.3g}", f"{p:.3g}")
    Console().print(table)


@app.command("show")
def show_command(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show every parameter of a preset with its source, and its inverse questions answered."""
    record = preset_record(name)
    if as_json:
        typer.echo(_files.to_json(asdict(record)), nl=False)
        return
    Console().print(record.table())


@app.command("leakage")
def leakage_command(
    name: NameArgument,
    window: Annotated[float | None, typer.Option(help="s; that of the preset if not given.")] = None,
    temperature: Annotated[float | None, typer.Option(help="K; that of the preset if not given.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for a picture over time and temperature.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Which mechanism sets the flip probability: each alone beside all."""
    record = preset_record(name)
    found = record.cell.leakage(record.window if window is None else window, temperature)
    if out is not None:
        save_figure(found.plot(), out)
    if as_json:
        rows = [{"name": one.name, "log_p": one.log_p, "retention": one.retention} for one in found.mechanisms]
        shown = {"window": found.window, "temperature": found.cell.temperature, "log_p": found.log_p}
        typer.echo(_files.to_json({**shown, "mechanisms": rows}), nl=False)
        return
    Console().print(found.table())


@app.command("sweep")
def sweep_command(
    name: NameArgument,
    out: Annotated[Path | None, typer.Option(help="File for the picture; out/device/NAME.png if not given.")] = None,
    thickness: Annotated[tuple[float, float] | None, typer.Option(help="From and to, nm.", show_default=False)] = None,
    window: Annotated[tuple[float, float] | None, typer.Option(help="From and to, s.", show_default=False)] = None,
    points: Annotated[int, typer.Option(help="Points of each sweep.", min=2)] = 61,
    as_json: JsonOption = False,
) -> None:
    """Flip probability over the barrier's thickness and over time: a table and a picture."""
    result = device_sweep.compute(preset_record(name), thickness=thickness, window=window, points=points)
    picture = save_figure(device_sweep.draw(result), out or Path("out/device") / f"{name}.png")
    if as_json:
        typer.echo(result.to_json(), nl=False)
        return
    Console().print(device_sweep.table(result))
    typer.echo(f"picture: {picture}")
