"""`qtaml design`: all the ways to store a network, every cell counted."""

from pathlib import Path
from typing import Annotated, cast

import typer

from qtaml.cli.inputs import first_samples, load_data, load_labelled, load_model
from qtaml.cli.options import JsonOption, SeedOption
from qtaml.device import preset_record
from qtaml.errors import ArgumentError
from qtaml.evaluate import Accuracy, design
from qtaml.memory import store
from qtaml.planning import REAL_DECODERS, Decoding


def design_command(
    model: Annotated[str, typer.Argument(help="A torch.export program (.pt2), or package.module:factory.")],
    calibration: Annotated[
        Path, typer.Option(help="Inputs, unlabelled, as .npz or .safetensors; a few dozen samples are enough.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the stored network.")],
    p: Annotated[float | None, typer.Option("--p", help="Flip probability of a cell, in [0, 0.5).")] = None,
    device: Annotated[
        str | None, typer.Option(help="A preset of `qtaml device list` instead of --p; its cells may be larger.")
    ] = None,
    cells: Annotated[float | None, typer.Option(help="Budget, as a share of a plain memory; or")] = None,
    error: Annotated[float | None, typer.Option(help="Output error to reach in the fewest cells; or")] = None,
    accuracy: Annotated[float | None, typer.Option(help="Accuracy on --test to reach in the fewest cells.")] = None,
    test: Annotated[Path | None, typer.Option(help="Inputs and 'labels' for --accuracy.")] = None,
    trials: Annotated[int, typer.Option(help="Reads of each plan that is tried for --accuracy.")] = 30,
    decoders: Annotated[
        str, typer.Option(help="What may be needed to read: none, table, majority, algebraic, iterative, ideal.")
    ] = ",".join(REAL_DECODERS),
    rows: Annotated[bool, typer.Option("--rows", help="Allow a scale and a format for each row of a tensor.")] = False,
    weights: Annotated[
        Path | None, typer.Option(help="State dict of the network, as .safetensors (for a factory).")
    ] = None,
    samples: Annotated[int, typer.Option(help="Use the first so many calibration samples.", min=1)] = 64,
    bits: Annotated[int, typer.Option(help="Bits of a plain word, in which cells are counted, 2 to 16.")] = 8,
    include: Annotated[
        list[str] | None, typer.Option(help="Pattern of further tensors to store, such as '*.bias'; repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Pattern of tensors not to store; repeatable.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Search all the ways to store your network, and write the stored network.

    The cells of codes, tables and scales are counted. Give one goal: --cells, --error, or --accuracy with --test.
    """
    if (accuracy is None) != (test is None):
        raise ArgumentError(f"--accuracy and --test must be given together, got {accuracy} and {test}")
    network = load_model(model, weights)
    inputs, _ = load_data(calibration)
    plan = design(
        network,
        first_samples(inputs, samples),
        p=p,
        device=None if device is None else preset_record(device),
        cells=cells,
        error=error,
        accuracy=accuracy,
        metric=None if test is None else Accuracy(*load_labelled(test)),
        trials=trials,
        # Its names are checked by `design`.
        decoders=cast(list[Decoding], [name.strip() for name in decoders.split(",")]),
        rows=rows,
        bits=bits,
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
