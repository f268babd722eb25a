"""`qtaml design`: search all formats for a network, every cell counted."""

from pathlib import Path
from typing import Annotated

import typer

from qtaml.cli.inputs import calibration_batch, load_labelled, load_model
from qtaml.cli.options import (
    CalibrationOption,
    JsonOption,
    LengthOption,
    ModelArgument,
    OutOption,
    SamplesOption,
    WeightsOption,
)
from qtaml.cli.settings_options import options_of
from qtaml.cli.stored import check_out, store_and_show
from qtaml.errors import ArgumentError
from qtaml.measuring import Accuracy
from qtaml.model import returning
from qtaml.planning import Design
from qtaml.search import design


@options_of(Design)
def design_command(
    model: ModelArgument,
    calibration: CalibrationOption,
    out: OutOption,
    settings: Design,
    test: Annotated[Path | None, typer.Option(help="Inputs and 'labels' for --accuracy.")] = None,
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    as_json: JsonOption = False,
) -> None:
    """Search all the ways to store your network, and write the stored network.

    The cells of codes, tables and scales are counted. Give one goal: --cells, --error, or --accuracy with --test.
    """
    if (settings.accuracy is None) != (test is None):
        raise ArgumentError(f"--accuracy and --test must be given together, got {settings.accuracy} and {test}")
    # Before a search that may take minutes.
    check_out(out, model, weights, calibration, test)
    network = load_model(model, weights)
    if settings.output is not None:
        # For the metric too, which sees what the network returns.
        returning(network, settings.output)
    metric = None if test is None else Accuracy(*load_labelled(test, model, length))
    inputs = calibration_batch(calibration, model, samples, length)
    plan = design(network, inputs, settings, metric=metric)
    store_and_show(network, plan, model, weights, out, as_json=as_json, calibration=inputs)
