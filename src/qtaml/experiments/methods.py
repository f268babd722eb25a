"""Eight ways to protect one network at the same price (figure 8 of the paper)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats
from torch import nn

from qtaml import _checks, _files
from qtaml._progress import track
from qtaml.evaluate import Accuracy, evaluate
from qtaml.formats import Correction
from qtaml.memory import store
from qtaml.networks import NETWORKS, Data, trained
from qtaml.planning import (
    Plan,
    compensate,
    magnitude_protection,
    random_protection,
    sensitivity_protection,
    uniform_msp,
)
from qtaml.report import Curve, Panel, panels_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERHEADS = (0.02, 0.05, 0.125, 0.25)
CONFIDENCE = 0.95
_REFERENCE = "full TAC"

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One method at one overhead.

    Attributes:
        method: its name.
        overhead: overhead asked.
        spent: overhead that its plans take, mean over the trained networks.
        accuracy: mean over networks and reads.
        accuracy_low: lower end of its interval, for other reads of these networks on these test samples.
        accuracy_high: upper end of the same.
        behind_tac: by how much full TAC is better, from reads under common random numbers.
        behind_tac_low: lower end of its interval.
        behind_tac_high: upper end of the same.
    """

    method: str
    overhead: float
    spent: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    behind_tac: float
    behind_tac_low: float
    behind_tac_high: float


@dataclass(frozen=True)
class Comparison:
    """All methods at all overheads.

    Attributes:
        network: name of the network.
        clean: accuracy outside the leaking memory, mean over the trained networks.
        p: flip probability.
        trials: reads of each plan.
        training_seeds: seeds of the trained networks.
        seed: seed of calibration and errors.
        rows: one for each method and overhead at which it exists.
        versions: versions of what made the comparison.
    """

    network: str
    clean: float
    p: float
    trials: int
    training_seeds: tuple[int, ...]
    seed: int
    rows: tuple[Row, ...]
    versions: dict[str, str] = field(default_factory=_files.versions)

    def to_json(self) -> str:
        """The comparison as JSON."""
        return _files.to_json(self)


def compute(
    *,
    network: str = "SmallCNN",
    overheads: tuple[float, ...] = OVERHEADS,
    trials: int = 30,
    training_seeds: tuple[int, ...] = (0, 1, 2),
    seed: int = 0,
) -> Comparison:
    """Plan, store and read the trained networks by every method.

    Args:
        network: a key of `qtaml.networks.NETWORKS`.
        overheads: shares of a plain memory.
        trials: reads of each plan.
        training_seeds: seeds of the trained networks.
        seed: seed of calibration and errors.

    Returns:
        The comparison.

    Raises:
        ArgumentError: if the network is unknown, or there are fewer than 2 trials.

    Source:
        paper, section 5.8.
    """
    p = NETWORKS[_checks.one_of("network", network, NETWORKS)].p
    nets = [trained(network, seed=training_seed) for training_seed in training_seeds]
    metrics = [Accuracy(data.test_inputs, data.test_labels) for _, data in nets]

    def measure(plan_of: _PlanOf) -> tuple[float, _Floats]:
        plans = [plan_of(model, data) for model, data in nets]
        memories = [store(model, plan) for (model, _), plan in zip(nets, plans, strict=True)]
        results = [evaluate(m, a, trials=trials, seed=seed) for m, a in zip(memories, metrics, strict=True)]
        return float(np.mean([plan.overhead for plan in plans])), np.array([result.values for result in results])

    free = {method: measure(plan_of) for method, plan_of in _free_methods(p, seed).items()}
    rows: list[Row] = []
    for overhead in track(overheads, "comparing methods"):
        found = free | {method: measure(plan_of) for method, plan_of in _methods(p, overhead, seed).items()}
        for method, (spent, values) in found.items():
            accuracy, behind = _interval(values), _interval(found[_REFERENCE][1] - values)
            rows.append(Row(method, overhead, spent, *accuracy, *behind))
    clean = float(np.mean([metric(model) for metric, (model, _) in zip(metrics, nets, strict=True)]))
    return Comparison(network, clean, p, trials, tuple(training_seeds), seed, tuple(rows))


