"""What the scores of a network predict of TAC over Uniform-MSP, and what is measured (tables 1 and 8 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.formats import Correction
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory, Measured
from qtaml.measuring import Estimate, positive_interval
from qtaml.networks import NETWORKS
from qtaml.planning import ALLOCATIONS, Allocation, UniformMsp
from qtaml.showing import cell
from reproduction.experiment import Experiment, paper_tac
from reproduction.scores import BITS, network_scores

OVERHEADS = (0.05, 0.125, 0.25)
SMALL_P = 0.01
"""A flip probability at which the output still answers linearly to the errors (see `linear_response`)."""

_MEASURED: tuple[Allocation, ...] = ("greedy", "split")

_Measurements = dict[tuple[str, float, float, str], Measured]


@dataclass(frozen=True)
class Row:
    """One network at one overhead, with one way to allocate whole protected bits.

    Attributes:
        network: its name.
        overhead: protected share of the bits, for TAC and for Uniform-MSP.
        allocation: how whole bits are allocated: "greedy" (the paper's), "integer" (exact) or "split".
        tensors: number of tensors L.
        p: flip probability at which the paper studies the network.
        mean_score: A, arithmetic mean score of a weight.
        geometric_score: G, geometric mean score of a weight.
        saturation_ratio: rho* = G / A.
        interior_from: overhead from which rho* holds.
        interior_to: overhead up to which rho* holds.
        ratio: rho at this overhead with fractional bits, by water filling.
        whole: predicted error of TAC with whole bits over that of Uniform-MSP.
        correction: whole / ratio, what whole bits cost.
        predicted: rho* x correction, which is `whole` only where rho* holds.
        measured: output error of TAC over that of Uniform-MSP, over reads at p, nothing corrected; None where
            Uniform-MSP has no whole number of bits, and for "integer", which hardly differs from "greedy".
        measured_small_p: the same where one bit in a hundred is read wrong.
        measured_corrected: the same at p, TAC with its mean correction.
    """

    network: str
    overhead: float
    allocation: str
    tensors: int
    p: float
    mean_score: Estimate
    geometric_score: Estimate
    saturation_ratio: Estimate
    interior_from: Estimate
    interior_to: Estimate
    ratio: Estimate
    whole: Estimate
    correction: Estimate
    predicted: Estimate
    measured: Estimate | None
    measured_small_p: Estimate | None
    measured_corrected: Estimate | None


def compute(
    laboratory: Laboratory, *, networks: Sequence[str] = tuple(NETWORKS), overheads: Sequence[float] = OVERHEADS
) -> tuple[Row, ...]:
    """Predict the ratio of output errors from one calibration, and measure it.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        overheads: shares of a plain memory.

    Returns:
        A row for each network, overhead and allocation. Intervals are over the trained networks.

    Source:
        paper, theorem 4.6, sections 4.5 and 5.6, A.12 and A.13; theory.md 1.5 and 1.6.
    """
    measured = _measure(laboratory, networks, overheads)
    return tuple(
        _row(laboratory, measured, network, overhead, allocation)
        for network in networks
        for overhead in overheads
        for allocation in ALLOCATIONS
    )


def table1(rows: Sequence[Row]) -> Table:
    """Ratio of output errors of TAC and Uniform-MSP: predicted with fractional and whole bits, and measured."""
    headings = {
        "A": ("mean_score", ".3g"),
        "G": ("geometric_score", ".3g"),
        "rho*": ("saturation_ratio", ".3f"),
        "rho": ("ratio", ".3f"),
        "whole bits": ("whole", ".3f"),
        f"measured, p = {SMALL_P:g}": ("measured_small_p", ".3f"),
        "measured": ("measured", ".3f"),
        "TAC corrected": ("measured_corrected", ".3f"),
    }
    return _table("Output error of TAC over Uniform-MSP at equal overhead", rows, headings, _MEASURED)


def table8(rows: Sequence[Row]) -> Table:
    """What whole bits cost over fractional ones, and whether rho* times that cost predicts the ratio."""
    headings = {
        "rho*": ("saturation_ratio", ".3f"),
        "correction": ("correction", ".3f"),
        "rho* x correction": ("predicted", ".3f"),
        "whole bits": ("whole", ".3f"),
    }
    return _table("Correction of the saturation ratio for whole protected bits", rows, headings, ALLOCATIONS)


TABLE1 = Experiment("Saturation ratio: predicted, with whole bits, and measured", compute, table1)
TABLE8 = Experiment("Saturation ratio and its correction for whole bits", compute, table8)


def _measure(laboratory: Laboratory, networks: Sequence[str], overheads: Sequence[float]) -> _Measurements:
    """Output errors by network, overhead, p, and "uniform_msp" or allocation and correction of TAC."""
    cases = {}
    for network, overhead in product(networks, overheads):
        if not (BITS * overhead).is_integer():
            continue
        p = NETWORKS[network].p
        ways: tuple[tuple[float, Correction], ...] = ((p, "none"), (SMALL_P, "none"), (p, "exact"))
        for (rate, correction), allocation in product(ways, _MEASURED):
            settings = paper_tac(p=rate, overhead=overhead, allocation=allocation, correction=correction)
            cases[network, overhead, rate, f"{allocation}, {correction}"] = Case(network, settings)
        for rate in (p, SMALL_P):
            uniform = UniformMsp(p=rate, protected_bits=BITS * overhead)
            cases[network, overhead, rate, "uniform_msp"] = Case(network, uniform)
    errors = [replace(case, metric="output_error") for case in cases.values()]
    return dict(zip(cases, laboratory.measure(errors, "measuring output errors"), strict=True))


def _row(laboratory: Laboratory, measured: _Measurements, network: str, overhead: float, allocation: Allocation) -> Row:
    p = NETWORKS[network].p
    found = [network_scores(laboratory, network, seed) for seed in laboratory.training_seeds]
    corrections = [scores.rounding(overhead, allocation) for scores in found]
    ratios = [scores.ratio(overhead) for scores in found]
    stars = [scores.saturation_ratio for scores in found]
    return Row(
        network,
        overhead,
        allocation,
        tensors=len(found[0].sizes),
        p=p,
        mean_score=positive_interval([scores.mean for scores in found]),
        geometric_score=positive_interval([scores.mean * scores.saturation_ratio for scores in found]),
        saturation_ratio=positive_interval(stars),
        interior_from=positive_interval([scores.interior[0] for scores in found]),
        interior_to=positive_interval([scores.interior[1] for scores in found]),
        ratio=positive_interval(ratios),
        whole=positive_interval([a * b for a, b in zip(ratios, corrections, strict=True)]),
        correction=positive_interval(corrections),
        predicted=positive_interval([a * b for a, b in zip(stars, corrections, strict=True)]),
        measured=_error_ratio(measured, network, overhead, p, f"{allocation}, none"),
        measured_small_p=_error_ratio(measured, network, overhead, SMALL_P, f"{allocation}, none"),
        measured_corrected=_error_ratio(measured, network, overhead, p, f"{allocation}, exact"),
    )


def _error_ratio(measured: _Measurements, network: str, overhead: float, p: float, storage: str) -> Estimate | None:
    """Ratio of the mean errors of each trained network."""
    if (network, overhead, p, storage) not in measured:
        return None
    tac, uniform = (measured[network, overhead, p, name].values.mean(1) for name in (storage, "uniform_msp"))
    return positive_interval((tac / uniform).tolist())


def _table(title: str, rows: Sequence[Row], headings: dict[str, tuple[str, str]], shown: Sequence[str]) -> Table:
    grid = captioned_table(
        title=title,
        caption="mean over trainings ± half a 95% interval; rho* holds between the overheads named",
    )
    for heading in ("network", "L", "holds", "overhead", "allocation", *headings):
        grid.add_column(heading, justify="left" if heading in ("network", "allocation") else "right", overflow="fold")
    for row in rows:
        if row.allocation in shown:
            interior = f"{row.interior_from.value:.0%}-{row.interior_to.value:.0%}"
            cells = [cell(getattr(row, name), form) for name, form in headings.values()]
            grid.add_row(row.network, str(row.tensors), interior, f"{row.overhead:.1%}", row.allocation, *cells)
    return grid
