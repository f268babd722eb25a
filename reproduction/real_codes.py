"""Designs read through real decoders: bits encoded, flipped and decoded, against the errors that plans assume."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.table import Table
from torch import nn

from qtaml._random import child_seed, torch_generator
from qtaml._tables import captioned_table
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Accuracy, Estimate, OutputError, networks_interval
from qtaml.memory import Memory, store
from qtaml.model import named_tensors
from qtaml.networks import NETWORKS
from qtaml.planning import Decoding, Design
from qtaml.protections import Protection
from qtaml.protections.block_coder import BlockCoder
from qtaml.showing import Curve, Panel, cell, columns, panels_figure, percent
from reproduction.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("SmallCNN", "ResCNN")
CELLS = (0.3, 0.5)
DECODERS: tuple[Decoding, ...] = ("none", "table", "majority", "iterative")
"""Those of which a real decoder is at hand."""


@dataclass(frozen=True)
class Row:
    """One network at one budget, read in two ways.

    Attributes:
        network: its name.
        cells: budget, as a share of a plain memory.
        spent: what the plans take, mean over trainings.
        p: flip probability of a cell.
        assumed: accuracy when bits fail independently at the rates that are promised behind each protection.
        decoded: accuracy when words are really encoded, cells flipped, and words decoded.
        assumed_error: output error in the first way.
        decoded_error: output error in the second.
        blocks: blocks of codes that were read.
        wrong_blocks: blocks that were decoded wrong.
        wrong_bits: share of the data bits of blocks that were decoded wrong.
        promised: upper bound of that share in the shipped table, mean over the blocks.
        clean: accuracy outside the leaking memory.
    """

    network: str
    cells: float
    spent: float
    p: float
    assumed: Estimate
    decoded: Estimate
    assumed_error: Estimate
    decoded_error: Estimate
    blocks: int
    wrong_blocks: int
    wrong_bits: float
    promised: float
    clean: float


@dataclass
class Blocks:
    """What became of the blocks of codes.

    Attributes:
        read: blocks that were read.
        wrong: blocks that were decoded wrong.
        bits: their data bits that were stored.
        wrong_bits: those that were decoded wrong.
        promised_bits: those that the shipped bounds allow to be wrong.
    """

    read: int = 0
    wrong: int = 0
    bits: int = 0
    wrong_bits: int = 0
    promised_bits: float = 0.0


def compute(
    laboratory: Laboratory, *, networks: Sequence[str] = NAMES, cells: Sequence[float] = CELLS
) -> tuple[Row, ...]:
    """Store designs, and read them through encoders and decoders instead of the rates that these are known by.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        cells: budgets, as shares of a plain memory.

    Returns:
        A row for each network and budget.

    Raises:
        ArgumentError: if Sionna is not installed.

    Source:
        theory.md 5.2 and 5.3.
    """
    rows = []
    for network in networks:
        for budget in cells:
            case = Case(network, Design(p=NETWORKS[network].p, decoders=DECODERS, cells=budget))
            rows.append(_row(laboratory, case, budget))
    return tuple(rows)


def read_decoded(memory: Memory, p: float, *, seed: int, blocks: Blocks) -> Iterator[tuple[str, torch.Tensor]]:
    """Read every stored tensor once, each bit through the decoder of its protection.

    Bits of one protection are stored in a row, over all tensors, so that a block that fails hits neighbouring weights.

    Args:
        memory: of raw cells, votes and block codes.
        p: flip probability of a cell.
        seed: the same seed gives the same errors.
        blocks: counts what becomes of the blocks.

    Yields:
        Name of each tensor and what is read.
    """
    places: dict[Protection, list[tuple[str, slice, int]]] = {}
    words = {name: stored.words.reshape(-1).int() for name, stored in memory.tensors.items()}
    for tensor in memory.plan.tensors:
        start = 0
        for section in tensor.storage.sections:
            span = slice(start, start + section.weights)
            start = span.stop
            for position, protection in enumerate(section.format.protections):
                places.setdefault(protection, []).append((tensor.name, span, position))
    read = {name: torch.zeros_like(labels) for name, labels in words.items()}
    for protection, at in places.items():
        stored = torch.cat([words[name][span] >> position & 1 for name, span, position in at])
        found = _through(protection, stored, p, child_seed(seed, str(protection)), blocks)
        parts = torch.split(found, [span.stop - span.start for _, span, _ in at])
        for (name, span, position), part in zip(at, parts, strict=True):
            read[name][span] |= part << position
    for tensor in memory.plan.tensors:
        kept = memory.tensors[tensor.name]
        values = tensor.storage.decode(read[tensor.name].to(kept.words.dtype).reshape(tensor.shape), kept.scale)
        yield tensor.name, values.to(getattr(torch, tensor.dtype))


def table(rows: Sequence[Row]) -> Table:
    """A row for each network and budget."""
    grid = captioned_table(
        title="Designs read as their plans assume, and through real encoders and decoders",
        caption="[95% interval over trainings and reads]; wrong bits: share of the data bits of block codes",
    )
    for name in ("network", "cells", "accuracy assumed (%)", "decoded (%)", "output error assumed", "decoded"):
        grid.add_column(name, justify="left" if name == "network" else "right")
    for name in ("blocks", "wrong", "wrong bits", "promised"):
        grid.add_column(name, justify="right")
    for row in rows:
        grid.add_row(
            row.network,
            f"{row.spent:.3f}",
            percent(row.assumed),
            percent(row.decoded),
            cell(row.assumed_error),
            cell(row.decoded_error),
            f"{row.blocks:,}",
            f"{row.wrong_blocks:,}",
            f"{row.wrong_bits:.1e}",
            f"{row.promised:.1e}",
        )
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Output error of both ways to read, by network and budget."""
    names = [f"{row.network}\n{row.cells:g} cells" for row in rows]
    places = range(len(rows))
    panel = Panel(
        [
            Curve("as assumed", [x - 0.1 for x in places], *columns(row.assumed_error for row in rows), points=True),
            Curve("decoded", [x + 0.1 for x in places], *columns(row.decoded_error for row in rows), points=True),
        ],
        f"{100 * rows[0].p:g}% of the cells read wrong",
        "network and budget",
        "output error",
        x_names=names,
        legend="best",
    )
    read, wrong = (sum(getattr(row, name) for row in rows) for name in ("blocks", "wrong_blocks"))
    return panels_figure(
        [panel],
        caption=f"Plans assume that bits fail independently, behind block codes at an upper bound of the rate. Here "
        f"{read:,} blocks were encoded, flipped and decoded, of which {wrong:,} came out wrong. Bars: 95% over "
        "trainings and reads.",
    )


