"""Cells that a network needs: the paper's methods, the design search, and Shannon's bounds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.faults import AnyFault, StaticCells, Uniform
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory, Measured, Record, covered
from qtaml.measuring import Estimate, positive_interval
from qtaml.model import stored_weights
from qtaml.networks import NETWORKS
from qtaml.planning import REAL_DECODERS, Design, Tac, UniformMsp
from qtaml.sensitivity import jacobian_gains
from qtaml.showing import Curve, Panel, cell, columns, panels_figure, percent
from qtaml.theory.capacity import capacity
from qtaml.theory.rate_distortion import entropy_power, least_bits, least_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.75, 1.0, 1.5)
# Methods that keep all eight bits cost at least a plain memory.
PLAIN_CELLS = (1.0, 1.02, 1.05, 1.125, 1.25, 1.5)
TITLE = "Cells that a network needs, method by method"
SHARES = (0.95, 0.99)
EVERYTHING, BY_ROW = "design, every decoder", "design, every decoder, by row"
GAUSSIAN_LIMIT, EMPIRICAL_LIMIT = "Shannon limit, Gaussian weights", "Shannon lower bound, these weights"
TRELLISES = "design, every decoder and trellises"
STREAMS, FED_STREAMS = "design, every decoder and stream", "design, every decoder and stream, feedback"
KNOWN_CELLS, FED_KNOWN_CELLS = "design, trellises, weak cells known", "design, trellises, weak cells known, feedback"
VOTES, VOTES_AND_TRELLISES = "design, table and majority", "design, majority and trellises"
FED_VOTES_AND_TRELLISES = "design, majority and trellises, feedback"
DESIGNS: dict[str, Mapping[str, Any]] = {
    "repetition only": {"decoders": ("none", "majority")},
    "design, table only": {"decoders": ("none", "table")},
    VOTES: {"decoders": ("none", "table", "majority")},
    "design, all but iterative": {"decoders": ("none", "table", "majority", "algebraic")},
    EVERYTHING: {},
    BY_ROW: {"rows": True},
    TRELLISES: {"decoders": (*REAL_DECODERS, "trellis")},
    STREAMS: {"decoders": (*REAL_DECODERS, "trellis", "sequential")},
    FED_STREAMS: {"decoders": (*REAL_DECODERS, "trellis", "sequential"), "feedback": True},
    VOTES_AND_TRELLISES: {"decoders": ("none", "table", "majority", "trellis")},
    FED_VOTES_AND_TRELLISES: {"decoders": ("none", "table", "majority", "trellis"), "feedback": True},
    KNOWN_CELLS: {"decoders": ("none", "table", "trellis"), "weak_cells": "known"},
    FED_KNOWN_CELLS: {"decoders": ("none", "table", "trellis"), "weak_cells": "known", "feedback": True},
}
"""What each design is asked for besides its budget and the memory."""
UNIFORM_MSP, TAC = "Uniform-MSP, ideal code", "TAC, ideal code"
PAPERS = (UNIFORM_MSP, TAC)
NEAR_LIMIT = tuple(name for name, asked in DESIGNS.items() if "trellis" in asked.get("decoders", ()))
METHODS = (*PAPERS, *(name for name in DESIGNS if name not in NEAR_LIMIT))
# A predicted error of 0 has neither a logarithm nor a finite rate: this stands for it, above the denormal floats.
_NO_ERROR, _PLAIN_BITS = 1e-290, 8
_CLASSES = 256


@dataclass(frozen=True)
class CurveRow:
    """One method at one budget.

    Attributes:
        network: its name.
        method: its name. The paper's methods and repetition alone keep all eight bits.
        cells: budget, as a share of a plain memory.
        spent: what the plans take, mean over trainings.
        accuracy: mean over trainings and reads, with its interval.
        predicted_error: output error that the plans predict, mean over trainings; None if they do not.
        clean: accuracy outside the leaking memory.
        p: flip probability.
        trainings: trained networks; of a single one, the interval is over reads and test samples.
    """

    network: str
    method: str
    cells: float
    spent: float
    accuracy: Estimate
    predicted_error: float | None
    clean: float
    p: float
    trainings: int
    part: Literal["curve"] = field(default="curve")


@dataclass(frozen=True)
class LeastRow:
    """The least cells at which a method reaches a share of the clean accuracy.

    Attributes:
        network: its name.
        method: its name; a limit is the least that codes of any length need, with one rate for each tensor, for the
            output error that the design by every decoder predicts there: if the weights were Gaussian, or by the
            entropy of the tensors' own weights.
        share: of the clean accuracy.
        cells: share of a plain memory, mean over trainings with its interval; None if a training does not get there.
        gap: output error that the plans predict there over the least that any code allows for Gaussian weights in as
            many cells, in dB, mean over trainings; None where nothing is predicted.
        at_most: a training gets there at the smallest budget already: the least may be less.
        p: flip probability.
    """

    network: str
    method: str
    share: float
    cells: Estimate | None
    gap: float | None
    at_most: bool
    p: float
    part: Literal["least"] = field(default="least")


Row = CurveRow | LeastRow


def compute(
    laboratory: Laboratory,
    *,
    networks: Sequence[str] = tuple(NETWORKS),
    cells: Sequence[float] = CELLS,
    plain_cells: Sequence[float] = PLAIN_CELLS,
    methods: Sequence[str] = METHODS,
    p: float | None = None,
) -> tuple[Row, ...]:
    """Accuracy over cells of every network by every method, and the least cells for a share of the clean accuracy.

    For each training the least cells lie on the straight line between the last budget that misses the target and the
    next one.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        cells: budgets of the designs with fitted levels, ascending.
        plain_cells: budgets of the other methods, at least 1, ascending.
        methods: of `METHODS` and `NEAR_LIMIT`.
        p: flip probability; that at which the paper studies each network if not given.

    Returns:
        Rows of the curves and of the least cells.

    Source:
        theory.md 5 and 6.
    """
    asked = [
        (network, method, budget)
        for network in networks
        for method in methods
        for budget in (cells if _has_tables(method) else plain_cells)
    ]
    found = laboratory.measure([_case(*one, p) for one in asked], "storing at each budget")
    curves: dict[tuple[str, str], list[tuple[float, Measured]]] = {}
    rows: list[Row] = []
    for (network, method, budget), measured in zip(asked, found, strict=True):
        curves.setdefault((network, method), []).append((budget, measured))
        predicted = [record.predicted_error for record in measured.records if record.predicted_error is not None]
        rows.append(
            CurveRow(
                network,
                method,
                budget,
                1 + measured.overhead,
                measured.estimate,
                predicted_error=float(np.mean(predicted)) if predicted else None,
                clean=measured.clean,
                p=_p(network, p),
                trainings=len(measured.records),
            )
        )
    for (network, method), curve in curves.items():
        records = list(zip(*(measured.records for _, measured in curve), strict=True))
        for share in SHARES:
            least = [_crossing(one, share) for one in records]
            at_most = any(_first(one, share) == 0 for one in records)
            bits = _bits_of_a_cell(method, _p(network, p))
            limits = [_Limits.of(laboratory, network, seed, bits) for seed in laboratory.training_seeds]
            pairs = list(zip(limits, records, strict=True))
            # Only designs predict the rounding to levels as well, without which a gap to Shannon's bound means nothing.
            gaps = [_at_crossing(one, share, limit.gap) for limit, one in pairs] if method in DESIGNS else [None]
            rows.append(_least_row(network, method, share, least, gaps, at_most, _p(network, p)))
            if method == EVERYTHING:
                for name in (GAUSSIAN_LIMIT, EMPIRICAL_LIMIT):
                    cells_of = [_at_crossing(one, share, partial(limit.cells, name)) for limit, one in pairs]
                    rows.append(_least_row(network, name, share, cells_of, [None], at_most, _p(network, p)))
    return tuple(rows)


def table(rows: Sequence[Row]) -> Table:
    """The least cells of each network and method."""
    least = [row for row in rows if isinstance(row, LeastRow)]
    found = {(row.network, row.method, row.share): _least_text(row) for row in least}
    grid = captioned_table(
        title="Least cells for a share of the clean accuracy, in per cent of a plain memory of 8 bits a weight",
        caption="mean [95% interval over trainings and reads]; the ideal code costs two cells for a protected bit; dB: "
        "predicted output error over Shannon's least for Gaussian weights in as many cells",
    )
    shares = list(dict.fromkeys(row.share for row in least))
    for column in ("network", "method", *(f"{share:.0%} of clean" for share in shares)):
        grid.add_column(column)
    for network in dict.fromkeys(row.network for row in least):
        methods = list(dict.fromkeys(row.method for row in rows if row.network == network))
        for method in methods:
            texts = [found.get((network, method, share), "-") for share in shares]
            grid.add_row(network if method == methods[0] else "", method, *texts)
        grid.add_section()
    return grid


def _least_text(row: LeastRow) -> str:
    gap = "" if row.gap is None else f", {row.gap:.1f} dB"
    return "at most " * row.at_most + percent(row.cells) + gap


def table_over_cells(rows: Sequence[Row]) -> Table:
    """Accuracies of one network: a row for each budget, a column for each method."""
    shown = [row for row in rows if isinstance(row, CurveRow)]
    found = {(row.method, row.cells): cell(row.accuracy, ".1f", 100) for row in shown}
    grid = captioned_table(
        title=f"Test accuracy (%) of {shown[0].network} at p = {shown[0].p:g}; clean {100 * shown[0].clean:.1f}",
        caption=f"mean ± half a 95% interval over {covered(shown[0].trainings)}; cells as a share of a plain memory of "
        "8 bits a weight; the ideal code costs two cells for a protected bit, everything else what it really costs",
    )
    grid.add_column("cells", justify="right")
    methods = list(dict.fromkeys(row.method for row in shown))
    for method in methods:
        grid.add_column(method, justify="right")
    for cells in sorted({row.cells for row in shown}):
        grid.add_row(f"{cells:.4g}", *(found.get((method, cells), "-") for method in methods))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Accuracy over cells, a panel for each network."""
    curves = [row for row in rows if isinstance(row, CurveRow)]
    panels: list[Panel] = []
    networks = list(dict.fromkeys(row.network for row in curves))
    for network in networks:
        own = [row for row in curves if row.network == network]
        lines = []
        for method in dict.fromkeys(row.method for row in own):
            line = [row for row in own if row.method == method]
            # Over the cells really taken: whole blocks and tables leave part of some budgets unspent.
            lines.append(Curve(method, [row.spent for row in line], *columns((row.accuracy for row in line), 100)))
        limits = [
            (row.cells.value, 100 * row.share * own[0].clean)
            for row in rows
            if isinstance(row, LeastRow) and (row.network, row.method) == (network, GAUSSIAN_LIMIT) and row.cells
        ]
        if limits:
            # First, so that its colour is the same where methods differ.
            lines.insert(0, Curve(GAUSSIAN_LIMIT, *zip(*limits, strict=True), points=True))
        panels.append(
            Panel(
                lines,
                f"{network}, {100 * own[0].p:g}% of the bits read wrong",
                "cells, as a share of a plain memory",
                "test accuracy (%)",
                reference=("95% of clean", 95 * own[0].clean),
                # The methods are the same in all panels: one legend, beside the last panel of the first row.
                legend="outside" if len(panels) == min(1, len(networks) - 1) else "none",
            )
        )
    return panels_figure(
        panels,
        columns=min(2, len(panels)),
        caption="A plain memory takes 1. The paper's methods start there and buy an ideal code; fitted levels, fewer "
        "bits and codes at their real price start from nothing. Tables and scales are counted. Shannon's limit: for "
        f"95% and 99% of the clean accuracy. Bars: 95% over {covered(curves[0].trainings)}.",
    )


