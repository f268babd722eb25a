"""`qtaml compensate`: algorithm 1 of the paper for the user's network."""

from qtaml.cli.inputs import calibration_batch, load_model
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
from qtaml.planning import Tac, compensate


@options_of(Tac)
def compensate_command(
    model: ModelArgument,
    calibration: CalibrationOption,
    out: OutOption,
    settings: Tac,
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    as_json: JsonOption = False,
) -> None:
    """Plan the storage of your network by Tunneling-Aware Compensation, and write the stored network.

    The weights are the floating-point tensors of two or more dimensions; biases and normalisation stay outside the
    leaking memory unless included.
    """
    check_out(out, model, weights, calibration)
    network = load_model(model, weights)
    plan = compensate(network, calibration_batch(calibration, model, samples, length), settings)
    store_and_show(network, plan, model, weights, out, as_json=as_json)
