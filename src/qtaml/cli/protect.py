"""`qtaml protect`: a checkpoint with its words as they are, each bit stored as the budget allows."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from torch import nn

from qtaml import _files
from qtaml.checkpoints import (
    ReadCheckpoint,
    checkpoint_gains,
    evaluate_reads,
    open_checkpoint,
    protect,
    read_errors,
    requantised,
)
from qtaml.cli.fault_option import FAULT_FORMS, DeviceOption, WindowOption, parse_fault
from qtaml.cli.inputs import calibration_batch, load_model
from qtaml.cli.inspect_file import FileArgument
from qtaml.cli.metric_options import BatchSizeOption, MetricOption, TestData, chosen_metric
from qtaml.cli.options import JsonOption, LengthOption, SamplesOption, SeedOption
from qtaml.errors import ArgumentError
from qtaml.measuring import as_perplexity
from qtaml.protections import DECODERS, Decoder

_INPUTS = "Inputs of the network, .npz, .safetensors, or text"
_CALIBRATION = f"{_INPUTS}: measure gains, by reads, and plan with them."
_TEST = f"{_INPUTS}, and 'labels' for accuracy: measure the network."
_MODEL = "Network of a checkpoint that does not run itself: a Hugging Face directory, or package.module:factory."


def protect_command(
    file: FileArgument,
    cells: Annotated[float, typer.Option(help="Budget in cells for each bit of the file: 1 is the file unprotected.")],
    p: Annotated[float | None, typer.Option("--p", help="Flip probability of a cell, in [0, 0.5); or")] = None,
    fault: Annotated[str | None, typer.Option(metavar=FAULT_FORMS, help="a fault model: uniform, asymmetric.")] = None,
    device: DeviceOption = None,
    window: WindowOption = None,
    gains: Annotated[
        Path | None, typer.Option(help="JSON: importance of a squared error, by tensor, or by tensor and field.")
    ] = None,
    decoders: Annotated[list[str] | None, typer.Option(help="Allowed decoders; all real ones if not given.")] = None,
    weights: Annotated[int, typer.Option(help="Weights of each tensor that are looked at.", min=1)] = 8192,
    reads: Annotated[int, typer.Option(help="Reads that measure the error; 0 for none.", min=0)] = 0,
    calibration: Annotated[Path | None, typer.Option(help=_CALIBRATION)] = None,
    test: Annotated[Path | None, typer.Option(help=_TEST)] = None,
    metric: MetricOption = "accuracy",
    model: Annotated[str | None, typer.Option(help=_MODEL)] = None,
    length: LengthOption = 128,
    samples: SamplesOption = 32,
    batch_size: BatchSizeOption = None,
    read_back: Annotated[Path | None, typer.Option(help="Write the file as one read gives it.", metavar="FILE")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan, as JSON.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Plan how a checkpoint is stored with its own codes and scales; nothing is quantised anew."""
    _check_ending("--out", out, ".json")
    _check_ending("--read-back", read_back, file.suffix)
    _check_together(gains, calibration, test, model, batch_size)
    checkpoint = open_checkpoint(file)
    allowed = tuple(cast(Decoder, one) for one in decoders or DECODERS if decoders or one != "ideal")
    planned = partial(
        protect,
        checkpoint,
        p=p,
        fault=None if fault is None else parse_fault(fault),
        device=device,
        window=window,
        cells=cells,
        decoders=allowed,
        weights=weights,
    )
    plan = planned(gains=None if gains is None else _read_gains(gains))
    load = partial(_network, model)
    found: dict[str, tuple[float, float]] | None = None
    if calibration is not None:
        batch = calibration_batch(calibration, model or str(file), samples, length)
        found = checkpoint_gains(checkpoint, plan, load, batch, seed=seed)
        plan = planned(gains={name: gain for name, (gain, _) in found.items()})
    score = None
    if test is not None:
        data = TestData(test, model or str(file), length, batch_size)
        score = evaluate_reads(
            checkpoint, plan, chosen_metric(metric, data, load(file)), load, reads=reads or 10, seed=seed
        )
        score = as_perplexity(score) if metric == "perplexity" else score
    anew = requantised(checkpoint, plan, decoders=allowed)
    measured = read_errors(checkpoint, plan, reads=reads, seed=seed) if reads else None
    if out is not None:
        _files.write_text(out, plan.to_json())
    if read_back is not None:
        ReadCheckpoint(checkpoint, plan, seed).save(read_back)
    if as_json:
        record = {
            "cells": plan.cells,
            "error": plan.error,
            "gains": found,
            "standard_error": plan.standard_error,
            "requantised": asdict(anew),
            "measured": measured and json.loads(measured.to_json()),
            "network": score and json.loads(score.to_json()),
        }
        typer.echo(json.dumps(record, indent=2))
        return
    Console().print(plan.table())
    typer.echo(str(anew))
    if found is not None:
        typer.echo(_of_gains(found))
    if measured:
        Console().print(measured.table())
    if score:
        typer.echo(f"{metric} of the network as read: {score}")


def _of_gains(gains: Mapping[str, tuple[float, float]]) -> str:
    """Which tensors count least and most, with standard errors over reads."""
    least, most = (choose(gains, key=lambda name: gains[name][0]) for choose in (min, max))
    told = [f"{name} {gains[name][0]:.3g} +- {gains[name][1]:.1g}" for name in dict.fromkeys((least, most))]
    return f"gains by reads, squared output error for each unit of a tensor's: {' to '.join(told)} (all: --json)"


def _check_together(
    gains: Path | None, calibration: Path | None, test: Path | None, model: str | None, batch_size: int | None
) -> None:
    """Raise `ArgumentError` for an option that would be of no use beside the others."""
    if model is not None and calibration is None and test is None:
        raise ArgumentError(f"--model must be given with --calibration or --test, got {model!r}")
    if batch_size is not None and test is None:
        raise ArgumentError(f"--batch-size must be given with --test, got {batch_size}")
    if gains is not None and calibration is not None:
        raise ArgumentError(f"--gains must not be given with --calibration, which measures them, got {str(gains)!r}")


def _network(model: str | None, path: Path) -> nn.Module:
    """The network of a checkpoint file: the file itself, or what a factory makes, with its weights."""
    return load_model(str(path)) if model is None else load_model(model, path)


def _check_ending(option: str, path: Path | None, ending: str) -> None:
    if path is not None and path.suffix != ending:
        raise ArgumentError(f"{option} must be a file whose name ends in {ending}, got {str(path)!r}")


def _read_gains(path: Path) -> dict[str, float | dict[str, float]]:
    return _files.from_json(dict[str, float | dict[str, float]], _files.read_bytes(path), str(path))
