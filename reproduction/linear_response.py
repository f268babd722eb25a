"""Up to which size of errors does the output answer linearly? (A.7 of the paper)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.table import Table
from scipy import stats

from qtaml._random import child_seed
from qtaml._threads import one_thread
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory, Record
from qtaml.measuring import Estimate, positive_interval, trainings_interval
from qtaml.model import stored_weights
from qtaml.planning import AnySettings, RandomProtection, UniformMsp
from qtaml.sensitivity import probe_gains
from qtaml.showing import Curve, Panel, cell, columns, panels_figure
from qtaml.theory.paper import closed_forms
from reproduction.experiment import Experiment, paper_tac
from reproduction.scores import network_scores, tensor_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBED = "SmallCNN"
NETWORKS = (PROBED, "Transformer")
EPSILONS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)
PROBABILITIES = (0.001, 0.01, 0.05, 0.10)
PROBES = 16
_INFINITESIMAL = 1e-6
_NEAR = 0.1


@dataclass(frozen=True)
class ProbeRow:
    """Gaussian changes of one size in one tensor; intervals are over the trained networks.

    Attributes:
        network: name of the network.
        tensor: name of the tensor.
        epsilon: standard deviation of a change, in units of the weights.
        gain_ratio: gamma**2 by changes of this size over that by infinitesimal changes in the same directions.
        tunnelling_sigma: standard deviation of the errors of unprotected weights at p = 0.1, in the same units.
        part: kind of row.
    """

    network: str
    tensor: str
    epsilon: float
    gain_ratio: Estimate
    tunnelling_sigma: Estimate
    part: Literal["probe"] = "probe"


@dataclass(frozen=True)
class PredictionRow:
    """One way to store a network at one flip probability; intervals are over the trained networks.

    Attributes:
        network: name of the network.
        storage: how it is stored.
        p: flip probability.
        predicted: output error predicted from the gains and the exact variances.
        ratio: output error measured over reads, over the predicted one.
        part: kind of row.
    """

    network: str
    storage: str
    p: float
    predicted: Estimate
    ratio: Estimate
    part: Literal["prediction"] = "prediction"


@dataclass(frozen=True)
class OrderRow:
    """Whether the predicted errors put the storages of a network in the measured order, at one flip probability.

    Attributes:
        network: name of the network.
        p: flip probability.
        agreement: Kendall's tau of predicted and measured errors: 1 for the same order, 0 for none, with its interval
            over the trained networks.
        part: kind of row.
    """

    network: str
    p: float
    agreement: Estimate
    part: Literal["order"] = "order"


Row = ProbeRow | PredictionRow | OrderRow


def compute(
    laboratory: Laboratory,
    *,
    epsilons: Sequence[float] = EPSILONS,
    probes: int = PROBES,
    networks: Sequence[str] = NETWORKS,
    probabilities: Sequence[float] = PROBABILITIES,
) -> tuple[Row, ...]:
    """Probe one network with Gaussian changes, and compare measured with predicted output errors.

    Args:
        laboratory: where to measure.
        epsilons: standard deviations of the Gaussian changes.
        probes: Gaussian changes of each size in each tensor.
        networks: networks whose output errors are measured.
        probabilities: flip probabilities.

    Returns:
        A row for each tensor and epsilon; for each network, storage and flip probability; and for each network and
        flip probability.

    Source:
        paper A.7.
    """
    return *_probe(laboratory, epsilons, probes), *_predictions(laboratory, networks, probabilities)


def table(rows: Sequence[Row]) -> Table:
    """Gains by size of the changes, and measured over predicted errors by flip probability."""
    gains, predictions, orders = _parts(rows)
    epsilons = list(dict.fromkeys(row.epsilon for row in gains))
    first = _grid("tensor", *(f"ε = {epsilon:g}" for epsilon in epsilons), "tunnelling error, p = 0.1")
    for name in dict.fromkeys(row.tensor for row in gains):
        own = [row for row in gains if row.tensor == name]
        first.add_row(name, *(cell(row.gain_ratio, ".2f") for row in own), cell(own[0].tunnelling_sigma))
    probabilities = list(dict.fromkeys(row.p for row in predictions))
    second = _grid("network", "measured / predicted", *(f"p = {p:g}" for p in probabilities))
    for network, storage in dict.fromkeys((row.network, row.storage) for row in predictions):
        found = [row for row in predictions if (row.network, row.storage) == (network, storage)]
        second.add_row(network, storage, *(cell(row.ratio, ".2f") for row in found))
    for network in dict.fromkeys(row.network for row in orders):
        agreements = [cell(row.agreement, ".2f") for row in orders if row.network == network]
        second.add_row(network, "order kept (Kendall's tau)", *agreements)
    grid = Table(
        title=f"Linear response: γ² of {gains[0].network} by changes of size ε over that by infinitesimal ones; "
        "measured over predicted output error",
        caption="mean ± half a 95% interval over trainings",
        title_justify="left",
        caption_justify="left",
        show_header=False,
        box=None,
    )
    grid.add_row(Group(first, second))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Gains over the size of the changes, and measured over predicted errors over the flip probability."""
    gains, predictions, _ = _parts(rows)
    curves = []
    for name in dict.fromkeys(row.tensor for row in gains):
        own = [row for row in gains if row.tensor == name]
        curves.append(Curve(tensor_label(name), [row.epsilon for row in own], *columns(row.gain_ratio for row in own)))
    panels = [
        Panel(
            curves,
            title=f"Gaussian changes of one tensor, {gains[0].network}",
            x_label="standard deviation ε of the change (units of the weights)",
            y_label="γ² over that of infinitesimal changes",
            reference=("linear response", 1.0),
            log_x=True,
            legend="best",
        )
    ]
    for network in dict.fromkeys(row.network for row in predictions):
        lines = []
        for storage in dict.fromkeys(row.storage for row in predictions):
            found = [row for row in predictions if (row.network, row.storage) == (network, storage)]
            lines.append(Curve(storage, [row.p for row in found], *columns(row.ratio for row in found)))
        panels.append(
            Panel(
                lines,
                title=f"Errors of the memory, {network}",
                x_label="flip probability p",
                y_label="measured over predicted output error",
                reference=("linear response", 1.0),
                log_x=True,
                legend="best",
            )
        )
    sigmas = [row.tunnelling_sigma.value for row in gains]
    return panels_figure(
        panels,
        caption=f"γ² of every tensor keeps within {_NEAR:.0%} up to ε = {linear_up_to(gains):g}; errors of unprotected "
        f"weights at p = 0.1 are {min(sigmas):.2g} to {max(sigmas):.2g} large. A curve away from 1 says by how much "
        "the prediction is wrong. Bars: 95% over trainings.",
    )