def case_of_paper(network: str, compensated: bool, overhead: float, p: float | None = None) -> Case:
    """TAC or Uniform-MSP within an overhead of the ideal code; `p` is that of the paper if not given."""
    p = _p(network, p)
    if compensated:
        return Case(network, Tac(p=p, overhead=overhead))
    return Case(network, UniformMsp(p=p, protected_bits=_PLAIN_BITS * overhead))


def _case(network: str, method: str, cells: float, p: float | None) -> Case:
    if method in PAPERS:
        return case_of_paper(network, method == TAC, float(cells - 1), p)
    return Case(network, Design(fault=_fault(method, _p(network, p)), cells=cells, **DESIGNS[method]))


def _has_tables(method: str) -> bool:
    return method in DESIGNS and "table" in DESIGNS[method].get("decoders", REAL_DECODERS)


def _has_map(method: str) -> bool:
    return "weak_cells" in DESIGNS.get(method, {})


def _fault(method: str, p: float) -> AnyFault:
    """Errors that are new in each read; where the writer knows the weak cells, twice as many that are stuck.

    At either bit, so that as many bits would be wrong for a writer who does not know.
    """
    if not _has_map(method):
        return Uniform(p)
    weak = round(p * _CLASSES)
    zeros, ones, good = (1.0,) * weak + (0.0,) * weak, (0.0,) * weak + (1.0,) * weak, (0.0,) * (_CLASSES - 2 * weak)
    return StaticCells(p01=ones + good, p10=zeros + good)


