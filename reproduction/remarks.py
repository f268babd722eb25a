"""Where the paper errs or overclaims: one measured example for each of the eleven points of theory.md section 7."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from scipy import optimize

from qtaml._tables import captioned_table
from qtaml.device import Cell, Rectangular, default_threshold
from qtaml.faults import Asymmetric, StaticCells, Uniform
from qtaml.formats import Correction, EvenLevels, Fixed, Format, Grid, Largest, Section, Step, TensorFormat
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate, positive_interval, trainings_interval
from qtaml.model import stored_weights
from qtaml.networks import NETWORKS
from qtaml.planning import ALLOCATIONS
from qtaml.protections import Ideal, Protection, Repetition
from qtaml.protections import pareto_front as worthwhile
from qtaml.theory.capacity import capacity, shannon_cells
from reproduction.experiment import Experiment, paper_tac
from reproduction.rounding_cost import rounding_table
from reproduction.scores import BITS, network_scores

NETWORK = "SmallCNN"
TENSOR = "fc1.weight"
OVERHEADS = (0.02, 0.05, 0.125, 0.25)
PROTECTED = (0, 1, 2, 3, 4)
ELECTRONS = (10, 100, 1000)
TENSORS = (2, 30)
CHIPS = 6
CELLS = {
    "cells that differ lognormally": StaticCells.lognormal(NETWORKS[NETWORK].p, sigma=1.0, classes=8),
    "one cell in eight weak": StaticCells((8 * NETWORKS[NETWORK].p, *(0.0,) * 7)),
}
"""Cells that stay as they are, of the mean flip probability planned for."""

_P = NETWORKS[NETWORK].p
_FAULT = Uniform(_P)
_FORWARD_ONLY = Asymmetric(p01=0.0, p10=2 * _P)
"""Only stored ones are lost; as many wrong bits as under symmetric errors if 0 and 1 are stored equally often."""
_BUDGET = 0.05
_SHAKY_BUDGET = 0.02
_GOOD_CODE = 1e-3


@dataclass(frozen=True)
class Row:
    """One number of one point.

    Attributes:
        point: 1 to 11, as in theory.md section 7.
        quantity: what it is.
        value: mean over the trained networks with its interval; of no width where nothing is random.
        unit: its unit; empty for a pure number.
        network: whose number it is; None if no network has to do with it.
    """

    point: int
    quantity: str
    value: Estimate
    unit: str
    network: str | None


_Found = Iterator[tuple[str, Estimate | float, str]]


def compute(
    laboratory: Laboratory,
    *,
    overheads: Sequence[float] = OVERHEADS,
    tensors: Sequence[int] = TENSORS,
    random_networks: int = 100,
    chips: int = CHIPS,
) -> tuple[Row, ...]:
    """Compute or measure an example of each point.

    Args:
        laboratory: where to measure.
        overheads: shares of a plain memory at which budgets are compared.
        tensors: numbers of tensors of random networks.
        random_networks: how many of each.
        chips: chips of which the errors stay the same, at least 2.

    Returns:
        Rows in the order of the points.

    Source:
        theory.md 7.
    """
    points: dict[int, tuple[_Found, str | None]] = {
        1: (_bias(laboratory), NETWORK),
        2: (_forward_only(laboratory), NETWORK),
        3: (_amplification(laboratory), NETWORK),
        4: (_budgets(laboratory, overheads), NETWORK),
        5: (_rounding(laboratory, tensors, random_networks), None),
        6: (_greedy(laboratory, overheads), NETWORK),
        7: (_codes(), None),
        8: (_knife_edge(), None),
        9: (_persistence(laboratory, chips), NETWORK),
        10: (_largest_weight(laboratory), NETWORK),
        11: (_clipping(laboratory), NETWORK),
    }
    return tuple(
        Row(point, quantity, value=_estimate(value), unit=unit, network=network)
        for point, (found, network) in points.items()
        for quantity, value, unit in found
    )


def table(rows: Sequence[Row]) -> Table:
    """A row for each number."""
    grid = captioned_table(
        title="Where the paper errs or overclaims, in numbers",
        caption="mean [95% interval over trainings]; exact numbers have no interval",
    )
    for heading in ("point", "quantity", "value", "unit", "network"):
        grid.add_column(heading, justify="right" if heading in ("point", "value") else "left")
    for index, row in enumerate(rows):
        first = index == 0 or rows[index - 1].point != row.point
        value = f"{row.value.value:.4g}" if row.value.low == row.value.high else str(row.value)
        grid.add_row(str(row.point) if first else "", row.quantity, value, row.unit, row.network or "")
    return grid


REMARKS = Experiment("Where the paper errs or overclaims", compute, table)


def _bias(laboratory: Laboratory) -> _Found:
    ways: tuple[Correction, ...] = ("none", "paper", "exact")
    for protected in PROTECTED:
        for way in ways:
            yield (
                f"RMS bias, correction {way}, {protected} protected bits",
                _over_trainings(laboratory, partial(_rms_bias, protected=protected, correction=way)),
                "largest weight",
            )


def _rms_bias(weights: torch.Tensor, protected: int, correction: Correction) -> float:
    storage = replace(_storage(weights, protected), correction=correction)
    bias = storage.read_mean(*storage.encode(weights, _FAULT), _FAULT) - weights.double()
    return float(bias.square().mean().sqrt() / weights.abs().max())


def _forward_only(laboratory: Laboratory) -> _Found:
    symmetric, forward = paper_tac(p=_P, overhead=_BUDGET), paper_tac(fault=_FORWARD_ONLY, overhead=_BUDGET)
    cases = [Case(NETWORK, symmetric), Case(NETWORK, symmetric, _FORWARD_ONLY), Case(NETWORK, forward)]
    as_planned, surprised, replanned = laboratory.measure(cases, "reading with forward-only errors")
    yield "accuracy, planned for and read with symmetric errors", as_planned.estimate, "share"
    yield "accuracy, planned for symmetric, read with forward-only errors", surprised.estimate, "share"
    yield "gain of planning for forward-only errors", replanned.minus(surprised), "share"
    yield "capacity of a cell, symmetric errors", capacity(_P, _P), "bit"
    yield "capacity of a cell, forward-only errors", capacity(0.0, 2 * _P), "bit"


def _amplification(laboratory: Laboratory) -> _Found:
    ways: dict[str, tuple[Correction, Step]] = {
        "exact correction, step kept": ("exact", "keep"),
        "paper's factor, step recomputed": ("paper", "recompute"),
    }
    for protected in (0, 2):
        for name, (correction, step) in ways.items():
            yield (
                f"variance over uncorrected, {name}, {protected} protected bits",
                _over_trainings(
                    laboratory, partial(_variance_ratio, protected=protected, correction=correction, step=step)
                ),
                "",
            )


def _variance_ratio(weights: torch.Tensor, protected: int, correction: Correction, step: Step) -> float:
    plain = _storage(weights, protected)
    storages = (replace(plain, correction=correction, scale=Largest(step)), plain)
    corrected, uncorrected = (one.summed_variance(*one.encode(weights, _FAULT), _FAULT) for one in storages)
    return corrected / uncorrected


def _budgets(laboratory: Laboratory, overheads: Sequence[float]) -> _Found:
    found = [network_scores(laboratory, NETWORK, seed) for seed in laboratory.training_seeds]
    yield "rho*", positive_interval([one.saturation_ratio for one in found]), ""
    yield "overhead from which rho* holds", positive_interval([one.interior[0] for one in found]), "share"
    for overhead in overheads:
        yield f"rho at {overhead:.1%} overhead", positive_interval([one.ratio(overhead) for one in found]), ""


def _rounding(laboratory: Laboratory, tensors: Sequence[int], random_networks: int) -> _Found:
    for method in ALLOCATIONS:
        for cost in rounding_table(tensors, networks=random_networks, method=method, seed=laboratory.seed):
            yield f"worst cost of whole bits, {method}, {cost.tensors} tensors", cost.worst, ""
    yield "bound of split", cost.bound, ""


def _greedy(laboratory: Laboratory, overheads: Sequence[float]) -> _Found:
    found = [network_scores(laboratory, NETWORK, seed) for seed in laboratory.training_seeds]
    for overhead in overheads:
        ratios = [one.rounding(overhead, "greedy") / one.rounding(overhead, "integer") for one in found]
        yield f"error of greedy over the exact optimum at {overhead:.1%} overhead", positive_interval(ratios), ""
        yield f"the same, worst training at {overhead:.1%} overhead", max(ratios), ""
        case = Case(NETWORK, paper_tac(p=_P, overhead=overhead, allocation="integer", correction="none"))
        spent = [laboratory.plan(case, seed).overhead for seed in laboratory.training_seeds]
        unspent = positive_interval([1 - one / overhead for one in spent])
        yield f"budget that the exact optimum leaves at {overhead:.1%} overhead", unspent, "share"


def _codes() -> _Found:
    codes: dict[str, Protection] = {
        "ideal code": Ideal(),
        "LDPC": next(
            one for one in worthwhile(_P, _P) if one.kind == "block_code" and one.residual(_P, _P)[0] < _GOOD_CODE
        ),
        "repetition 3": Repetition(3),
        "repetition 5": Repetition(5),
    }
    yield "cells for a protected bit, Shannon limit", shannon_cells(_P, _P), "cells"
    for name, code in codes.items():
        yield f"cells for a protected bit, {name}", code.cells, "cells"
        yield f"errors left, {name}", code.residual(_P, _P)[0], "share"
        yield f"overhead of a {_BUDGET:.0%} plan, {name}", _BUDGET * (code.cells - 1), "share"


def _knife_edge() -> _Found:
    for electrons in ELECTRONS:
        cell = Cell(Rectangular(3.15, 2.4, 0.42), electrons, default_threshold(electrons), attempt_frequency=1e13)
        safe, failing = (cell.thickness_for(p, window=64e-3) for p in (1e-6, 0.1))
        yield f"oxide between p = 1e-6 and p = 0.1, {electrons} electrons", float(safe - failing), "nm"


def _persistence(laboratory: Laboratory, chips: int) -> _Found:
    planned = Case(NETWORK, paper_tac(p=_P, overhead=_SHAKY_BUDGET))
    for name, cells in CELLS.items():
        cases = [replace(planned, read_fault=replace(cells, chip=chip)) for chip in range(chips)]
        # Axes: trained network, chip, read.
        values = np.stack([one.values for one in laboratory.measure(cases, "reading chips")], axis=1)
        within, means = values.var(axis=2, ddof=1).mean(axis=1), values.mean(axis=2)
        # Means over reads scatter by the reads too; what is left is the scatter of the chips.
        between = np.maximum(means.var(axis=1, ddof=1) - within / values.shape[2], 0)
        yield f"spread of accuracy between reads of one chip, {name}", _positive(np.sqrt(within)), "share"
        yield f"spread of accuracy between chips, {name}", _positive(np.sqrt(between)), "share"
        yield f"best chip over worst, {name}", _positive(np.ptp(means, axis=1)), "share"


def _positive(values: NDArray[np.float64]) -> Estimate:
    return positive_interval(values.tolist())


def _largest_weight(laboratory: Laboratory) -> _Found:
    grids: tuple[Grid, ...] = ("integer", "half_step")
    for grid in grids:
        error = _over_trainings(laboratory, partial(_largest_error, grid=grid))
        yield f"error of the largest weight, {grid} grid", error, "steps"


def _largest_error(weights: torch.Tensor, grid: Grid) -> float:
    """In steps, for the sign that the integer grid does not reach."""
    largest = weights.abs().max()
    positive = weights if weights.max() == largest else -weights
    storage = TensorFormat((Section(weights.numel(), Format(EvenLevels(grid=grid))),))
    stored = storage.decode(*storage.encode(positive, _FAULT))
    steps = (2**BITS - (grid == "half_step")) / 2
    return float((positive.double() - stored).reshape(-1)[positive.argmax()] / largest * steps)


def _clipping(laboratory: Laboratory) -> _Found:
    best = [_best_full_scale(weights) for weights in _weights(laboratory)]
    yield "signal to noise, full scale at the largest weight", _over_trainings(laboratory, _snr), "dB"
    yield "signal to noise, best full scale", trainings_interval([snr for _, snr in best]), "dB"
    yield "best full scale", positive_interval([share for share, _ in best]), "largest weight"


def _snr(weights: torch.Tensor, share: float = 1.0) -> float:
    """Of weights read raw, in dB, by exact moments; the full scale is a share of the largest weight."""
    storage = replace(_storage(weights), scale=Fixed(share * float(weights.abs().max())))
    words, scale = storage.encode(weights, _FAULT)
    bias = storage.read_mean(words, scale, _FAULT) - weights.double()
    noise = float(bias.square().sum()) + storage.summed_variance(words, scale, _FAULT)
    return 10 * float(np.log10(float(weights.double().square().sum()) / noise))


def _best_full_scale(weights: torch.Tensor) -> tuple[float, float]:
    """Share of the largest weight, and the signal to noise there."""
    found = optimize.minimize_scalar(lambda share: -_snr(weights, share), bounds=(0.02, 1.0), method="bounded")
    return float(found.x), -float(found.fun)


def _storage(weights: torch.Tensor, protected: int = 0) -> TensorFormat:
    return TensorFormat((Section(weights.numel(), Format().protect(protected)),))


def _weights(laboratory: Laboratory) -> list[torch.Tensor]:
    return [stored_weights(laboratory.network(NETWORK, seed)[0])[TENSOR] for seed in laboratory.training_seeds]


def _over_trainings(laboratory: Laboratory, number: Callable[[torch.Tensor], float]) -> Estimate:
    return trainings_interval([number(weights) for weights in _weights(laboratory)])


def _estimate(value: Estimate | float) -> Estimate:
    return value if isinstance(value, Estimate) else Estimate(value, value, value, "nothing: it is exact")
