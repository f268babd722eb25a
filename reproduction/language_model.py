"""A language model in the leaking memory: perplexity over cells, by the paper's methods and by the design search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate, perplexity
from qtaml.networks import RECIPES
from qtaml.planning import REAL_DECODERS, Design, UniformMsp
from qtaml.showing import Curve, Panel, columns, panels_figure
from reproduction.experiment import Experiment, paper_tac

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "LanguageModel"
CELLS = (0.3, 0.5, 1.0)
PLAIN_CELLS = (1.0, 1.05, 1.125, 1.25)
"""Budgets of the paper's methods, which keep all eight bits and begin at a plain memory."""
UNIFORM_MSP, TAC = "Uniform-MSP, ideal code", "TAC, ideal code"
DESIGNS: dict[str, Mapping[str, Any]] = {
    "design, table and majority": {"decoders": ("none", "table", "majority")},
    "design, every decoder": {"decoders": REAL_DECODERS},
    "design, every decoder and stream": {"decoders": (*REAL_DECODERS, "trellis", "sequential")},
    "design, every decoder and blocks, feedback": {"decoders": (*REAL_DECODERS, "sequential"), "feedback": True},
}
"""What each design is asked for besides its budget and the memory."""
STREAM_CELLS = (0.4, 0.5)
"""Budgets of the designs with trellises or entropy-coded blocks."""
METHODS = (UNIFORM_MSP, TAC, *DESIGNS)
_TRIALS = 4
"""Reads for each tensor and way in step 3 of TAC: half the usual, of a network with 17 tensors."""


@dataclass(frozen=True)
class Row:
    """One method at one budget.

    Attributes:
        method: its name. The paper's keep all eight bits.
        cells: budget, as a share of a plain memory.
        spent: what the plan takes.
        perplexity: of a byte, exp of the mean negative log-likelihood over reads and test texts, with its interval.
        clean: perplexity outside the leaking memory.
        predicted_error: output error that the plan predicts; None if it does not.
        p: flip probability.
        weights: stored weights of the network.
    """

    method: str
    cells: float
    spent: float
    perplexity: Estimate
    clean: float
    predicted_error: float | None
    p: float
    weights: int


def compute(
    laboratory: Laboratory,
    *,
    cells: Sequence[float] = CELLS,
    stream_cells: Sequence[float] = STREAM_CELLS,
    plain_cells: Sequence[float] = PLAIN_CELLS,
    methods: Sequence[str] = METHODS,
) -> tuple[Row, ...]:
    """Perplexity of a small language model by each method at each budget.

    One training, the first of the laboratory's: it takes as long as all the other networks together.

    Args:
        laboratory: where to measure.
        cells: budgets of the designs of words.
        stream_cells: budgets of the others.
        plain_cells: budgets of the paper's methods, at least 1. Uniform-MSP is measured where it protects whole bits.
        methods: of `METHODS`.

    Returns:
        A row for each method and budget.
    """
    asked = [
        (method, budget)
        for method in methods
        for budget in (
            plain_cells if method not in DESIGNS else stream_cells if "every decoder and" in method else cells
        )
        if method != UNIFORM_MSP or _protected_bits(budget).is_integer()
    ]
    seed = laboratory.training_seeds[0]
    records = laboratory.run([laboratory.task(_case(*one), seed) for one in asked], "storing at each budget")
    model, _ = laboratory.network(NETWORK, seed)
    weights = sum(weight.numel() for weight in model.parameters() if weight.ndim > 1)
    rows = []
    for (method, budget), record in zip(asked, records, strict=True):
        rows.append(
            Row(
                method,
                budget,
                1 + record.overhead,
                perplexity=record.result.estimate.mapped(perplexity),
                clean=perplexity(record.clean),
                predicted_error=record.predicted_error,
                p=RECIPES[NETWORK].p,
                weights=weights,
            )
        )
    return tuple(rows)


def table(rows: Sequence[Row]) -> Table:
    """A row for each budget, a column for each method."""
    found = {(row.method, row.cells): f"{row.perplexity:.3g}" for row in rows}
    grid = captioned_table(
        title=f"Perplexity of a byte of Python source; p = {rows[0].p:g}; clean {rows[0].clean:.3g}",
        caption="[95% interval over reads and test texts]; cells as a share of a plain memory of 8 bits a weight; the "
        "ideal code costs two cells for a protected bit, everything else what it really costs",
    )
    grid.add_column("cells", justify="right")
    methods = list(dict.fromkeys(row.method for row in rows))
    for method in methods:
        grid.add_column(method, justify="right")
    for cells in sorted({row.cells for row in rows}):
        grid.add_row(f"{cells:.4g}", *(found.get((method, cells), "-") for method in methods))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Perplexity over cells."""
    curves = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        curves.append(Curve(method, [row.spent for row in own], *columns(row.perplexity for row in own)))
    top = max(row.perplexity.high for row in rows)
    panel = Panel(
        curves,
        f"A language model of {rows[0].weights / 1e6:.2g} million weights, {100 * rows[0].p:g}% of the bits read wrong",
        "cells, as a share of a plain memory of 8 bits a weight",
        "perplexity of a byte",
        reference=("outside the memory", rows[0].clean),
        log_y=(0.8 * rows[0].clean, 1.3 * top),
        legend="outside",
    )
    return panels_figure(
        [panel],
        caption="Lower is better; a model that knows nothing has 256. A plain memory takes 1 and cannot go below; the "
        "designs choose levels, numbers of bits and codes for each tensor, and count every cell. Bars: 95% over reads "
        "and test texts.",
    )


LANGUAGE_MODEL = Experiment("Perplexity of a language model over cells, method by method", compute, table, draw)


def _case(method: str, cells: float) -> Case:
    p = RECIPES[NETWORK].p
    if method in DESIGNS:
        return Case(NETWORK, Design(p=p, cells=cells, **DESIGNS[method]), metric="log_likelihood")
    if method == TAC:
        return Case(NETWORK, paper_tac(p=p, overhead=cells - 1, trials=_TRIALS), metric="log_likelihood")
    return Case(NETWORK, UniformMsp(p=p, protected_bits=_protected_bits(cells)), metric="log_likelihood")


def _protected_bits(cells: float) -> float:
    return 8 * (cells - 1)
