"""`qtaml sweep`: networks x memories x budgets x methods, from one file, on this machine or on many."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from torch import nn

from qtaml.cli.inputs import calibration_batch, load_data, load_labelled, load_model
from qtaml.cli.options import JsonOption, RayOption, WorkersOption
from qtaml.errors import QtamlError
from qtaml.laboratory.cases import OwnNetwork, Samples
from qtaml.laboratory.laboratory import Laboratory
from qtaml.laboratory.result_file import result_json, save_result
from qtaml.laboratory.sweep_file import read_sweep
from qtaml.laboratory.sweep_tasks import entries, inputs_folder, measure_sweep, rows, table
from qtaml.measuring import Accuracy
from qtaml.networks import NETWORK_FILES
from qtaml.networks.trained import CALIBRATION_SAMPLES


def sweep_command(
    file: Annotated[Path, typer.Argument(help="TOML file that describes the sweep; see docs/sweeps.md.")],
    out: Annotated[Path, typer.Option(help="Folder for trained networks, measurements and the table.")],
    workers: WorkersOption = None,
    ray: RayOption = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Measure nothing: write the table of what is measured so far.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure every network stored by every method within every budget in every memory.

    An interrupted sweep goes on where it was, and several at a time can share a folder.
    """
    description = read_sweep(file)
    asked = description.file
    laboratory = Laboratory(
        out,
        trials=asked.trials,
        training_seeds=asked.training_seeds,
        seed=asked.seed,
        workers=workers,
        ray=ray,
        load=load_own,
    )
    wanted = entries(description, laboratory.folder)
    # Each network is loaded once here, so that a wrong file or factory ends the command before hours of work.
    for own in {entry.task.case.own: None for entry in wanted if entry.task.case.own}:
        load_own(own, laboratory.folder)
    found = laboratory.found([entry.task for entry in wanted])
    # On standard error: standard output may be JSON.
    typer.echo(f"{len(wanted)} tasks, {sum(one is not None for one in found)} measured already", err=True)
    outcomes = found if collect else measure_sweep(laboratory, wanted)
    known, manifest = rows(laboratory, wanted, outcomes), laboratory.manifest()
    kept = out / f"{file.stem}.json"
    title = f"Sweep {file.stem}"
    save_result(kept, title, known, manifest)
    if as_json:
        typer.echo(result_json(title, known, manifest), nl=False)
    else:
        Console().print(table(wanted, outcomes))
        typer.echo(f"numbers: {kept}, {len(known)} of {len(wanted)} tasks")
    # After everything is written: a refused task ends with an error, and costs no result.
    refused = [row for row in known if row.refused]
    if refused:
        first = refused[0]
        raise QtamlError(
            f"{len(refused)} of {len(wanted)} tasks were refused, the others measured; the first, {first.network} by "
            f"{first.method}: {first.refused}"
        )


def load_own(own: OwnNetwork, folder: Path) -> tuple[nn.Module, Samples]:
    """A network that is not built in, from its files in a laboratory's folder."""
    inputs = inputs_folder(folder)
    model = str(inputs / own.model) if own.model.endswith(NETWORK_FILES) else own.model
    network = load_model(model, None if own.weights is None else inputs / own.weights)
    calibration = calibration_batch(inputs / own.calibration, own.model, CALIBRATION_SAMPLES, 0)
    metrics = {"accuracy": Accuracy(*load_labelled(inputs / own.test))}
    return network, Samples(calibration, metrics, None if own.train is None else load_data(inputs / own.train))
