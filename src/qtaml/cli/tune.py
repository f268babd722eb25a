"""`qtaml tune`: train a network for the memory that it will be stored in."""

import os
from pathlib import Path
from typing import Annotated

import typer
from torch import nn

from qtaml.cli.inputs import load_data, load_labelled, load_model
from qtaml.cli.options import JsonOption, LengthOption, ModelArgument, OutOption, SamplesOption, WeightsOption
from qtaml.cli.settings_options import options_of
from qtaml.cli.stored import check_out, store_and_show
from qtaml.errors import ArgumentError
from qtaml.memory import read_artifact
from qtaml.model import Batches, first_samples
from qtaml.planning import Design, Plan
from qtaml.search import design
from qtaml.training import LossName, Tune, needs_labels, tune


@options_of(Tune)
def tune_command(
    model: ModelArgument,
    train: Annotated[Path, typer.Option(help="Samples to train on: .npz, .safetensors, or text.")],
    out: OutOption,
    settings: Tune,
    plan: Annotated[
        Path | None, typer.Option(help="How it is stored: a plan (.json), or the folder of a stored network.")
    ] = None,
    cells: Annotated[
        float | None,
        typer.Option(help="In place of --plan: design one of so many cells, for the memory of --p or --fault."),
    ] = None,
    loss: Annotated[
        LossName,
        typer.Option(
            help="output_error or divergence from the network as it is, without labels; cross_entropy with the "
            "'labels' of --train."
        ),
    ] = "output_error",
    held_out: Annotated[
        Path | None, typer.Option(help="Samples that are not trained on, which decide what epoch is kept.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder that is written after each epoch; the same command goes on from it.")
    ] = None,
    weights: WeightsOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    as_json: JsonOption = False,
) -> None:
    """Train your network for its memory, and write the stored network.

    In each step it computes with its weights as the memory gives them back. A design (--cells) is calibrated with the
    first of the samples of --train.
    """
    if (plan is None) == (cells is None):
        raise ArgumentError(f"give one of --plan and --cells, got {plan} and {cells}")
    check_out(out, model, weights, train, held_out, plan, checkpoint)
    network = load_model(model, weights)
    chosen = _designed(network, train, model, samples, length, cells, settings) if plan is None else _plan(plan)
    batches = _samples(train, model, length, loss)
    others = None if held_out is None else _samples(held_out, model, length, loss)
    tuned = tune(network, chosen, batches, settings, loss=loss, held_out=others, checkpoint=checkpoint)
    typer.echo(tuned, err=True)
    store_and_show(tuned.model, tuned.plan, model, weights, out, as_json=as_json)


def _plan(path: Path) -> Plan:
    # A name that cannot be one is no folder, and what reads it as a file says what is wrong with it.
    return read_artifact(path).plan if os.path.isdir(path) else Plan.load(path)


def _designed(
    network: nn.Module, train: Path, model: str, samples: int, length: int, cells: float | None, settings: Tune
) -> Plan:
    if settings.fault is None:
        raise ArgumentError("give --p or --fault with --cells, got neither")
    inputs, _ = load_data(train, model, length)
    return design(network, first_samples(inputs, samples), Design(fault=settings.fault, cells=cells))


def _samples(path: Path, model: str, length: int, loss: LossName) -> Batches:
    return load_labelled(path, model, length) if needs_labels(loss) else load_data(path, model, length)[0]
