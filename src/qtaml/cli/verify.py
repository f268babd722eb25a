"""`qtaml verify`: whether a stored network is what its plan makes of the original weights."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qtaml.cli.dumps import ONES_HELP, ZEROS_HELP, DumpWidthOption, weak_cells_of
from qtaml.cli.inputs import calibration_batch
from qtaml.cli.options import (
    FedBackOption,
    JsonOption,
    LengthOption,
    SamplesOption,
    StoredArgument,
    StoredModelOption,
    WeightsOption,
)
from qtaml.cli.stored import load_stored
from qtaml.errors import ArgumentError, StoredFileError
from qtaml.memory import differences, read_artifact, regions
from qtaml.memory.differences import STORED_WORDS


def verify_command(
    stored: StoredArgument,
    model: StoredModelOption = None,
    weights: WeightsOption = None,
    zeros: Annotated[
        list[Path] | None, typer.Option(help=f"{ZEROS_HELP} Of a network that was rewritten for it.")
    ] = None,
    ones: Annotated[list[Path] | None, typer.Option(help=f"{ONES_HELP} Likewise.")] = None,
    word_bits: DumpWidthOption = None,
    calibration: FedBackOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
    as_json: JsonOption = False,
) -> None:
    """Recompute every checksum, and rebuild the stored bits from the original weights and the plan."""
    if bool(zeros) != bool(ones):
        raise ArgumentError(f"--zeros and --ones must be given together, got {zeros} and {ones}")
    artifact = read_artifact(stored)
    weak = weak_cells_of(artifact.plan, zeros, ones, word_bits) if zeros and ones else None
    if not as_json:
        # read_artifact refuses a wrong one.
        typer.echo(f"{stored}: every checksum is right")
    memory, network, spec = load_stored(artifact, model, weights)
    inputs = calibration_batch(calibration, spec, samples, length) if calibration else None
    found = differences(memory, network, weak_cells=weak, calibration=inputs)
    unseen = () if calibration else artifact.plan.fed_back
    storages = [entry.storage for entry in memory.plan.tensors]
    bits = sum(region.words * region.format.bits for storage in storages for region in regions(storage))
    if as_json:
        record = {
            "source": spec,
            "stored_bits": bits,
            "tensors": len(storages),
            "not_compared": unseen,
            "differences": list(map(asdict, found)),
        }
        typer.echo(json.dumps(record, indent=2))
    # After the JSON: a script gets the differences as well as the exit code.
    if found:
        hint = ""
        if artifact.weights and not weights:
            hint = f" (without --weights; it was made with {artifact.weights})"
        elif any(difference.what == STORED_WORDS for difference in found):
            unlike = "without --zeros and --ones, which a network for one chip needs"
            hint = f" ({'with a map of weak cells, which may be of another chip' if weak else unlike})"
        raise StoredFileError(
            f"{stored} is not what its plan makes of {spec}{hint}:\n"
            + "\n".join(f"  {difference}" for difference in found)
        )
    if not as_json:
        typer.echo(
            f"rebuilt from {spec}: all equal but the words of {', '.join(unseen)}, which hang on the calibration "
            "inputs and are compared with --calibration"
            if unseen
            else f"{bits:,} stored bits of {len(storages)} tensors, rebuilt from {spec}: all equal"
        )