def table(comparison: Comparison) -> Table:
    """Accuracies by method and overhead."""
    overheads = sorted({row.overhead for row in comparison.rows})
    grid = Table(
        title=f"Test accuracy (%) of {comparison.network} at p = {comparison.p:g}; clean {100 * comparison.clean:.1f}",
        caption=f"mean of {len(comparison.training_seeds)} networks x {comparison.trials} reads, "
        "± half a 95% interval, over reads of these networks and samples",
        title_justify="left",
        caption_justify="left",
    )
    grid.add_column("method")
    for overhead in overheads:
        grid.add_column(f"{overhead:.1%}", justify="right", no_wrap=True)
    for method in dict.fromkeys(row.method for row in comparison.rows):
        cells = {row.overhead: row for row in comparison.rows if row.method == method}
        grid.add_row(method, *(_cell(cells[overhead]) if overhead in cells else "-" for overhead in overheads))
    return grid


def draw(comparison: Comparison) -> "Figure":
    """Accuracy over overhead, one curve for each method."""
    curves = []
    for method in dict.fromkeys(row.method for row in comparison.rows):
        rows = [row for row in comparison.rows if row.method == method]
        columns = ([100 * getattr(row, f"accuracy{end}") for row in rows] for end in ("", "_low", "_high"))
        curves.append(Curve(method, [100 * row.overhead for row in rows], *columns))
    panel = Panel(
        curves,
        title=f"{comparison.network}, {100 * comparison.p:g}% of the bits read wrong",
        x_label="overhead: protected share of the bits (%)",
        y_label="test accuracy (%)",
        reference=("clean", 100 * comparison.clean),
        legend="center",
    )
    return panels_figure([panel])


_PlanOf = Callable[[nn.Module, Data], Plan]


def _free_methods(p: float, seed: int) -> dict[str, _PlanOf]:
    """The methods of section 5.8 that protect nothing."""
    return {
        "uncompensated": lambda model, data: uniform_msp(model, p=p, protected_bits=0),
        "mean correction only": lambda model, data: compensate(model, data.calibration, p=p, overhead=0.0, seed=seed),
    }


def _methods(p: float, overhead: float, seed: int) -> dict[str, _PlanOf]:
    """The methods of section 5.8 that exist at an overhead."""

    def tac(correction: Correction) -> _PlanOf:
        return lambda model, data: compensate(
            model, data.calibration, p=p, overhead=overhead, correction=correction, seed=seed
        )

    methods: dict[str, _PlanOf] = {
        "random": lambda model, data: random_protection(model, p=p, overhead=overhead, seed=seed),
        "magnitude": lambda model, data: magnitude_protection(model, p=p, overhead=overhead),
        "sensitivity": lambda model, data: sensitivity_protection(
            model, data.calibration, p=p, overhead=overhead, seed=seed
        ),
        "TAC, bits only": tac("none"),
        _REFERENCE: tac("exact"),
    }
    bits = 8 * overhead
    if bits >= 1 and bits.is_integer():
        methods["Uniform-MSP"] = lambda model, data: uniform_msp(model, p=p, protected_bits=int(bits))
    return methods


def _interval(values: _Floats) -> tuple[float, float, float]:
    """Mean of (networks, reads) values, and its interval over reads: the networks are taken as they are."""
    networks, reads = values.shape
    error = float(np.sqrt((values.var(1, ddof=1) / reads).sum())) / networks
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, networks * (reads - 1))) * error
    mean = float(values.mean())
    return mean, mean - half, mean + half


def _cell(row: Row) -> str:
    return f"{100 * row.accuracy:.1f} ± {50 * (row.accuracy_high - row.accuracy_low):.1f}"
