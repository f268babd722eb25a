"""`qtaml design`: all the ways to store a network, every cell counted."""

from pathlib import Path
from typing import Annotated, cast

import typer

from qtaml.cli.inputs import calibration_batch, load_labelled, load_model
from qtaml.cli.options import (
    CalibrationOption,
    ExcludeOption,
    IncludeOption,
    JsonOption,
    LengthOption,
    ModelArgument,
    OutOption,
    SamplesOption,
    SeedOption,
    WeightsOption,
)
from qtaml.cli.stored import check_out, store_and_show
from qtaml.device import preset_record
from qtaml.errors import ArgumentError
from qtaml.measuring import Accuracy
from qtaml.search import REAL_DECODERS, Decoding, design


def design_command(
    model: ModelArgument,
    calibration: CalibrationOption,
    out: OutOption,
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
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    bits: Annotated[int, typer.Option(help="Bits of a plain word, in which cells are counted, 2 to 16.")] = 8,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Search all the ways to store your network, and write the stored network.

    The cells of codes, tables and scales are counted. Give one goal: --cells, --error, or --accuracy with --test.
    """
    if (accuracy is None) != (test is None):
        raise ArgumentError(f"--accuracy and --test must be given together, got {accuracy} and {test}")
    check_out(out, model, weights, calibration, test)
    network = load_model(model, weights)
    plan = design(
        network,
        calibration_batch(calibration, model, samples, length),
        p=p,
        device=None if device is None else preset_record(device),
        cells=cells,
        error=error,
        accuracy=accuracy,
        metric=None if test is None else Accuracy(*load_labelled(test, model, length)),
        trials=trials,
        # Its names are checked by `design`.
        decoders=cast(list[Decoding], [name.strip() for name in decoders.split(",")]),
        rows=rows,
        bits=bits,
        include=include or (),
        exclude=exclude or (),
        seed=seed,
    )
    store_and_show(network, plan, model, weights, out, as_json=as_json)