A7 = Experiment("How far the linear response reaches", compute, table, draw)


def linear_up_to(rows: Sequence[ProbeRow]) -> float:
    """Largest epsilon up to which the gain of every tensor is within a tenth of that by infinitesimal changes."""
    reached = 0.0
    for epsilon in sorted({row.epsilon for row in rows}):
        if any(abs(row.gain_ratio.value - 1) > _NEAR for row in rows if row.epsilon == epsilon):
            break
        reached = epsilon
    return reached


def _probe(laboratory: Laboratory, epsilons: Sequence[float], probes: int) -> list[ProbeRow]:
    gains: dict[str, list[list[float]]] = {}
    sigmas: dict[str, list[float]] = {}
    for training_seed in laboratory.training_seeds:
        model, data = laboratory.network(PROBED, training_seed)
        # In float64 the smallest changes keep enough digits.
        model, batch = copy.deepcopy(model).double(), data.calibration.double()
        weights = stored_weights(model)
        with one_thread():
            by_size = [
                probe_gains(
                    model,
                    batch,
                    weights,
                    probes=probes,
                    epsilon=epsilon,
                    seed=child_seed(laboratory.seed, "linear response", training_seed),
                )
                for epsilon in (_INFINITESIMAL, *epsilons)
            ]
        for name, weight in weights.items():
            limit = by_size[0][name].squared
            gains.setdefault(name, []).append([found[name].squared / limit for found in by_size[1:]])
            sigma = closed_forms.variance(0.1, 8) ** 0.5 * float(weight.abs().max())
            sigmas.setdefault(name, []).append(float(sigma))
    return [
        ProbeRow(
            PROBED,
            name,
            epsilon,
            gain_ratio=positive_interval([found[index] for found in gains[name]]),
            tunnelling_sigma=positive_interval(sigmas[name]),
        )
        for name in gains
        for index, epsilon in enumerate(epsilons)
    ]


