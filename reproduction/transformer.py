"""The transformer: scores of its tensors, predicted ratio of errors, accuracy by budget (figure 6 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.console import Group
from rich.table import Table

from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate, positive_interval
from qtaml.networks import NETWORKS
from qtaml.planning import ALLOCATIONS, UniformMsp
from qtaml.showing import Curve, Panel, cell, columns, panels_figure
from reproduction.experiment import Experiment, paper_tac
from reproduction.scores import BITS, network_scores, protected_bits, tensor_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "Transformer"
OVERHEADS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.125, 0.16, 0.20, 0.25, 0.375, 0.50)
UNIFORM_BITS = (0, 1, 2, 3, 4)
SHOWN_OVERHEAD = 0.125


@dataclass(frozen=True)
class TensorRow:
    """One tensor.

    Attributes:
        tensor: its name.
        weights: number of its weights.
        score: gamma**2 ||W||_inf**2, with its interval over trainings.
        overhead: protected share of all bits of the network.
        protected: protected bits of a weight of this tensor at that overhead, mean over its weights.
        part: kind of row.
    """

    tensor: str
    weights: int
    score: Estimate
    overhead: float
    protected: Estimate
    part: Literal["tensor"] = "tensor"


@dataclass(frozen=True)
class RatioRow:
    """Predicted error of TAC over that of Uniform-MSP at one overhead; intervals are over trainings.

    Attributes:
        overhead: protected share of the bits.
        saturation_ratio: rho*, the same at every overhead.
        interior_from: overhead from which rho* holds.
        ratio: with fractional bits, by water filling.
        split: with whole bits, one tensor split.
        integer: with whole bits, exact.
        greedy: with whole bits, the paper's way.
        part: kind of row.
    """

    overhead: float
    saturation_ratio: Estimate
    interior_from: Estimate
    ratio: Estimate
    split: Estimate
    integer: Estimate
    greedy: Estimate
    part: Literal["ratio"] = "ratio"


@dataclass(frozen=True)
class AccuracyRow:
    """One method at one overhead.

    Attributes:
        method: "TAC" or "Uniform-MSP".
        overhead: overhead that its plans take.
        accuracy: mean over networks and reads, with its interval.
        clean: accuracy outside the leaking memory.
        p: flip probability.
        part: kind of row.
    """

    method: str
    overhead: float
    accuracy: Estimate
    clean: float
    p: float
    part: Literal["accuracy"] = "accuracy"


Row = TensorRow | RatioRow | AccuracyRow


def compute(
    laboratory: Laboratory,
    *,
    overheads: Sequence[float] = OVERHEADS,
    uniform_bits: Sequence[int] = UNIFORM_BITS,
    shown_overhead: float = SHOWN_OVERHEAD,
) -> tuple[Row, ...]:
    """Score, predict and measure.

    Args:
        laboratory: where to measure.
        overheads: those of TAC, as shares of a plain memory.
        uniform_bits: protected bits of Uniform-MSP.
        shown_overhead: the one at which the protection of each tensor is given.

    Returns:
        A row for each tensor, for each overhead of the predictions, and for each measured method and overhead.

    Source:
        paper, section 5.6.
    """
    return (
        *_tensors(laboratory, shown_overhead),
        *(_ratio(laboratory, overhead) for overhead in overheads),
        *_accuracies(laboratory, overheads, uniform_bits),
    )


def table(rows: Sequence[Row]) -> Table:
    """Tensors, ratios and accuracies, one below the other."""
    tensors, ratios, accuracies = _parts(rows)
    first = _grid("tensor", "weights", "score", f"protected bits at {tensors[0].overhead:.3g}")
    for one in tensors:
        first.add_row(one.tensor, f"{one.weights:,}", cell(one.score), cell(one.protected, ".2f"))
    second = _grid("overhead", "rho*", "rho*, from", "rho", *ALLOCATIONS)
    for ratio in ratios:
        values = [cell(getattr(ratio, name), ".3f") for name in ("ratio", *ALLOCATIONS)]
        interior = cell(ratio.interior_from, ".0f", 100)
        second.add_row(f"{ratio.overhead:.1%}", cell(ratio.saturation_ratio, ".3f"), f"{interior} %", *values)
    third = _grid("method", "overhead", "test accuracy (%)")
    for measured in accuracies:
        third.add_row(measured.method, f"{measured.overhead:.1%}", cell(measured.accuracy, ".1f", 100))
    grid = Table(
        title=f"{NETWORK} at p = {accuracies[0].p:g}; clean {100 * accuracies[0].clean:.1f}",
        caption="mean ± half a 95% interval over trainings (and reads)",
        title_justify="left",
        caption_justify="left",
        show_header=False,
        box=None,
    )
    grid.add_row(Group(first, second, third))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Scores, protection, predicted ratios and accuracies."""
    tensors, ratios, accuracies = _parts(rows)
    names = [tensor_label(one.tensor) for one in tensors]
    scores = Panel(
        [Curve("score", range(len(tensors)), *columns(row.score for row in tensors), points=True)],
        title="Scores of the tensors",
        x_label="tensor",
        y_label="score γ²·max² (squared logits)",
        log_y=(min(one.score.value for one in tensors) / 10, max(one.score.high for one in tensors) * 3),
        x_names=names,
    )
    protection = Panel(
        [Curve("TAC", range(len(tensors)), *columns(row.protected for row in tensors), points=True)],
        title=f"Protection at an overhead of {100 * tensors[0].overhead:g}%",
        x_label="tensor",
        y_label="protected bits of a weight",
        reference=("Uniform-MSP", BITS * tensors[0].overhead),
        limits=(-0.3, BITS + 0.3),
        legend="best",
        x_names=names,
    )
    x = [100 * one.overhead for one in ratios]
    labels = {"ratio": "fractional bits", "split": "whole bits, split", "greedy": "whole bits, greedy"}
    predicted = Panel(
        [Curve(label, x, *columns(getattr(row, name) for row in ratios)) for name, label in labels.items()],
        title="Predicted error of TAC over Uniform-MSP",
        x_label="overhead: protected share of the bits (%)",
        y_label="ratio of output errors",
        reference=("saturation ratio rho*", ratios[0].saturation_ratio.value),
        legend="best",
    )
    curves = []
    for method in dict.fromkeys(one.method for one in accuracies):
        own = [one for one in accuracies if one.method == method]
        curves.append(Curve(method, [100 * one.overhead for one in own], *columns((row.accuracy for row in own), 100)))
    measured = Panel(
        curves,
        title=f"Measured, {100 * accuracies[0].p:g}% of the bits read wrong",
        x_label="overhead: protected share of the bits (%)",
        y_label="test accuracy (%)",
        reference=("clean", 100 * accuracies[0].clean),
    )
    spread = max(one.score.value for one in tensors) / min(one.score.value for one in tensors)
    return panels_figure(
        [scores, protection, predicted, measured],
        columns=2,
        caption=f"Scores differ by a factor of {spread:,.0f}. The predicted ratio reaches "
        f"rho* = {ratios[0].saturation_ratio.value:.2f} only at overheads from {ratios[0].interior_from.value:.0%} on; "
        "whole bits cost more than fractional ones. Bars: 95% over trainings, and over reads where accuracy is "
        "measured.",
    )


