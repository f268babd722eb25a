"""Training that knows the memory: the exact law against Gaussian noise, rounding and RandBET, in five storages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.laboratory import Case, Laboratory, Measured
from qtaml.measuring import Estimate, networks_interval
from qtaml.networks import NETWORKS
from qtaml.planning import Decoding, Design, Settings, Tac, UniformMsp
from qtaml.showing import Curve, Panel, columns, panels_figure, percent
from qtaml.training import LossName, Tune
from reproduction.experiment import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS = 12
VOTES: tuple[Decoding, ...] = ("none", "table", "majority")


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


def storages(network: str) -> dict[str, Settings]:
    """How a network is stored, by name."""
    p, (overhead, votes, every) = NETWORKS[network].p, BUDGETS[network]
    return {
        "plain words": UniformMsp(p=p, protected_bits=0),
        "Uniform-MSP": UniformMsp(p=p, protected_bits=1),
        "TAC": Tac(p=p, overhead=overhead),
        "design, votes": Design(p=p, cells=votes, decoders=VOTES),
        "design, every decoder": Design(p=p, cells=every),
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
        accuracy: as read.
        above_gaussian: accuracy above that after training with Gaussian noise of equal variance, paired by read; None
            for that one itself.
        clean: accuracy of the untrained network outside the leaking memory.
    """

    network: str
    storage: str
    training: str
    p: float
    cells: float
    accuracy: Estimate
    above_gaussian: Estimate | None
    clean: float


def compute(
    laboratory: Laboratory,
    *,
    networks: Sequence[str] = tuple(BUDGETS),
    trainings: Sequence[str] = tuple(TRAININGS),
    stored: Sequence[str] | None = None,
    epochs: int = EPOCHS,
) -> tuple[Row, ...]:
    """Train each network in each way for each storage, and read it.

    Args:
        laboratory: where to measure; what is finished is kept in its folder, and a training goes on from its last
            epoch.
        networks: keys of `BUDGETS`.
        trainings: keys of `TRAININGS`.
        stored: keys of `storages`; all if not given.
        epochs: of each training.

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
    }
    measured = dict(zip(asked, laboratory.measure(list(asked.values()), "training and reading"), strict=True))
    return tuple(
        row
        for network, storage in dict.fromkeys((network, storage) for network, storage, _ in asked)
        for row in _rows(network, storage, {name: measured[network, storage, name] for name in trainings})
    )


def table(rows: Sequence[Row]) -> Table:
    """A row for each network, storage and training."""
    grid = captioned_table(
        "Training that knows the memory",
        f"[95% interval over {rows[0].accuracy.covers}]; above Gaussian: paired with training by Gaussian noise of "
        "equal variance, in points",
    )
    for name in ("network", "storage", "training"):
        grid.add_column(name)
    for name in ("cells", "accuracy (%)", "above Gaussian", "clean (%)"):
        grid.add_column(name, justify="right")
    for row in rows:
        grid.add_row(
            row.network,
            row.storage,
            row.training,
            f"{row.cells:.3f}",
            percent(row.accuracy),
            percent(row.above_gaussian, "+"),
            f"{100 * row.clean:.1f}",
        )
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy of each training, a panel for each network, the storages side by side."""
    panels: list[Panel] = []
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        names = list(dict.fromkeys(row.storage for row in own))
        trainings = list(dict.fromkeys(row.training for row in own))
        curves = []
        for place, training in enumerate(trainings):
            some = [row for row in own if row.training == training]
            x = [names.index(row.storage) + 0.08 * (place - (len(trainings) - 1) / 2) for row in some]
            curves.append(Curve(training, x, *columns((row.accuracy for row in some), 100), points=True))
        panels.append(
            Panel(
                curves,
                f"{network}, {100 * own[0].p:g}% of the cells read wrong",
                "storage",
                "accuracy (%)",
                reference=("clean", 100 * own[0].clean),
                limits=(0.0, 105.0),
                x_names=names,
                legend="outside" if not panels else "none",
            )
        )
    return panels_figure(panels, columns=1)


TRAINING = Experiment("Training that knows the memory", compute, table, draw)


def _case(network: str, settings: Settings, training: str, epochs: int) -> Case:
    way = TRAININGS[training]
    if way.settings is None:
        return Case(network, settings)  # type: ignore[arg-type]  # one of those that are allowed
    plain = UniformMsp(p=NETWORKS[network].p, protected_bits=0) if way.plain else None
    tune = Tune(epochs=epochs, **way.settings)
    return Case(network, settings, tune=tune, loss=way.loss, tune_for=plain)  # type: ignore[arg-type]  # as above


def _rows(network: str, storage: str, found: Mapping[str, Measured]) -> list[Row]:
    gaussian = found.get("Gaussian")
    return [
        Row(
            network,
            storage,
            name,
            NETWORKS[network].p,
            1 + measured.overhead,
            # Student's t knows no bounds; an accuracy has two.
            networks_interval(measured.values).within(0.0, 1.0),
            None if gaussian is None or name == "Gaussian" else measured.minus(gaussian),
            measured.clean,
        )
        for name, measured in found.items()
    ]
