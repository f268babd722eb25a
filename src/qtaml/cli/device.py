"""`qtaml device`: the cells that ship with qtaml, and what they do over thickness and time."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from qtaml import _checks, _files
from qtaml.cli import device_sweep
from qtaml.cli.options import JsonOption
from qtaml.device import (
    PRESETS,
    MeasuredCell,
    Preset,
    fit_retention,
    preset_record,
    read_profile,
    read_retention,
    reliability,
)
from qtaml.showing import save_figure

app = typer.Typer(
    help="Memory cells and their flip probabilities, from the barrier on.", no_args_is_help=True, add_completion=False
)

NameArgument = Annotated[
    str,
    typer.Argument(help="Name of a preset (`qtaml device list` shows them), or a .json file of `qtaml device fit`."),
]


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
    record = _record(name)
    if as_json:
        typer.echo(_files.to_json(asdict(record)), nl=False)
        return
    Console().print(record.cell.table() if isinstance(record.cell, MeasuredCell) else record.table())


@app.command("leakage")
def leakage_command(
    name: NameArgument,
    window: Annotated[float | None, typer.Option(help="s; that of the preset if not given.")] = None,
    temperature: Annotated[float | None, typer.Option(help="K; that of the preset if not given.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for a picture over time and temperature.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Which mechanism sets the flip probability: each alone beside all."""
    record = _record(name)
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


@app.command("fit")
def fit_command(
    data: Annotated[
        Path,
        typer.Argument(
            help="CSV file with units in its header: `temperature (C)`, and `time (us)` (>5 held longer, <5 shorter), "
            "or `after (us)` and `by (us)`, or `window (us)`, `failing` and `cells`."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File for the fitted cell.")] = Path("cell.json"),
    law: Annotated[str | None, typer.Option(help="arrhenius or exponential; the likelier if not given.")] = None,
    tail: Annotated[
        bool | None, typer.Option("--tail/--no-tail", help="A second lognormal of weak cells; if the data ask for it.")
    ] = None,
    window: Annotated[float | None, typer.Option(help="s between refreshes, of which p is said.")] = None,
    temperature: Annotated[float | None, typer.Option(help="K at which it works; the highest of the data.")] = None,
    confidence: Annotated[float, typer.Option(help="Of the interval of p.")] = 0.95,
    picture: Annotated[Path | None, typer.Option(help="File for a picture of data, fit and band.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a cell to measured retention: lognormal, a temperature law, a band for p, a test of the fit."""
    _checks.one_of("suffix of out", out.suffix, (".json",))
    _checks.confidence(confidence)
    if law is not None:
        _checks.one_of("law", law, ("arrhenius", "exponential"))
    cell = fit_retention(read_retention(data), law=law, tail=tail, temperature=temperature)  # type: ignore[arg-type]
    # Before anything is written: a wrong window leaves no file, a wrong picture no cell.
    said = None if window is None else _said(cell, window, confidence)
    if picture is not None:
        save_figure(cell.plot(), picture)
    cell.save(out)
    if as_json:
        typer.echo(_files.to_json({"cell": cell, "question": said}), nl=False)
        return
    Console().print(cell.table())
    if said is not None:
        typer.echo(
            f"after {said['window']:g} s at {said['temperature']:g} K: p = {said['p']:.3g} ({said['low']:.3g} to "
            f"{said['high']:.3g}); as a reserve: --device {out} --window {said['window']:g}"
        )
        if said["extrapolation"]:
            typer.echo(f"caution: the {said['extrapolation']}")
    typer.echo(f"cell: {out}")


@app.command("failures")
def failures_command(
    name: NameArgument,
    profile: Annotated[Path, typer.Option(help="CSV file of the mission: `temperature (C)` and `time (h)`.")],
    bits: Annotated[int, typer.Option(help="Stored bits.")],
    tolerated: Annotated[float, typer.Option(help="Share of wrong bits up to which the network works.")],
    window: Annotated[float, typer.Option(help="s between refreshes.")],
    refreshes: Annotated[int, typer.Option(help="From one write of right data to the next.")] = 1,
    confidence: Annotated[
        float | None, typer.Option(help="Of a measured cell: count with the upper end of this interval of p.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the statement as CSV.")] = None,
    as_json: JsonOption = False,
) -> None:
    """State failures in time (FIT) of the network's function over a mission, with what is assumed."""
    if out is not None:
        _checks.one_of("suffix of out", out.suffix, (".csv",))
    found = reliability(
        _record(name).cell,
        read_profile(profile),
        window=window,
        bits=bits,
        tolerated=tolerated,
        refreshes=refreshes,
        confidence=confidence,
    )
    if out is not None:
        found.save(out)
    if as_json:
        summary = {"fit": found.fit, "failure_probability": found.failure_probability}
        typer.echo(_files.to_json({**summary, "statement": found, "assumptions": found.assumptions}), nl=False)
        return
    Console().print(found.table())


def _record(name: str) -> Preset:
    """A preset, or a measured cell at the longest window of its data."""
    if not name.endswith(".json"):
        return preset_record(name)
    cell = MeasuredCell.load(name)
    return Preset(name, "measured cell", cell, cell.reach[1], source=cell.source)


def _said(cell: MeasuredCell, window: float, confidence: float) -> dict[str, Any]:
    low, high = cell.band_at(np.array([_checks.positive("window", window)]), confidence)
    return {
        "window": window,
        "temperature": cell.temperature,
        "p": float(np.exp(cell.log_flip_probabilities(window))),
        "low": float(low[0]),
        "high": float(high[0]),
        "extrapolation": cell.extrapolation(window),
    }
