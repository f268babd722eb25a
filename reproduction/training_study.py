"""Training that knows the memory: the exact law against Gaussian noise, rounding and RandBET, in five storages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.laboratory import Case, Laboratory, Measured
from qtaml.measuring import Estimate, networks_interval, perplexity
from qtaml.networks import RECIPES
from qtaml.planning import Decoding, Design, Settings, Tac, UniformMsp
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from qtaml.training import LossName, Tune
from reproduction.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS = 12
VOTES: tuple[Decoding, ...] = ("none", "table", "majority")
EVERY = "design, every decoder"


class Training(NamedTuple):
    """How a network is trained for a storage.

    Attributes:
        settings: but for the epochs; None for no training.
        loss: by its name.
        plain: trained for plain words, whatever the storage is, which is then planned for the trained network.
    """

    settings: dict[str, Any] | None
    loss: LossName = "cross_entropy"
    plain: bool = False


TRAININGS: dict[str, Training] = {
    "none": Training(None),
    "rounding": Training({"errors": "none"}),
    "Gaussian": Training({"errors": "gaussian"}),
    "law": Training({}),
    "law, no labels": Training({}, "divergence"),
    "law, clipped": Training({"clip": 1.0}),
    "RandBET": Training({"clip": 1.0}, plain=True),
}
"""By name; all of equal cost. RandBET knows random bit errors of plain words and clips (Stutz et al., MLSys 2021)."""

BUDGETS: dict[str, tuple[float, float, float]] = {
    "SmallCNN": (0.01, 0.25, 0.17),
    "WideCNN": (0.01, 0.14, 0.08),
    "DeepCNN": (0.01, 0.2, 0.13),
    "ResCNN": (0.03, 0.3, 0.2),
    "Transformer": (0.12, 0.5, 0.29),
}
"""Overhead of TAC, cells of the design with votes and of that with every decoder: too few without training."""

LANGUAGE_MODEL, _LANGUAGE_CELLS = "LanguageModel", 0.4
_LANGUAGE_TRAININGS = ("none", "Gaussian", "law", "law, no labels")
"""Two storages and four trainings: each takes as long as the five networks together, as long as the first training."""
_LANGUAGE_TUNE = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3}
"""As it was trained: each text once, in 600 steps."""


def storages(network: str) -> dict[str, Settings]:
    """How a network is stored, by name."""
    p = RECIPES[network].p
    if network == LANGUAGE_MODEL:
        return {
            "design, votes": Design(p=p, cells=_LANGUAGE_CELLS, decoders=VOTES),
            EVERY: Design(p=p, cells=_LANGUAGE_CELLS),
        }
    overhead, votes, every = BUDGETS[network]
    return {
        "plain words": UniformMsp(p=p, protected_bits=0),
        "Uniform-MSP": UniformMsp(p=p, protected_bits=1),
        "TAC": Tac(p=p, overhead=overhead),
        "design, votes": Design(p=p, cells=votes, decoders=VOTES),
        EVERY: Design(p=p, cells=every),
    }


@dataclass(frozen=True)
class Row:
    """One network in one storage after one training.

    Attributes:
        network: its name.
        storage: how it is stored.
        training: how it was trained for that.
        p: flip probability of a cell.
        cells: what the plans take, mean over trainings.
        metric: "accuracy", or "perplexity" of a byte, of which less is better.
        as_read: the metric of the network as read.
        above_gaussian: that above the metric after training with Gaussian noise of equal variance, paired by read; None
            for that one itself.
        clean: the metric of the network before, outside the leaking memory.
    """

    network: str
    storage: str
    training: str
    p: float
    cells: float
    metric: Literal["accuracy", "perplexity"]
    as_read: Estimate
    above_gaussian: Estimate | None
    clean: float


def compute(
    laboratory: Laboratory,
    *,
    networks: Sequence[str] = (*BUDGETS, LANGUAGE_MODEL),
    trainings: Sequence[str] = tuple(TRAININGS),
    stored: Sequence[str] | None = None,
    epochs: int = EPOCHS,
) -> tuple[Row, ...]:
    """Train each network in each way for each storage, and read it; of the language model the first training alone.

    Args:
        laboratory: where to measure; what is finished is kept in its folder, and a training goes on from its last
            epoch.
        networks: keys of `BUDGETS`, `LANGUAGE_MODEL`.
        trainings: keys of `TRAININGS`.
        stored: keys of `storages`; all if not given.
        epochs: of each training, but for the language model's one.

    Returns:
        A row for each network, storage and training.

    Source:
        paper, section 6.
    """
    asked = {
        (network, storage, training): _case(network, settings, training, epochs)
        for network in networks
        for storage, settings in storages(network).items()
        if stored is None or storage in stored
        for training in trainings
        if network != LANGUAGE_MODEL or training in _LANGUAGE_TRAININGS
    }
    seeds = {key: _seeds(laboratory, key[0]) for key in asked}
    tasks = [laboratory.task(case, seed) for key, case in asked.items() for seed in seeds[key]]
    records = iter(laboratory.run(tasks, "training and reading"))
    measured = {key: Measured(tuple(islice(records, len(seeds[key])))) for key in asked}
    return tuple(
        row
        for network, storage in dict.fromkeys((network, storage) for network, storage, _ in asked)
        for row in _rows(
            network, storage, {key[2]: one for key, one in measured.items() if key[:2] == (network, storage)}
        )
    )


def table(rows: Sequence[Row]) -> Table:
    """A row for each network, storage and training."""
    grid = captioned_table(
        "Training that knows the memory",
        f"[95% interval over {rows[0].as_read.covers}]: accuracy in per cent, of the language model perplexity; above "
        "Gaussian: paired with training by Gaussian noise of equal variance",
    )
    for name in ("network", "storage", "training"):
        grid.add_column(name)
    for name in ("cells", "as read", "above Gaussian", "clean"):
        grid.add_column(name, justify="right")
    for row in rows:
        grid.add_row(row.network, row.storage, row.training, f"{row.cells:.3f}", *_shown(row))
    return grid


def _shown(row: Row) -> tuple[str, str, str]:
    """As read, above Gaussian, clean."""
    if row.metric == "accuracy":
        return percent(row.as_read), percent(row.above_gaussian, "+"), f"{100 * row.clean:.1f}"
    above = "-" if row.above_gaussian is None else f"{row.above_gaussian:+.3f}"
    return f"{row.as_read:.3f}", above, f"{row.clean:.3f}"


def draw(rows: Sequence[Row]) -> "Figure":
    """Each training, a panel for each network, the storages side by side."""
    panels: list[Panel] = []
    named: list[str] = []
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        accuracy = own[0].metric == "accuracy"
        factor = 100 if accuracy else 1
        names = list(dict.fromkeys(row.storage for row in own))
        trainings = list(dict.fromkeys(row.training for row in own))
        curves = []
        for place, training in enumerate(trainings):
            some = [row for row in own if row.training == training]
            x = [names.index(row.storage) + 0.08 * (place - (len(trainings) - 1) / 2) for row in some]
            curves.append(Curve(training, x, *columns((row.as_read for row in some), factor), points=True))
        panels.append(
            Panel(
                curves,
                f"{network}, {100 * own[0].p:g}% of the cells read wrong",
                "storage",
                "accuracy (%)" if accuracy else "perplexity of a byte",
                reference=("clean", factor * own[0].clean),
                limits=(0.0, 105.0) if accuracy else None,
                x_names=names,
                # Colours are by place: those of fewer trainings are others.
                legend="none" if trainings == named else "outside",
            )
        )
        named = trainings
    return panels_figure(panels, columns=1)


TRAINING = Experiment("Training that knows the memory", compute, table, draw)


def _seeds(laboratory: Laboratory, network: str) -> Sequence[int]:
    return laboratory.training_seeds[:1] if network == LANGUAGE_MODEL else laboratory.training_seeds


def _case(network: str, settings: Settings, training: str, epochs: int) -> Case:
    way, language = TRAININGS[training], network == LANGUAGE_MODEL
    metric = "log_likelihood" if language else "accuracy"
    if way.settings is None:
        return Case(network, settings, metric=metric)  # type: ignore[arg-type]  # one of those that are allowed
    plain = UniformMsp(p=RECIPES[network].p, protected_bits=0) if way.plain else None
    tune = Tune(**({"epochs": epochs} | (_LANGUAGE_TUNE if language else {}) | way.settings))
    return Case(network, settings, metric=metric, tune=tune, loss=way.loss, tune_for=plain)  # type: ignore[arg-type]


def _rows(network: str, storage: str, found: Mapping[str, Measured]) -> list[Row]:
    gaussian = found.get("Gaussian")
    return [
        Row(
            network,
            storage,
            name,
            RECIPES[network].p,
            1 + measured.overhead,
            *_measured(network, measured, None if name == "Gaussian" else gaussian),
        )
        for name, measured in found.items()
    ]


def _measured(
    network: str, measured: Measured, gaussian: Measured | None
) -> tuple[Literal["accuracy", "perplexity"], Estimate, Estimate | None, float]:
    """The metric, its estimate, what it is above that after Gaussian noise, and the clean one."""
    if network != LANGUAGE_MODEL:
        # Student's t knows no bounds; an accuracy has two.
        accuracy = networks_interval(measured.values).within(0.0, 1.0)
        return "accuracy", accuracy, None if gaussian is None else measured.minus(gaussian), measured.clean
    # That of each read by itself: reads are what the interval is over, and what is paired.
    above = None if gaussian is None else networks_interval(np.exp(measured.values) - np.exp(gaussian.values))
    return "perplexity", networks_interval(np.exp(measured.values)), above, perplexity(measured.clean)
