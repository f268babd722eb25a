"""Claims of others about flipped bits of weights, measured on small networks: number formats, RandBET, stuck cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from rich.table import Table
from torch import nn

import qtaml
from qtaml._random import child_seed
from qtaml._tables import captioned_table
from qtaml._threads import one_thread
from qtaml.faults import StaticCells
from qtaml.laboratory import Laboratory
from qtaml.measuring import Accuracy, Estimate, networks_interval
from qtaml.memory import weak_bits
from qtaml.networks import load_digits
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from qtaml.training import Tune, tune
from reproduction.experiment import Experiment
from reproduction.outside_tables_page import page
from reproduction.tiny_networks import EPOCHS, trained_network
from reproduction.word_formats import FORMATS, WordMemory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Study = Literal["formats", "training", "stuck cells"]

FLIPS = (1e-5, 1e-4, 1e-3, 1e-2)
"""Flip probabilities of number formats."""
SHAPES = tuple(f"dense {layers}, {name}" for name in ("ReLU", "tanh") for layers in (2, 4, 8))
CURVE = (0.001, 0.01, 0.02, 0.05, 0.1)
"""Flip probabilities of the curves of training."""
TRAINED_AT = 0.02
TRAININGS = ("plain", "clipped", "RandBET")
STUCK = (2, 4, 10, 20)
"""Classes of cells, of 256, that are stuck: half of them at 0, half at 1."""


@dataclass(frozen=True)
class Row:
    """Accuracy of one network, kept in one way.

    Attributes:
        study: whose claim it is for.
        network: a key of `BUILDS`.
        storage: number format, training, or how stuck cells are met.
        p: chance that a bit is read wrong, or that a cell is stuck.
        accuracy: as read; over trainings and reads, or chips.
        clean: accuracy outside the memory, mean over trainings.
        error: expected squared error of the weights over their squares, mean over trainings, by the exact law; None
            where it is not asked for.
    """

    study: Study
    network: str
    storage: str
    p: float
    accuracy: Estimate
    clean: float
    error: float | None


def compute(
    laboratory: Laboratory,
    *,
    networks: Sequence[str] = ("depthwise", "residual"),
    shapes: Sequence[str] = SHAPES,
    probabilities: Sequence[float] = FLIPS,
    curve: Sequence[float] = CURVE,
    stuck: Sequence[int] = STUCK,
    epochs: int = EPOCHS,
) -> tuple[Row, ...]:
    """Train the networks and read them.

    Args:
        laboratory: its reads, training seeds and seed; nothing is kept.
        networks: keys of `BUILDS`, in all formats.
        shapes: keys of `BUILDS`, in INT8 and FP16.
        probabilities: flip probabilities of the formats.
        curve: flip probabilities of the trainings.
        stuck: classes of 256 that are stuck.
        epochs: of each training.

    Returns:
        Rows of the three studies.

    Source:
        arXiv 2603.22770; Stutz et al., MLSys 2021; Hanif and Shafique, arXiv 2305.12590 (FAQ).
    """
    with one_thread():
        asked = [(network, name) for network in networks for name in FORMATS]
        asked += [(network, name) for network in shapes for name in ("INT8", "FP16")]
        rows = [_format_row(laboratory, *one, p, epochs) for one in asked for p in probabilities]
        for training in TRAININGS:
            rows += [_training_row(laboratory, training, p, epochs) for p in curve]
        for network in networks:
            rows += [
                _stuck_row(laboratory, network, known, count, epochs) for known in (False, True) for count in stuck
            ]
    return tuple(rows)


def _metric() -> Accuracy:
    digits = load_digits()
    return Accuracy(digits.test_images, digits.test_labels)


def _row(
    laboratory: Laboratory,
    head: tuple[Study, str, str, float],
    network: Callable[[int], nn.Module],
    read: Callable[[nn.Module, int], list[float]],
    error: float | None = None,
) -> Row:
    """A row from the accuracies of the reads of each trained network."""
    values = np.array([read(network(seed), seed) for seed in laboratory.training_seeds])
    clean = float(np.mean([_metric()(network(seed)) for seed in laboratory.training_seeds]))
    return Row(*head, networks_interval(values).within(0.0, 1.0), clean, error)


def _format_row(laboratory: Laboratory, network: str, name: str, p: float, epochs: int) -> Row:
    def read(model: nn.Module, seed: int) -> list[float]:
        memory = WordMemory(model, name, p)
        seeds = [child_seed(laboratory.seed, "read", seed, number) for number in range(laboratory.trials)]
        return [_accuracy(model, memory.read(one)) for one in seeds]

    models = [trained_network(network, seed, epochs) for seed in laboratory.training_seeds]
    error = float(np.mean([WordMemory(model, name, p).error() for model in models]))
    return _row(
        laboratory, ("formats", network, name, p), lambda seed: trained_network(network, seed, epochs), read, error
    )


def _accuracy(model: nn.Module, weights: dict[str, torch.Tensor]) -> float:
    """Of a network with other weights."""
    digits = load_digits()
    with torch.no_grad():
        outputs = torch.func.functional_call(model, weights, (digits.test_images,))
    # Where a sum overflows, an output is no number: such a sample is wrong.
    right = torch.isfinite(outputs).all(1) & (outputs.argmax(1) == digits.test_labels)
    return float(right.double().mean())


def _training_row(laboratory: Laboratory, training: str, p: float, epochs: int) -> Row:
    def read(model: nn.Module, seed: int) -> list[float]:
        memory = qtaml.store(model, qtaml.uniform_msp(model, p=p, protected_bits=0))
        return _values(memory, laboratory.trials, laboratory.seed)

    head: tuple[Study, str, str, float] = ("training", "convolutions", training, p)
    return _row(laboratory, head, lambda seed: _tuned(training, seed, epochs), read)


def _values(memory: qtaml.Memory, trials: int, seed: int) -> list[float]:
    return list(qtaml.evaluate(memory, _metric(), trials=trials, seed=seed).values)


@cache
def _tuned(training: str, seed: int, epochs: int) -> nn.Module:
    """SmallCNN, as it is or trained on for 8-bit words: with clipped weights, and with errors of p = 0.02."""
    model, digits = trained_network("convolutions", seed, epochs), load_digits()
    if training == "plain":
        return model
    plan = qtaml.uniform_msp(model, p=TRAINED_AT, protected_bits=0)
    settings = Tune(epochs=epochs, clip=1.0, seed=seed, errors="none" if training == "clipped" else "law")
    return tune(model, plan, (digits.train_images, digits.train_labels), settings, loss="cross_entropy").model


def _stuck_row(laboratory: Laboratory, network: str, known: bool, count: int, epochs: int) -> Row:
    def read(model: nn.Module, seed: int) -> list[float]:
        plan = qtaml.uniform_msp(model, p=0.0, protected_bits=0)
        return [_on_chip(model, plan, _chip(count, chip), known) for chip in range(max(2, laboratory.trials // 3))]

    head: tuple[Study, str, str, float] = (
        "stuck cells",
        network,
        "nearest reading" if known else "as they are",
        count / 256,
    )
    return _row(laboratory, head, lambda seed: trained_network(network, seed, epochs), read)


def _chip(count: int, number: int) -> StaticCells:
    """Of 256 classes of cells half of `count` are stuck at 1, half at 0."""
    ones = (1.0,) * (count // 2) + (0.0,) * (256 - count // 2)
    return StaticCells(p01=ones, p10=ones[::-1], chip=number)


def _on_chip(model: nn.Module, plan: qtaml.Plan, chip: StaticCells, known: bool) -> float:
    memory = qtaml.store(model, plan, weak_cells=weak_bits(plan, chip) if known else None)
    return _accuracy(model, dict(memory.read(seed=0, fault=chip)))


def table(rows: Sequence[Row]) -> Table:
    """A line for each network, storage and chance."""
    grid = captioned_table("Claims of others about flipped bits", f"[95% interval over {rows[0].accuracy.covers}]")
    for name in ("study", "network", "storage"):
        grid.add_column(name)
    for name in ("p", "accuracy (%)", "clean (%)", "error of the weights"):
        grid.add_column(name, justify="right")
    for row in rows:
        error = "" if row.error is None else f"{row.error:.2g}"
        cells = (f"{row.p:.3g}", percent(row.accuracy), f"{100 * row.clean:.1f}", error)
        grid.add_row(row.study, row.network, row.storage, *cells)
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy over the chance of an error, a panel for each study and network of more than one storage."""
    panels = []
    for study, network in dict.fromkeys((row.study, row.network) for row in rows if row.network not in SHAPES):
        own = [row for row in rows if (row.study, row.network) == (study, network)]
        curves = []
        for storage in dict.fromkeys(row.storage for row in own):
            some = [row for row in own if row.storage == storage]
            curves.append(Curve(storage, [row.p for row in some], *columns((row.accuracy for row in some), 100)))
        panels.append(
            Panel(
                curves,
                f"{study}: {network}",
                "stuck cells" if study == "stuck cells" else "flip probability",
                "accuracy (%)",
                reference=("clean", 100 * own[0].clean),
                limits=(0.0, 105.0),
                log_x=True,
            )
        )
    return panels_figure(panels, columns=2)


OUTSIDE_TABLES = Experiment("Claims of others about flipped bits", compute, table, draw, page=page)
