"""Dumps of hardware memories: the words that one gave back, and the weak cells that two show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from qtaml import _checks
from qtaml.export import read_binary, read_verilog
from qtaml.formats import WeakBits
from qtaml.planning import Plan

DumpWidthOption = Annotated[
    int | None, typer.Option(help="Width of a memory word, as it was written; 32 for .bin if not given.", min=8)
]
ZEROS_HELP = "What the chip gave back after all its bits were written 0; several times for several reads."
ONES_HELP = "What it gave back after all its bits were written 1; likewise."


def read_dump(dump: Path, plan: Plan, word_bits: int | None) -> dict[str, torch.Tensor]:
    """Words of each tensor in a dump.

    Args:
        dump: a `.bin`, or text of `$writememh` (.mem, .hex or .txt).
        plan: how the network is stored.
        word_bits: width of a memory word; None for 32 in a `.bin`, and what the digits of a text say.

    Raises:
        ArgumentError: if the file has another ending, or the width is not allowed.
        StoredFileError: if the file cannot be read, or is not of this network.
    """
    if _checks.one_of(f"suffix of {dump}", dump.suffix.lower(), (".bin", ".mem", ".hex", ".txt")) == ".bin":
        # A raw image has no lines, so its width cannot be seen; text shows it by the digits of each word.
        return read_binary(dump, plan, word_bits=word_bits or 32)
    return read_verilog(dump, plan, word_bits=word_bits)


def weak_cells_of(
    plan: Plan, zeros: Sequence[Path], ones: Sequence[Path], word_bits: int | None
) -> dict[str, WeakBits]:
    """What dumps after two patterns say of the weak cells of a chip, for `qtaml.store`.

    Args:
        plan: how the network is stored.
        zeros: one dump or more after all bits were written 0.
        ones: likewise after 1.
        word_bits: as for `read_dump`.

    Raises:
        ArgumentError: as `read_dump`.
        StoredFileError: as `read_dump`.
    """
    read = [[read_dump(dump, plan, word_bits) for dump in dumps] for dumps in (zeros, ones)]
    return {
        entry.name: WeakBits.of_reads(*([words[entry.name] for words in dumps] for dumps in read))
        for entry in plan.tensors
    }
