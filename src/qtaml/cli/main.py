"""The command `qtaml`: parse, call, show."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qtaml.cli import design, device, reproduce, sweep
from qtaml.cli.inputs import first_samples, load_data, load_labelled, load_model, parse_floor, stored_model
from qtaml.cli.options import JsonOption, SeedOption
from qtaml.errors import BudgetError, QtamlError, StoredFileError
from qtaml.evaluate import Accuracy, evaluate
from qtaml.experiments import storage
from qtaml.experiments.experiment import result_json, save_result
from qtaml.experiments.laboratory import Laboratory
from qtaml.faults import Uniform
from qtaml.formats import Correction, Encoding, Granularity, Grid, Step
from qtaml.memory import load, read_manifest, store
from qtaml.planning import Allocation, compensate, predict
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
    p: Annotated[float, typer.Option("--p", help="Flip probability of a cell, in [0, 0.5).")] = 0.10,
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


@app.command("compensate")
def compensate_command(
    model: Annotated[str, typer.Argument(help="A torch.export program (.pt2), or package.module:factory.")],
    calibration: Annotated[
        Path, typer.Option(help="Inputs, unlabelled, as .npz or .safetensors; a few dozen samples are enough.")
    ],
    p: Annotated[float, typer.Option("--p", help="Flip probability of a cell, in [0, 0.5).")],
    overhead: Annotated[float, typer.Option(help="Cells to spend beyond a plain memory, as a share: 0.03 is 3%.")],
    out: Annotated[Path, typer.Option(help="Folder for the stored network.")],
    weights: Annotated[
        Path | None, typer.Option(help="State dict of the network, as .safetensors (for a factory).")
    ] = None,
    samples: Annotated[int, typer.Option(help="Use the first so many calibration samples.", min=1)] = 64,
    bits: Annotated[int, typer.Option(help="Bits of a word, 2 to 16.")] = 8,
    encoding: Annotated[Encoding, typer.Option(help="Labels of the levels.")] = "offset_binary",
    grid: Annotated[Grid, typer.Option(help="Symmetric half_step grid, or the paper's integer grid.")] = "half_step",
    granularity: Annotated[Granularity, typer.Option(help="One scale for each tensor or each row.")] = "tensor",
    allocation: Annotated[
        Allocation,
        typer.Option(help="split: optimal, one tensor may be split; integer: optimal without; greedy: paper."),
    ] = "split",
    correction: Annotated[
        Correction, typer.Option(help="Mean correction inside the protected cell (exact), the paper's factor, or none.")
    ] = "exact",
    step: Annotated[Step, typer.Option(help="Keep the quantisation step under correction, or recompute it.")] = "keep",
    residual_floor: Annotated[int, typer.Option(help="Least protected bits of tensors inside residual branches.")] = 0,
    floor: Annotated[
        list[str] | None, typer.Option(help="Least protected bits by tensor name, such as 'block*=1'; repeatable.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Pattern of further tensors to store, such as '*.bias'; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Pattern of tensors not to store; repeatable.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Plan the storage of your network by Tunneling-Aware Compensation, and write the stored network.

    The weights are the floating-point tensors of two or more dimensions; biases and normalisation stay outside the
    leaking memory unless included.
    """
    network = load_model(model, weights)
    inputs, _ = load_data(calibration)
    plan = compensate(
        network,
        first_samples(inputs, samples),
        p=p,
        overhead=overhead,
        bits=bits,
        encoding=encoding,
        grid=grid,
        granularity=granularity,
        allocation=allocation,
        correction=correction,
        step=step,
        floors=dict(map(parse_floor, floor or ())),
        residual_floor=residual_floor,
        include=include or (),
        exclude=exclude or (),
        seed=seed,
    )
    source = str(Path(model).resolve()) if model.endswith(".pt2") else model
    store(network, plan).save(out, source=source)
    if as_json:
        typer.echo(plan.to_json(), nl=False)
        return
    typer.echo(f"{plan}\nstored network: {out}")


app.command("design")(design.design_command)


@app.command("predict")
def predict_command(
    model: Annotated[str, typer.Argument(help="A torch.export program (.pt2), or package.module:factory.")],
    calibration: Annotated[Path, typer.Option(help="Inputs, unlabelled, as .npz or .safetensors.")],
    p: Annotated[float, typer.Option("--p", help="Flip probability of a cell, in [0, 0.5).")] = 0.10,
    weights: Annotated[Path | None, typer.Option(help="State dict of the network, as .safetensors.")] = None,
    samples: Annotated[int, typer.Option(help="Use the first so many calibration samples.", min=1)] = 64,
    bits: Annotated[int, typer.Option(help="Bits of a word, 2 to 16.")] = 8,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say from one calibration, before anything is stored, whether TAC pays for your network, and how much."""
    inputs, _ = load_data(calibration)
    prediction = predict(load_model(model, weights), first_samples(inputs, samples), p=p, bits=bits, seed=seed)
    if as_json:
        typer.echo(prediction.to_json(), nl=False)
        return
    Console().print(prediction.table())


@app.command("evaluate")
def evaluate_command(
    stored: Annotated[Path, typer.Argument(help="Folder that `qtaml compensate` or `qtaml design` wrote.")],
    test: Annotated[Path, typer.Option(help="Test inputs and 'labels', as .npz or .safetensors.")],
    model: Annotated[
        str | None, typer.Option(help="The network: needed if it came from a factory, or its .pt2 was moved.")
    ] = None,
    trials: Annotated[int, typer.Option(help="The most reads of the memory.")] = 30,
    p: Annotated[float | None, typer.Option("--p", help="Another flip probability than the plan's.")] = None,
    stop_width: Annotated[
        float | None, typer.Option(help="Stop when the interval over reads is not wider than this.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples that go through the network at once.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure the accuracy of a stored network over independent reads of the leaking memory."""
    network = stored_model(model, read_manifest(stored).source)
    memory = load(stored, network)
    result = evaluate(
        memory,
        Accuracy(*load_labelled(test), batch_size=batch_size),
        trials=trials,
        fault=None if p is None else Uniform(p),
        seed=seed,
        stop_width=stop_width,
    )
    typer.echo(result.to_json() if as_json else f"accuracy {result}", nl=not as_json)


def main() -> None:
    """Run the command line; errors that qtaml raises on purpose become one line and an exit code."""
    try:
        app()
    except QtamlError as error:
        typer.echo(f"qtaml: {error}", err=True)
        sys.exit(3 if isinstance(error, BudgetError) else 4 if isinstance(error, StoredFileError) else 2)
