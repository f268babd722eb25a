"""`qtaml predict`: the saving by TAC, predicted before anything is stored."""

import typer
from rich.console import Console

from qtaml.cli.inputs import calibration_batch, load_model
from qtaml.cli.options import (
    CalibrationOption,
    JsonOption,
    LengthOption,
    ModelArgument,
    SamplesOption,
    WeightsOption,
)
from qtaml.cli.settings_options import options_of
from qtaml.planning import Predict, predict


@options_of(Predict)
def predict_command(
    model: ModelArgument,
    calibration: CalibrationOption,
    settings: Predict,
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    as_json: JsonOption = False,
) -> None:
    """Say from one calibration, before anything is stored, whether TAC pays for your network, and how much."""
    network = load_model(model, weights)
    prediction = predict(network, calibration_batch(calibration, model, samples, length), settings)
    if as_json:
        typer.echo(prediction.to_json(), nl=False)
        return
    Console().print(prediction.table())