def _storages(network: str, p: float) -> dict[str, Case]:
    """Ways to store a network of which the errors are predicted; corrected, as lemma 4.3 asks, in one case only."""
    storages: dict[str, AnySettings] = {
        "unprotected": UniformMsp(p=p, protected_bits=0),
        "Uniform-MSP 12.5%": UniformMsp(p=p, protected_bits=1),
        "Uniform-MSP 25%": UniformMsp(p=p, protected_bits=2),
        "random 12.5%": RandomProtection(p=p, overhead=0.125),
        "TAC 5%, corrected": paper_tac(p=p, overhead=0.05),
    }
    for overhead in (0.05, 0.125, 0.25):
        storages[f"TAC {100 * overhead:g}%"] = paper_tac(p=p, overhead=overhead, correction="none")
    return {name: Case(network, settings, metric="output_error") for name, settings in storages.items()}


def _predictions(
    laboratory: Laboratory, networks: Sequence[str], probabilities: Sequence[float]
) -> list[PredictionRow | OrderRow]:
    cases = {
        (network, p, storage): case
        for network, p in product(networks, probabilities)
        for storage, case in _storages(network, p).items()
    }
    found = dict(zip(cases, laboratory.measure(list(cases.values()), "measuring output errors"), strict=True))
    measured = {key: one.values.mean(1) for key, one in found.items()}
    predicted = {
        key: np.array([_predicted_error(laboratory, record) for record in one.records]) for key, one in found.items()
    }
    rows: list[PredictionRow | OrderRow] = []
    for network, p, storage in cases:
        key = network, p, storage
        ratios = measured[key] / predicted[key]
        estimates = positive_interval(predicted[key].tolist()), positive_interval(ratios.tolist())
        rows.append(PredictionRow(network, storage, p, *estimates))
    for network, p in product(networks, probabilities):
        own = [key for key in cases if key[:2] == (network, p)]
        tables = (np.stack([values[key] for key in own], axis=1) for values in (predicted, measured))
        agreements = [_agreement(*pair) for pair in zip(*tables, strict=True)]
        rows.append(OrderRow(network, p, agreement=trainings_interval(agreements)))
    return rows


def _agreement(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    return float(stats.kendalltau(predicted, measured).statistic)


def _predicted_error(laboratory: Laboratory, record: Record) -> float:
    """That of the plan; for a plan without gains, from those by which TAC plans."""
    if record.predicted_error is not None:
        return record.predicted_error
    case, training_seed = record.task.case, record.task.training_seed
    plan = laboratory.plan(case, training_seed)
    weights = stored_weights(laboratory.network(case.network, training_seed)[0])
    gains = network_scores(laboratory, case.network, training_seed).squared_gains
    return sum(
        gain * tensor.storage.summed_variance(*tensor.storage.encode(weights[tensor.name], plan.fault), plan.fault)
        for gain, tensor in zip(gains, plan.tensors, strict=True)
    )


def _parts(rows: Sequence[Row]) -> tuple[list[ProbeRow], list[PredictionRow], list[OrderRow]]:
    return (
        [row for row in rows if isinstance(row, ProbeRow)],
        [row for row in rows if isinstance(row, PredictionRow)],
        [row for row in rows if isinstance(row, OrderRow)],
    )


def _grid(*headings: str) -> Table:
    grid = Table()
    for number, heading in enumerate(headings):
        grid.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return grid
