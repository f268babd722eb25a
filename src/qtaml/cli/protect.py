"""`qtaml protect`: a checkpoint with its words as they are, each bit stored as the budget allows."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from qtaml import _files
from qtaml.checkpoints import ReadCheckpoint, open_checkpoint, protect, read_errors, requantised
from qtaml.cli.fault_option import FAULT_FORMS, DeviceOption, WindowOption, parse_fault
from qtaml.cli.inspect_file import FileArgument
from qtaml.cli.options import JsonOption, SeedOption
from qtaml.errors import ArgumentError
from qtaml.protections import DECODERS, Decoder


def protect_command(
    file: FileArgument,
    cells: Annotated[float, typer.Option(help="Budget in cells for each bit of the file: 1 is the file unprotected.")],
    p: Annotated[float | None, typer.Option("--p", help="Flip probability of a cell, in [0, 0.5); or")] = None,
    fault: Annotated[str | None, typer.Option(metavar=FAULT_FORMS, help="a fault model: uniform, asymmetric.")] = None,
    device: DeviceOption = None,
    window: WindowOption = None,
    gains: Annotated[Path | None, typer.Option(help="JSON: importance of a squared error, by tensor.")] = None,
    decoders: Annotated[list[str] | None, typer.Option(help="Allowed decoders; all real ones if not given.")] = None,
    weights: Annotated[int, typer.Option(help="Weights of each tensor that are looked at.", min=1)] = 8192,
    reads: Annotated[int, typer.Option(help="Reads that measure the error; 0 for none.", min=0)] = 0,
    read_back: Annotated[Path | None, typer.Option(help="Write the file as one read gives it.", metavar="FILE")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan, as JSON.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Plan how a checkpoint is stored with its own codes and scales; nothing is quantised anew."""
    _check_ending("--out", out, ".json")
    _check_ending("--read-back", read_back, file.suffix)
    checkpoint = open_checkpoint(file)
    allowed = tuple(cast(Decoder, one) for one in decoders or DECODERS if decoders or one != "ideal")
    plan = protect(
        checkpoint,
        p=p,
        fault=None if fault is None else parse_fault(fault),
        device=device,
        window=window,
        cells=cells,
        gains=None if gains is None else _read_gains(gains),
        decoders=allowed,
        weights=weights,
    )
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
            "standard_error": plan.standard_error,
            "requantised": asdict(anew),
            "measured": measured and json.loads(measured.to_json()),
        }
        typer.echo(json.dumps(record, indent=2))
        return
    Console().print(plan.table())
    typer.echo(str(anew))
    if measured:
        Console().print(measured.table())


def _check_ending(option: str, path: Path | None, ending: str) -> None:
    if path is not None and path.suffix != ending:
        raise ArgumentError(f"{option} must be a file whose name ends in {ending}, got {str(path)!r}")


def _read_gains(path: Path) -> dict[str, float]:
    return _files.from_json(dict[str, float], _files.read_bytes(path), str(path))
