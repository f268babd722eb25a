"""`qtaml explore`: devices and ways to store together, and many results on one HTML page."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from torch import nn

from qtaml import _checks
from qtaml.cli.inputs import calibration_batch, load_labelled, load_model
from qtaml.cli.options import (
    ArrayOption,
    CopyOption,
    DecodeOption,
    JsonOption,
    LengthOption,
    NodeOption,
    NumbersOption,
    RayOption,
    ReadsPerSecondOption,
    SamplesOption,
    SeedOption,
    WeightsOption,
    WorkersOption,
)
from qtaml.cost import Numbers
from qtaml.errors import ArgumentError, StoredFileError
from qtaml.exploration import AXES, Exploration, explore
from qtaml.laboratory import read_results
from qtaml.measuring import Accuracy
from qtaml.model import Batch
from qtaml.showing import save_explorer, save_figure
from qtaml.showing.page import page_path

_NUMBERS = "A,B,...|FROM:TO:POINTS"
_MOST_POINTS = 10_000
_FOLDER = Path("exploration")
_SOURCES = (
    "Result files (.json) of sweeps and explorations, or folders of them, to look through; or, with --calibration, a "
    "network to explore: .pt2, a Hugging Face directory, or package.module:factory."
)
_DEVICE = "Preset of the cell (`qtaml device list`), or a cell of `qtaml device fit` (.json)."
_HARDENING = "What a bit may have of its own: none, larger, thicker, refresh; several times for several."
_DECODERS = "What may be needed to read, as for `qtaml design`; several times for several."
_OVER = "Print the best accuracy over axes, such as thickness,height,window."


def _range(told: str) -> Any:
    """An option of numbers, or of a range of them."""
    return typer.Option(help=told, metavar=_NUMBERS)


def explore_command(
    context: typer.Context,
    sources: Annotated[list[str], typer.Argument(help=_SOURCES)],
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("explorer.html"),
    calibration: Annotated[Path | None, typer.Option(help="Unlabelled inputs of the network to explore.")] = None,
    test: Annotated[Path | None, typer.Option(help="Inputs and 'labels', for the accuracy.")] = None,
    device: Annotated[str, typer.Option(help=_DEVICE)] = "",
    windows: Annotated[str, _range("Seconds between refreshes; a range by factors.")] = "",
    thicknesses: Annotated[str, _range("Of the barrier, nm.")] = "",
    heights: Annotated[str, _range("Of the barrier, eV.")] = "",
    voltages: Annotated[str, _range("Across the barrier, V.")] = "",
    temperatures: Annotated[str, _range("K.")] = "",
    budgets: Annotated[str, _range("Cells, as shares of a plain memory.")] = "",
    hardening: Annotated[list[str] | None, typer.Option(help=_HARDENING)] = None,
    decoders: Annotated[list[str] | None, typer.Option(help=_DECODERS)] = None,
    accuracy: Annotated[float | None, typer.Option(help="That the chosen point reaches.")] = None,
    minimise: Annotated[str, typer.Option(help="power, area or cells.")] = "power",
    array: ArrayOption = "",
    node: NodeOption = None,
    reads_per_second: ReadsPerSecondOption = 0.0,
    decode: DecodeOption = "every_read",
    copy: CopyOption = None,
    numbers: NumbersOption = None,
    folder: Annotated[Path, typer.Option(help="Where plans are kept, to go on where it stopped.")] = _FOLDER,
    picture: Annotated[Path | None, typer.Option(help="File for a picture of accuracy and front.")] = None,
    over: Annotated[str, typer.Option(help=_OVER, metavar="A,B,..")] = "",
    trials: Annotated[int, typer.Option(help="Reads of each plan.", min=2)] = 10,
    workers: WorkersOption = None,
    ray: RayOption = None,
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Explore a network over devices and ways to store, or look through results: one HTML page that needs no server.

    Give --calibration and --test to explore; plans and rows are kept in --folder. Without, the page is made of results.
    """
    if calibration is None:
        _check_no_option_of_exploring(context)
        _show_results([Path(one) for one in sources], out)
        return
    source, labelled = _question(sources, test, {"--device": device, "--array": array, "--windows": windows})
    # Before what may take minutes.
    page_path(out)
    shown = [_checks.one_of("over", one, AXES) for one in over.split(",")] if over else []
    opened = partial(_opened, source, weights, calibration, labelled, samples, length)
    axes = {"thicknesses": thicknesses, "heights": heights, "voltages": voltages, "temperatures": temperatures}
    asked = _grid({**axes, "windows": windows, "budgets": budgets}, {"decoders": decoders, "hardenings": hardening})
    asked |= {"accuracy": accuracy, "minimise": minimise, "trials": trials, "seed": seed, "device": device}
    asked |= {"array": array, "node": node, "reads_per_second": reads_per_second, "decode": decode, "copy": copy}
    asked |= {"numbers": numbers and Numbers.load(numbers), "folder": folder, "workers": workers, "ray": ray}
    model, batch, metric = opened()
    found = explore(model, batch, metric=metric, reload=opened, **asked)
    if picture is not None:
        save_figure(found.plot(), picture)
    if shown and not as_json:
        Console().print(found.accuracy_table(shown))
    _show_exploration(found, folder, out, as_json=as_json)


