"""Accuracy over the overhead of cells: nothing, Uniform-MSP and TAC (table 2 and figure 2 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rich.table import Table
from torch import nn

from qtaml import _files
from qtaml._progress import track
from qtaml.evaluate import Result, SampleMetric, evaluate
from qtaml.memory import store
from qtaml.model import Batch
from qtaml.planning import Plan, compensate, uniform_msp
from qtaml.report import Curve, Panel, panels_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OVERHEADS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.10, 0.125, 0.25)

Method = Literal["uncompensated", "uniform_msp", "tac"]
_NAMES: dict[Method, str] = {"uncompensated": "uncompensated", "uniform_msp": "Uniform-MSP", "tac": "TAC"}


@dataclass(frozen=True)
class Point:
    """One plan and what it reaches.

    Attributes:
        method: how the plan was made.
        overhead: overhead asked.
        spent: overhead that the plan takes.
        mean: accuracy, mean over reads.
        low: lower end of its 95 per cent interval, over reads and test samples.
        high: upper end of the same.
        reads_low: lower end of the interval over reads of these very test samples.
        reads_high: upper end of the same.
    """

    method: Method
    overhead: float
    spent: float
    mean: float
    low: float
    high: float
    reads_low: float
    reads_high: float


@dataclass(frozen=True)
class OverheadCurve:
    """Accuracy over overhead, method by method.

    Attributes:
        network: name of the network.
        clean: accuracy of the network outside the leaking memory.
        p: flip probability.
        trials: reads for each point.
        seed: seed of calibration and errors.
        rows: one for each method and overhead.
        versions: versions of what made the curve.
    """

    network: str
    clean: float
    p: float
    trials: int
    seed: int
    rows: tuple[Point, ...]
    versions: dict[str, str] = field(default_factory=_files.versions)

    def to_json(self) -> str:
        """The curve as JSON."""
        return _files.to_json(self)


def compute(
    model: nn.Module,
    calibration: Batch,
    metric: SampleMetric,
    *,
    p: float,
    overheads: Sequence[float] = OVERHEADS,
    trials: int = 30,
    seed: int = 0,
) -> OverheadCurve:
    """Plan, store and read the network for every overhead and method, under common random numbers.

    Args:
        model: the trained network; it is not changed.
        calibration: inputs for TAC.
        metric: accuracy on the test data.
        p: flip probability.
        overheads: shares of a plain memory. Uniform-MSP exists at whole numbers of bits only.
        trials: reads for each point.
        seed: seed of calibration and errors.

    Returns:
        The curve.

    Source:
        paper, section 5.2.
    """

    def measure(method: Method, overhead: float, plan: Plan) -> Point:
        result: Result = evaluate(store(model, plan), metric, trials=trials, seed=seed)
        interval = (result.low, result.high, result.reads_low, result.reads_high)
        return Point(method, overhead, plan.overhead, result.mean, *interval)

    rows = [measure("uncompensated", 0.0, uniform_msp(model, p=p, protected_bits=0))]
    for overhead in track(overheads, "storing at each overhead"):
        bits = 8 * overhead
        if bits >= 1 and bits.is_integer():
            rows.append(measure("uniform_msp", overhead, uniform_msp(model, p=p, protected_bits=int(bits))))
        rows.append(measure("tac", overhead, compensate(model, calibration, p=p, overhead=overhead, seed=seed)))
    clean = float(metric.scores(model).double().mean())
    return OverheadCurve(type(model).__name__, clean, p, trials, seed, tuple(rows))


def table(curve: OverheadCurve) -> Table:
    """The curve as a table: a row for each overhead, a column for each method."""
    found = {
        (row.method, row.overhead): f"{100 * row.mean:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"
        for row in curve.rows
    }
    grid = Table(
        title=f"Test accuracy (%) of {curve.network} at p = {curve.p:g}; clean {100 * curve.clean:.1f}",
        caption=f"mean of {curve.trials} reads [95% interval over reads and test samples]",
        title_justify="left",
        caption_justify="left",
    )
    grid.add_column("overhead", justify="right")
    for name in _NAMES.values():
        grid.add_column(name, justify="right", no_wrap=True)
    for overhead in sorted({row.overhead for row in curve.rows}):
        grid.add_row(f"{overhead:.1%}", *(found.get((method, overhead), "-") for method in _NAMES))
    return grid


def draw(curve: OverheadCurve) -> "Figure":
    """The curve as a picture."""
    curves = []
    for method, name in _NAMES.items():
        rows = [row for row in curve.rows if row.method == method]
        if rows:
            x = [100 * row.spent for row in rows]
            values = ([100 * getattr(row, key) for row in rows] for key in ("mean", "low", "high"))
            curves.append(Curve(name, x, *values))
    panel = Panel(
        curves,
        title=f"{curve.network} in a memory that reads {100 * curve.p:g}% of its bits wrong",
        x_label="overhead: protected share of the bits (%)",
        y_label="test accuracy (%)",
        reference=("clean", 100 * curve.clean),
    )
    return panels_figure([panel])