FIGURE6 = Experiment("Transformer: scores, predicted ratio, accuracy by budget", compute, table, draw)


def _tensors(laboratory: Laboratory, overhead: float) -> list[TensorRow]:
    case = Case(NETWORK, paper_tac(p=NETWORKS[NETWORK].p, overhead=overhead, correction="none"))
    found = [network_scores(laboratory, NETWORK, seed) for seed in laboratory.training_seeds]
    plans = [laboratory.plan(case, seed) for seed in laboratory.training_seeds]
    return [
        TensorRow(
            name,
            found[0].sizes[index],
            overhead=overhead,
            score=positive_interval([one.scores[index] for one in found]),
            protected=positive_interval([protected_bits(plan.tensors[index]) for plan in plans]),
        )
        for index, name in enumerate(found[0].names)
    ]


def _ratio(laboratory: Laboratory, overhead: float) -> RatioRow:
    found = [network_scores(laboratory, NETWORK, seed) for seed in laboratory.training_seeds]
    whole = {
        method: positive_interval([one.ratio(overhead) * one.rounding(overhead, method) for one in found])
        for method in ALLOCATIONS
    }
    return RatioRow(
        overhead,
        positive_interval([one.saturation_ratio for one in found]),
        positive_interval([one.interior[0] for one in found]),
        positive_interval([one.ratio(overhead) for one in found]),
        whole["split"],
        whole["integer"],
        whole["greedy"],
    )


def _accuracies(laboratory: Laboratory, overheads: Sequence[float], uniform_bits: Sequence[int]) -> list[AccuracyRow]:
    p = NETWORKS[NETWORK].p
    cases = [("Uniform-MSP", Case(NETWORK, UniformMsp(p=p, protected_bits=bits))) for bits in uniform_bits]
    cases += [("TAC", Case(NETWORK, paper_tac(p=p, overhead=overhead))) for overhead in overheads]
    found = laboratory.measure([case for _, case in cases], "measuring accuracies")
    return [
        AccuracyRow(method, measured.overhead, measured.estimate, clean=measured.clean, p=p)
        for (method, _), measured in zip(cases, found, strict=True)
    ]


def _parts(rows: Sequence[Row]) -> tuple[list[TensorRow], list[RatioRow], list[AccuracyRow]]:
    return (
        [row for row in rows if isinstance(row, TensorRow)],
        [row for row in rows if isinstance(row, RatioRow)],
        [row for row in rows if isinstance(row, AccuracyRow)],
    )


def _grid(*headings: str) -> Table:
    grid = Table()
    for heading in headings:
        grid.add_column(heading, justify="left" if heading in ("tensor", "method") else "right", no_wrap=True)
    return grid
