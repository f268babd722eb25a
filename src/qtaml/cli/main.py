"""The command `qtaml`: parse, call, show."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qtaml.cli import compensate, design, device, evaluate, export, readback, reproduce, sweep, verify
from qtaml.cli.inputs import calibration_batch, load_model
from qtaml.cli.options import (
    CalibrationOption,
    FlipProbabilityOption,
    JsonOption,
    LengthOption,
    ModelArgument,
    SamplesOption,
    SeedOption,
    WeightsOption,
)
from qtaml.errors import BudgetError, QtamlError, StoredFileError
from qtaml.experiments import storage
from qtaml.experiments.experiment import result_json, save_result
from qtaml.experiments.laboratory import Laboratory
from qtaml.planning import predict
from qtaml.report import save_figure

DEMO_CELLS = (0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
DEMO_PLAIN_CELLS = (1.0, 1.01, 1.02, 1.03, 1.05, 1.125, 1.25)
DEMO_METHODS = (*storage.PAPERS, "design, table and majority", storage.EVERYTHING)

EXIT_CODES = (
    "Exit codes: 0 done, 1 unexpected failure, 2 bad arguments or inputs, 3 budget below the least one, "
    "4 a file is missing, damaged or foreign, 130 interrupted."
)

app = typer.Typer(
    help="How to store a neural network in a memory whose cells leak by quantum tunnelling.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(device.app, name="device")
app.command("reproduce")(reproduce.reproduce_command)
app.command("sweep")(sweep.sweep_command)


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for the picture, the numbers and what they are made of.")] = Path(
        "out/demo"
    ),
    p: FlipProbabilityOption = 0.10,
    trials: Annotated[int, typer.Option(help="Reads of the memory for each point.")] = 30,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a network on handwritten digits, store it in a leaking memory in many ways: a table and a picture."""
    laboratory = Laboratory(out, trials=trials, training_seeds=(seed,), seed=seed)
    rows = storage.compute(
        laboratory, networks=("SmallCNN",), cells=DEMO_CELLS, plain_cells=DEMO_PLAIN_CELLS, methods=DEMO_METHODS, p=p
    )
    manifest = laboratory.manifest()
    save_result(out / "storage.json", storage.STORAGE.title, rows, manifest)
    picture = save_figure(storage.draw(rows), out / "storage.png")
    if as_json:
        typer.echo(result_json(storage.STORAGE.title, rows, manifest), nl=False)
        return
    Console().print(storage.table_over_cells(rows))
    typer.echo(f"picture: {picture}\nnumbers: {out / 'storage.json'}")


app.command("compensate")(compensate.compensate_command)
app.command("design")(design.design_command)


@app.command("predict")
def predict_command(
    model: ModelArgument,
    calibration: CalibrationOption,
    p: FlipProbabilityOption = 0.10,
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    bits: Annotated[int, typer.Option(help="Bits of a word, 2 to 16.")] = 8,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say from one calibration, before anything is stored, whether TAC pays for your network, and how much."""
    network = load_model(model, weights)
    prediction = predict(network, calibration_batch(calibration, model, samples, length), p=p, bits=bits, seed=seed)
    if as_json:
        typer.echo(prediction.to_json(), nl=False)
        return
    Console().print(prediction.table())


app.command("evaluate")(evaluate.evaluate_command)
app.command("export")(export.export_command)
app.command("verify")(verify.verify_command)
app.command("readback")(readback.readback_command)


def main() -> None:
    """Run the command line; errors that qtaml raises on purpose become one line and an exit code."""
    try:
        app()
    except QtamlError as error:
        typer.echo(f"qtaml: {error}", err=True)
        sys.exit(3 if isinstance(error, BudgetError) else 4 if isinstance(error, StoredFileError) else 2)