REAL_CODES = Experiment("Designs read through real decoders", compute, table, draw)


def _row(laboratory: Laboratory, case: Case, budget: float) -> Row:
    p = NETWORKS[case.network].p
    blocks, cleans, spent = Blocks(), [], []
    values: dict[str, list[list[float]]] = {}
    for training_seed in laboratory.training_seeds:
        model, data = laboratory.network(case.network, training_seed)
        memory = store(model, laboratory.plan(case, training_seed))
        accuracy = Accuracy(data.test_inputs, data.test_labels)
        metrics: dict[str, Callable[[nn.Module], float]] = {
            "": accuracy,
            "_error": OutputError(model, data.calibration),
        }
        cleans.append(accuracy(model))
        spent.append(memory.plan.cells)
        found: dict[str, list[float]] = {way + name: [] for way in ("assumed", "decoded") for name in metrics}
        copy = memory.copy_of_model()
        for trial in range(laboratory.trials):
            seed = child_seed(laboratory.seed, "real codes", training_seed, trial)
            memory.read_into(copy, seed=seed)
            for name, metric in metrics.items():
                found[f"assumed{name}"].append(metric(copy))
            _overwrite(copy, read_decoded(memory, p, seed=seed, blocks=blocks))
            for name, metric in metrics.items():
                found[f"decoded{name}"].append(metric(copy))
        for name, own in found.items():
            values.setdefault(name, []).append(own)
    estimates = {name: networks_interval(np.array(own)) for name, own in values.items()}
    return Row(
        case.network,
        budget,
        float(np.mean(spent)),
        p,
        **estimates,
        blocks=blocks.read,
        wrong_blocks=blocks.wrong,
        wrong_bits=blocks.wrong_bits / max(blocks.bits, 1),
        promised=blocks.promised_bits / max(blocks.bits, 1),
        clean=float(np.mean(cleans)),
    )


def _overwrite(model: nn.Module, tensors: Iterator[tuple[str, torch.Tensor]]) -> None:
    targets = named_tensors(model)
    with torch.no_grad():
        for name, tensor in tensors:
            targets[name].copy_(tensor)


def _through(protection: Protection, bits: torch.Tensor, p: float, seed: int, blocks: Blocks) -> torch.Tensor:
    """Bits as read once through a protection."""
    generator = torch_generator(seed)
    if protection.kind == "raw":
        return bits ^ _flips(bits.shape, p, generator)
    if protection.kind == "repetition":
        copies = bits[:, None] ^ _flips((len(bits), protection.copies), p, generator)
        return (copies.sum(1) >= protection.ones).int()
    assert protection.kind == "block_code"
    coder = BlockCoder(protection.data_bits, protection.code_bits)
    count = -(-len(bits) // protection.data_bits)
    data = torch.zeros(count * protection.data_bits, dtype=torch.uint8)
    data[: len(bits)] = bits
    data = data.reshape(count, -1)
    stored = coder.encode(data)
    decoded = coder.decode(stored ^ _flips(stored.shape, p, generator).to(torch.uint8), p)
    wrong = (decoded != data).reshape(-1)[: len(bits)]
    blocks.read += count
    blocks.wrong += int((decoded != data).any(1).sum())
    blocks.bits += len(bits)
    blocks.wrong_bits += int(wrong.sum())
    blocks.promised_bits += len(bits) * protection.residual(p, p)[0]
    return decoded.reshape(-1)[: len(bits)].int()


def _flips(shape: Sequence[int], p: float, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(tuple(shape), generator=generator, dtype=torch.float64) < p).int()