def _bits_of_a_cell(method: str, p: float) -> float:
    """Bits that a cell carries at most."""
    return 1 - 2 * p if _has_map(method) else capacity(p, p)


def _p(network: str, p: float | None) -> float:
    return NETWORKS[network].p if p is None else p


def _first(records: Sequence[Record], share: float) -> int | None:
    """Index of the first budget from which on the target is reached; None if it is missed to the end."""
    # Counted from the last miss: reads are noisy, and one lucky budget below it must not count as reached.
    missing = [index for index, record in enumerate(records) if record.result.mean < share * record.clean]
    first = missing[-1] + 1 if missing else 0
    return first if first < len(records) else None


def _crossing(records: Sequence[Record], share: float) -> float | None:
    """Cells at which the accuracy crosses the target, by interpolation; the smallest budget if all reach it."""
    return _at_crossing(records, share, lambda record: 1 + record.overhead)


def _at_crossing(records: Sequence[Record], share: float, value: Callable[[Record], float]) -> float | None:
    """A value of the plans, interpolated linearly between budgets to where the accuracy crosses the target.

    value = v0 + (target - a0) / (a1 - a0) x (v1 - v0) for accuracies a0 < target <= a1 of neighbouring budgets.
    """
    first = _first(records, share)
    if first is None or first == 0:
        return None if first is None else value(records[0])
    below, above = records[first - 1], records[first]
    low, high = (one.result.mean - share * one.clean for one in (below, above))
    return value(below) - low / (high - low) * (value(above) - value(below))


