"""`qtaml rewrite`: a stored network for one chip, whose weak cells two dumps show."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from qtaml.cli.dumps import ONES_HELP, ZEROS_HELP, DumpWidthOption, weak_cells_of
from qtaml.cli.inputs import calibration_batch
from qtaml.cli.options import (
    FedBackOption,
    LengthOption,
    OutOption,
    SamplesOption,
    StoredArgument,
    StoredModelOption,
    WeightsOption,
)
from qtaml.cli.stored import check_out, load_stored, save_stored
from qtaml.formats import WeakBits
from qtaml.memory import read_artifact, store
from qtaml.planning import Plan


def rewrite_command(
    stored: StoredArgument,
    zeros: Annotated[list[Path], typer.Option(help=ZEROS_HELP)],
    ones: Annotated[list[Path], typer.Option(help=ONES_HELP)],
    out: OutOption,
    model: StoredModelOption = None,
    weights: WeightsOption = None,
    word_bits: DumpWidthOption = None,
    calibration: FedBackOption = None,
    samples: SamplesOption = 64,
    length: LengthOption = 128,
) -> None:
    """Choose the stored words anew for one chip, whose weak cells are known from two patterns.

    Fill the memory of the chip with zeros, read it back into a file, then the same with ones. The words that are chosen
    are read right by this chip as far as they can be; whoever reads them needs to know nothing of it.
    """
    check_out(out, str(stored), model, weights, *zeros, *ones)
    artifact = read_artifact(stored)
    weak = weak_cells_of(artifact.plan, zeros, ones, word_bits)
    _, network, spec = load_stored(artifact, model, weights)
    inputs = calibration_batch(calibration, spec, samples, length) if calibration else None
    written = store(network, artifact.plan, weak_cells=weak, calibration=inputs)
    replaced = save_stored(written, spec, weights, out)
    typer.echo(f"{_counts(artifact.plan, weak)}; stored network for this chip: {out}{replaced}")


def _counts(plan: Plan, weak: Mapping[str, WeakBits]) -> str:
    """How many stored bits are stuck, and how many turn over."""
    stuck = turned = bits = 0
    for entry in plan.tensors:
        full, found = entry.storage.full(), weak[entry.name]
        bits += int(np.bitwise_count(full.numpy()).sum())
        stuck += int(np.bitwise_count((found.stuck.reshape(-1) & full).numpy()).sum())
        turned += int(np.bitwise_count((found.turned.reshape(-1) & full).numpy()).sum())
    return f"{stuck:,} of {bits:,} stored bits are stuck, {turned:,} turn over"