def _question(sources: list[str], test: Path | None, needed: Mapping[str, str]) -> tuple[str, Path]:
    """The network to explore and its test data, if all is there that exploring needs.

    Example:
        >>> _question(["network.pt2"], Path("test.npz"), {"--device": ""})
        Traceback (most recent call last):
        qtaml.errors.ArgumentError: to explore give one network, --calibration, --test, --device, got network.pt2
    """
    if len(sources) != 1 or test is None or not all(needed.values()):
        options = ", ".join(("--calibration", "--test", *needed))
        raise ArgumentError(f"to explore give one network, {options}, got {' '.join(sources)}")
    return sources[0], test


def _grid(numbers: Mapping[str, str], names: Mapping[str, list[str] | None]) -> dict[str, Any]:
    """What is explored over, of lists of numbers and of sets of names; what is not given is as `explore` has it.

    Example:
        >>> _grid({"heights": "3,3.1", "budgets": ""}, {"hardenings": ["none", "larger,refresh"], "decoders": None})
        {'heights': [3.0, 3.1], 'hardenings': [(), ('larger', 'refresh')]}
    """
    axes = {name: _numbers(name, text, by_factors=name == "windows") for name, text in numbers.items()}
    sets = {
        # For decoders "none" is a name; what hardening has none of is an empty set.
        name: [() if (name, one) == ("hardenings", "none") else tuple(one.split(",")) for one in given or ()]
        for name, given in names.items()
    }
    return {name: value for name, value in (axes | sets).items() if value}


def _opened(
    source: str, weights: Path | None, calibration: Path, test: Path, samples: int, length: int
) -> tuple[nn.Module, Batch, Accuracy]:
    """The network, its calibration inputs and its metric, here and in each worker process."""
    network = load_model(source, weights)
    inputs = calibration_batch(calibration, source, samples, length)
    return network, inputs, Accuracy(*load_labelled(test, source, length))


def _check_no_option_of_exploring(context: typer.Context) -> None:
    """Raise `ArgumentError` if an option was given that results have no use for."""
    given = [
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if unused := [name for name in given if name not in ("sources", "out")]:
        raise ArgumentError(f"--{unused[0].replace('_', '-')} needs --calibration: without, results are shown")


def _show_exploration(found: Exploration, folder: Path, out: Path, *, as_json: bool) -> None:
    title, rows = read_results(folder / "exploration.json")
    page = save_explorer(rows, title, out, source=str(folder / "exploration.json"))
    if as_json:
        typer.echo(found.to_json(), nl=False)
        return
    typer.echo(found)
    typer.echo(f"rows: {folder / 'exploration.json'}\nexplorer: {page}, {len(rows):,} rows")


def _show_results(results: list[Path], out: Path) -> None:
    paths = [path for given in results for path in _result_files(given)]
    found = [(path, *read_results(path)) for path in paths]
    several = len(found) > 1
    rows = [row | ({"file": path.name} if several else {}) for path, _, own in found for row in own]
    title = found[0][1] if not several else ", ".join(dict.fromkeys(title for _, title, _ in found))
    save_explorer(rows, title, out, source=", ".join(map(str, paths)))
    typer.echo(f"explorer: {out}, {len(rows):,} rows")


def _result_files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = sorted(given.glob("[!.]*.json"))
    if not found:
        raise StoredFileError(f"{given} holds no result: `qtaml sweep` writes one into its folder, `qtaml explore` too")
    return found


def _numbers(name: str, text: str, *, by_factors: bool = False) -> list[float] | None:
    """Numbers of an option, None for an empty one.

    Example:
        >>> _numbers("windows", "1e-3:1e-1:3", by_factors=True), _numbers("heights", "3,3.1")
        ([0.001, 0.01, 0.1], [3.0, 3.1])
    """
    if not text:
        return None
    try:
        if ":" not in text:
            return [float(one) for one in text.split(",")]
        low, high, points = text.split(":")
        ends = (_checks.positive(name, float(low)), _checks.positive(name, float(high)))
        count = _checks.integer(f"{name} POINTS", int(points), 1, _MOST_POINTS)
        axis = (np.geomspace if by_factors else np.linspace)(*ends, count)
    except (ValueError, TypeError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"--{name} must be numbers such as 1,2 or a range such as 1:3:9, got {text!r}") from None
    return [float(f"{one:.9g}") for one in axis]