@dataclass(frozen=True)
class _Limits:
    """Rate-distortion bounds of one trained network.

    Attributes:
        powers: by name of the limit, output error of each tensor if none of it is stored.
        sizes: weights of each tensor.
        bits: that the cells of a plain memory carry.
    """

    powers: dict[str, tuple[float, ...]]
    sizes: tuple[int, ...]
    bits: float

    # A memo: gains take backward passes, and all methods and shares ask for the bounds of the same trainings.
    @staticmethod
    @lru_cache(maxsize=64)
    def of(laboratory: Laboratory, network: str, training_seed: int, bits_of_a_cell: float) -> "_Limits":
        """Of one trained network."""
        model, data = laboratory.network(network, training_seed)
        weights = stored_weights(model)
        gains = jacobian_gains(model, data.calibration, weights, seed=laboratory.seed)
        sizes = tuple(weight.numel() for weight in weights.values())
        squares = {
            GAUSSIAN_LIMIT: [float(weight.double().square().mean()) for weight in weights.values()],
            EMPIRICAL_LIMIT: [entropy_power(weight.double().numpy(force=True)) for weight in weights.values()],
        }
        # Shannon's lower bound: weights of entropy power Q need at least the rate of Gaussian ones of variance Q.
        powers = {
            limit: tuple(gains[name].squared * size * one for name, size, one in zip(weights, sizes, own, strict=True))
            for limit, own in squares.items()
        }
        return _Limits(powers, sizes, bits_of_a_cell * _PLAIN_BITS * sum(sizes))

    def cells(self, limit: str, record: Record) -> float:
        """Least cells for the output error that the plan of a record predicts."""
        return least_bits(self.powers[limit], self.sizes, max(record.predicted_error or 0.0, _NO_ERROR)) / self.bits

    def gap(self, record: Record) -> float:
        """Output error that the plan predicts over the least in its cells, in dB."""
        least = least_error(self.powers[GAUSSIAN_LIMIT], self.sizes, self.bits * (1 + record.overhead))
        return 10 * math.log10(max(record.predicted_error or 0.0, _NO_ERROR) / least)


def _least_row(
    network: str,
    method: str,
    share: float,
    cells: Sequence[float | None],
    gaps: Sequence[float | None],
    at_most: bool,
    p: float,
) -> LeastRow:
    known = [one for one in cells if one is not None]
    # A mean over only those trainings that reach the target would flatter the method.
    cells_estimate = positive_interval(known) if len(known) == len(cells) else None
    known_gaps = [one for one in gaps if one is not None]
    gap = float(np.mean(known_gaps)) if len(known_gaps) == len(gaps) else None
    return LeastRow(network, method, share, cells_estimate, gap, at_most, p)
