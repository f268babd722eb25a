"""Three ways to score the tensors of the transformer, and what each costs (figure 9 and table 6 of the paper)."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from rich.console import Group
from rich.table import Table
from torch import nn

from qtaml._random import child_seed
from qtaml._tables import captioned_table
from qtaml._threads import one_thread
from qtaml.faults import Uniform
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate, positive_interval
from qtaml.model import stored_weights
from qtaml.networks import NETWORKS
from qtaml.planning import Allocation, AnySettings, Magnitude, Sensitivity, sensitivity_gains
from qtaml.sensitivity import Gain, jacobian_gains, probe_gains
from qtaml.showing import Curve, Panel, cell, columns, panels_figure
from reproduction.experiment import Experiment, paper_tac
from reproduction.scores import tensor_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "Transformer"
OVERHEADS = (0.02, 0.05, 0.08, 0.125, 0.25)
REPETITIONS = 8
_P = NETWORKS[NETWORK].p
_WANTED_ERROR = 0.05

_Weights = dict[str, torch.Tensor]
_Estimator = Callable[[nn.Module, torch.Tensor, _Weights, int], dict[str, Gain]]
_ESTIMATORS: dict[str, _Estimator] = {
    "magnitude": lambda model, batch, weights, seed: {name: Gain(1.0, 0.0) for name in weights},
    "sensitivity": lambda model, batch, weights, seed: sensitivity_gains(model, batch, weights, Uniform(_P), seed=seed),
    "Gaussian probes": lambda model, batch, weights, seed: probe_gains(model, batch, weights, seed=seed),
    "random-sign passes": lambda model, batch, weights, seed: jacobian_gains(model, batch, weights, seed=seed),
}
_SCORINGS: dict[str, str] = {
    "magnitude": "magnitude",
    "sensitivity": "sensitivity",
    "tac": "random-sign passes",
}
_SHOWN = {"magnitude": "magnitude", "sensitivity": "sensitivity", "tac": "TAC"}
_ALLOCATIONS: tuple[Allocation, ...] = ("split", "greedy")


@dataclass(frozen=True)
class AccuracyRow:
    """One scoring at one overhead, nothing corrected.

    Attributes:
        scoring: "magnitude", "sensitivity" or "TAC".
        allocation: "split", or the paper's "greedy".
        overhead: overhead asked.
        accuracy: mean over networks and reads, with its interval.
        behind_tac: by how much scoring by TAC is better, from reads under common random numbers, with its interval.
        clean: accuracy outside the leaking memory.
        p: flip probability.
        part: kind of row.
    """

    scoring: str
    allocation: str
    overhead: float
    accuracy: Estimate
    behind_tac: Estimate
    clean: float
    p: float
    part: Literal["accuracy"] = "accuracy"


@dataclass(frozen=True)
class ScoreRow:
    """One tensor under one scoring.

    Attributes:
        scoring: "magnitude", "sensitivity" or "TAC".
        tensor: its name.
        weights: number of its weights.
        relative_score: its score over the largest of the network, with its interval over trainings.
        part: kind of row.
    """

    scoring: str
    tensor: str
    weights: int
    relative_score: Estimate
    part: Literal["score"] = "score"


Row = AccuracyRow | ScoreRow


@dataclass(frozen=True)
class CostRow:
    """What one way to score costs, in one thread; intervals are over the trained networks.

    Attributes:
        estimator: "magnitude", "sensitivity", "Gaussian probes" (the paper's) or "random-sign passes" (of qtaml).
        tensors: number of tensors scored.
        forward: forward passes of the calibration batch.
        backward: backward passes.
        seconds: time of one calibration, mean over the repetitions.
        error: relative standard error of a score: spread of the repetitions, root mean square over the tensors.
        seconds_to_error: time in which the estimator would reach a relative standard error of 5 per cent, by more
            probes, reads or passes.
    """

    estimator: str
    tensors: int
    forward: int
    backward: int
    seconds: Estimate
    error: Estimate
    seconds_to_error: Estimate


def compute(laboratory: Laboratory, *, overheads: Sequence[float] = OVERHEADS) -> tuple[Row, ...]:
    """Allocate the same budgets by three scores, measure accuracies, and give the scores.

    Args:
        laboratory: where to measure.
        overheads: shares of a plain memory.

    Returns:
        A row for each scoring, allocation and overhead, and for each scoring and tensor.

    Source:
        paper, section 5.9.
    """
    cases = {
        (method, allocation, overhead): Case(NETWORK, _settings(method, allocation, overhead))
        for allocation in _ALLOCATIONS
        for method in _SCORINGS
        for overhead in overheads
    }
    found = dict(zip(cases, laboratory.measure(list(cases.values()), "comparing scores"), strict=True))
    accuracies = [
        AccuracyRow(
            _SHOWN[method],
            allocation,
            overhead,
            measured.estimate,
            found["tac", allocation, overhead].minus(measured),
            clean=measured.clean,
            p=_P,
        )
        for (method, allocation, overhead), measured in found.items()
    ]
    return *accuracies, *_scores(laboratory)


def compute_costs(laboratory: Laboratory, *, repetitions: int = REPETITIONS) -> tuple[CostRow, ...]:
    """Time each way to score the tensors, and measure how much its scores scatter.

    Args:
        laboratory: where the networks are.
        repetitions: calibrations with different seeds, at least 2.

    Returns:
        A row for each way.

    Source:
        paper, section 5.9 and table 6.
    """
    rows = []
    for estimator in _ESTIMATORS:
        found = [_cost(laboratory, estimator, seed, repetitions) for seed in laboratory.training_seeds]
        needed = [one.seconds * (one.error / _WANTED_ERROR) ** 2 for one in found]
        rows.append(
            CostRow(
                estimator,
                found[0].tensors,
                found[0].forward,
                found[0].backward,
                positive_interval([one.seconds for one in found]),
                positive_interval([one.error for one in found]),
                positive_interval(needed),
            )
        )
    return tuple(rows)


def table(rows: Sequence[Row]) -> Table:
    """Accuracies by scoring and overhead, and relative scores of the tensors."""
    accuracies, scores = _parts(rows)
    overheads = list(dict.fromkeys(row.overhead for row in accuracies))
    first = _grid("allocation", "scoring", *(f"{overhead:.1%}" for overhead in overheads))
    for allocation, scoring in dict.fromkeys((row.allocation, row.scoring) for row in accuracies):
        own = [row for row in accuracies if (row.allocation, row.scoring) == (allocation, scoring)]
        first.add_row(allocation, scoring, *(cell(row.accuracy, ".1f", 100) for row in own))
        if scoring != _SHOWN["tac"]:
            first.add_row("", f"  TAC - {scoring}", *(cell(row.behind_tac, ".1f", 100) for row in own))
    second = _grid("tensor", "weights", *(f"{scoring} score" for scoring in _SHOWN.values()))
    for name in dict.fromkeys(row.tensor for row in scores):
        found = [row for row in scores if row.tensor == name]
        second.add_row(name, f"{found[0].weights:,}", *(cell(row.relative_score, ".2g") for row in found))
    grid = Table(
        title=f"Test accuracy (%) of {NETWORK} at p = {accuracies[0].p:g}, nothing corrected; "
        f"clean {100 * accuracies[0].clean:.1f}; scores relative to the largest",
        caption="mean ± half a 95% interval over trainings (and reads)",
        title_justify="left",
        caption_justify="left",
        show_header=False,
        box=None,
    )
    grid.add_row(Group(first, second))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracies, differences to TAC, and relative scores."""
    accuracies, scores = _parts(rows)
    groups = {
        scoring: [row for row in accuracies if row.scoring == scoring and row.allocation == "split"]
        for scoring in _SHOWN.values()
    }
    x = [100 * row.overhead for row in groups["TAC"]]
    overhead = "overhead: protected share of the bits (%)"
    accuracy = Panel(
        [Curve(scoring, x, *columns((row.accuracy for row in own), 100)) for scoring, own in groups.items()],
        title=f"{NETWORK}, {100 * accuracies[0].p:g}% of the bits read wrong",
        x_label=overhead,
        y_label="test accuracy (%)",
        reference=("clean", 100 * accuracies[0].clean),
    )
    behind = Panel(
        [
            Curve(f"TAC - {scoring}", x, *columns((row.behind_tac for row in own), 100))
            for scoring, own in groups.items()
            if scoring != "TAC"
        ],
        title="What scoring by TAC gains",
        x_label=overhead,
        y_label="difference in test accuracy (points)",
        reference=("equal", 0.0),
        legend="best",
    )
    names = list(dict.fromkeys(row.tensor for row in scores))
    lines = []
    for number, scoring in enumerate(groups):
        own = [row for row in scores if row.scoring == scoring]
        places = [place + 0.2 * (number - 1) for place in range(len(names))]
        lines.append(Curve(scoring, places, *columns(row.relative_score for row in own), points=True))
    relative = Panel(
        lines,
        title="Scores of the tensors",
        x_label="tensor",
        y_label="score over the largest of the network",
        log_y=(min(row.relative_score.value for row in scores) / 5, 3),
        legend="best",
        x_names=[tensor_label(name) for name in names],
    )
    best = max(groups["magnitude"], key=lambda row: row.behind_tac.value)
    return panels_figure(
        [accuracy, behind, relative],
        caption="The same allocator, fed with three scores, nothing corrected. The largest difference of TAC to "
        f"magnitude is {100 * best.behind_tac.value:.1f} points [{100 * best.behind_tac.low:.1f}, "
        f"{100 * best.behind_tac.high:.1f}], at an overhead of {100 * best.overhead:g}%. Bars: 95% over trainings and "
        "reads.",
    )


def cost_table(rows: Sequence[CostRow]) -> Table:
    """Passes, time, error, and time at equal error."""
    grid = captioned_table(
        title=f"Cost to score the {rows[0].tensors} tensors of {NETWORK}",
        caption="one thread; mean ± half a 95% interval over trainings",
    )
    for heading in ("scoring", "forward", "backward", "seconds", "standard error (%)"):
        grid.add_column(heading, justify="left" if heading == "scoring" else "right")
    grid.add_column(f"seconds to {_WANTED_ERROR:.0%}", justify="right")
    for row in rows:
        values = cell(row.seconds), cell(row.error, ".1f", 100), cell(row.seconds_to_error)
        grid.add_row(row.estimator, str(row.forward), str(row.backward), *values)
    return grid


FIGURE9 = Experiment("Three ways to score the tensors of the transformer", compute, table, draw)
TABLE6 = Experiment("What scoring the tensors of the transformer costs", compute_costs, cost_table)


def _settings(method: str, allocation: Allocation, overhead: float) -> AnySettings:
    if method == "tac":
        return paper_tac(p=_P, overhead=overhead, allocation=allocation, correction="none")
    record = Magnitude if method == "magnitude" else Sensitivity
    return record(p=_P, overhead=overhead, allocation=allocation)


def _scores(laboratory: Laboratory) -> list[ScoreRow]:
    rows = []
    for method, estimator in _SCORINGS.items():
        found = []
        for training_seed in laboratory.training_seeds:
            model, data = laboratory.network(NETWORK, training_seed)
            weights = stored_weights(model)
            with one_thread():
                # The seed of the plans, so that these are the scores by which they allocate.
                seed = child_seed(laboratory.seed, "plan", training_seed)
                gains = _ESTIMATORS[estimator](model, data.calibration, weights, seed)
            scores = {name: gains[name].squared * float(weights[name].abs().max()) ** 2 for name in weights}
            found.append({name: score / max(scores.values()) for name, score in scores.items()})
        rows += [
            ScoreRow(
                _SHOWN[method],
                name,
                weights[name].numel(),
                positive_interval([relative[name] for relative in found]),
            )
            for name in weights
        ]
    return rows


@dataclass(frozen=True)
class _Cost:
    tensors: int
    forward: int
    backward: int
    seconds: float
    error: float


def _cost(laboratory: Laboratory, estimator: str, training_seed: int, repetitions: int) -> _Cost:
    model, data = laboratory.network(NETWORK, training_seed)
    weights = stored_weights(model)
    gains, seconds = [], []
    with one_thread():
        with _counted(model) as passes:
            _ESTIMATORS[estimator](model, data.calibration, weights, 0)
        for repetition in range(repetitions):
            seed = child_seed(laboratory.seed, "cost", training_seed, repetition)
            start = time.perf_counter()
            found = _ESTIMATORS[estimator](model, data.calibration, weights, seed)
            seconds.append(time.perf_counter() - start)
            gains.append([gain.squared for gain in found.values()])
    values = np.array(gains)
    error = float(np.sqrt(np.mean((values.std(0, ddof=1) / values.mean(0)) ** 2)))
    return _Cost(len(weights), passes["forward"], passes["backward"], float(np.mean(seconds)), error)


@contextmanager
def _counted(model: nn.Module) -> Iterator[dict[str, int]]:
    """Counts the forward passes of a model, and the backward passes from its outputs."""
    passes = {"forward": 0, "backward": 0}

    def count_backward(gradients: Sequence[torch.Tensor]) -> None:
        passes["backward"] += 1

    def count_forward(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        passes["forward"] += 1
        if output.grad_fn is not None:
            output.grad_fn.register_prehook(count_backward)

    handle = model.register_forward_hook(count_forward)
    try:
        yield passes
    finally:
        handle.remove()


def _parts(rows: Sequence[Row]) -> tuple[list[AccuracyRow], list[ScoreRow]]:
    return [row for row in rows if isinstance(row, AccuracyRow)], [row for row in rows if isinstance(row, ScoreRow)]


def _grid(*headings: str) -> Table:
    grid = Table()
    for heading in headings:
        grid.add_column(heading, justify="left" if heading in ("allocation", "scoring", "tensor") else "right")
    return grid
