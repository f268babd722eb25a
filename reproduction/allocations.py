"""Which tensors of a small network matter, and what protection each gets at each budget (figure 3 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from qtaml._tables import captioned_table
from qtaml.laboratory.cases import Case
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate, positive_interval
from qtaml.networks import NETWORKS
from qtaml.showing import Curve, Panel, cell, columns, panels_figure
from reproduction.experiment import Experiment, paper_tac
from reproduction.scores import network_scores, protected_bits, tensor_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NETWORK = "SmallCNN"
OVERHEADS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.125, 0.16, 0.20, 0.25, 0.30, 0.375, 0.50)


@dataclass(frozen=True)
class Row:
    """One tensor at one overhead; intervals are over the trained networks.

    Attributes:
        network: name of the network.
        tensor: name of the tensor.
        weights: number of its weights.
        squared_gain: gamma**2: mean squared output error for each unit of its summed squared weight error.
        largest_weight: ||W||_inf.
        score: gamma**2 ||W||_inf**2.
        overhead: protected share of all bits of the network.
        protected: protected bits of a weight of this tensor, mean over its weights.
    """

    network: str
    tensor: str
    weights: int
    squared_gain: Estimate
    largest_weight: Estimate
    score: Estimate
    overhead: float
    protected: Estimate


def compute(laboratory: Laboratory, *, overheads: Sequence[float] = OVERHEADS) -> tuple[Row, ...]:
    """Score the tensors and allocate protected bits.

    Args:
        laboratory: where the networks are.
        overheads: shares of a plain memory.

    Returns:
        A row for each tensor and overhead.

    Source:
        paper, section 5.3.
    """
    found = [network_scores(laboratory, NETWORK, seed) for seed in laboratory.training_seeds]
    rows = []
    for overhead in overheads:
        # The correction does not change what is protected.
        case = Case(NETWORK, paper_tac(p=NETWORKS[NETWORK].p, overhead=overhead, correction="none"))
        plans = [laboratory.plan(case, seed) for seed in laboratory.training_seeds]
        for index, name in enumerate(found[0].names):
            rows.append(
                Row(
                    NETWORK,
                    name,
                    found[0].sizes[index],
                    squared_gain=positive_interval([one.squared_gains[index] for one in found]),
                    largest_weight=positive_interval([one.full_scales[index] for one in found]),
                    score=positive_interval([one.scores[index] for one in found]),
                    overhead=overhead,
                    protected=positive_interval([protected_bits(plan.tensors[index]) for plan in plans]),
                )
            )
    return tuple(rows)


def table(rows: Sequence[Row]) -> Table:
    """Scores, and protected bits by overhead."""
    grid = captioned_table(
        title=f"Tensors of {rows[0].network}: scores, and protected bits of a weight at each overhead",
        caption="mean over trainings, scores ± half a 95% interval",
    )
    overheads = list(dict.fromkeys(row.overhead for row in rows))
    for heading in ("tensor", "weights", "gain²", "largest", "score", *(f"{one:.3g}" for one in overheads)):
        grid.add_column(heading, justify="left" if heading == "tensor" else "right", no_wrap=True)
    for own in _by_tensor(rows).values():
        first = own[0]
        scores = [cell(getattr(first, name)) for name in ("squared_gain", "largest_weight", "score")]
        grid.add_row(first.tensor, f"{first.weights:,}", *scores, *(f"{row.protected.value:.1f}" for row in own))
    return grid


def draw(rows: Sequence[Row]) -> "Figure":
    """Scores of the tensors, and their protected bits over the overhead."""
    tensors = _by_tensor(rows)
    first = [own[0] for own in tensors.values()]
    lines = [
        Curve(label, range(len(first)), *columns(getattr(row, name) for row in first), points=True)
        for label, name in (
            ("score γ²·max²", "score"),
            ("squared gain γ²", "squared_gain"),
            ("max |W|", "largest_weight"),
        )
    ]
    values = [value for line in lines for value in line.mean]
    labels = [f"{tensor_label(row.tensor)}\n{row.weights:,}" for row in first]
    scores = Panel(
        lines,
        title="What makes errors in a tensor count",
        x_label="tensor, number of weights",
        y_label="score, γ² (squared logits for one unit), max |W|",
        log_y=(min(values) / 5, max(values) * 20),
        legend="best",
        x_names=labels,
    )
    bits = Panel(
        [
            Curve(tensor_label(name), [100 * row.overhead for row in own], *columns(row.protected for row in own))
            for name, own in tensors.items()
        ],
        title="Where TAC puts the protection",
        x_label="overhead: protected share of the bits (%)",
        y_label="protected bits of a weight",
        legend="best",
    )
    order = sorted(first, key=lambda row: -row.score.value)
    ratio, names = order[0].score.value / order[-1].score.value, " > ".join(tensor_label(row.tensor) for row in order)
    return panels_figure(
        [scores, bits],
        caption=f"Scores differ by a factor of {ratio:,.0f} ({names}); tensors are protected in the order of their "
        f"scores. {rows[0].network}; bars: 95% over trainings.",
    )


FIGURE3 = Experiment("Scores of the tensors, and their protection at each budget", compute, table, draw)


def _by_tensor(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {name: [row for row in rows if row.tensor == name] for name in dict.fromkeys(row.tensor for row in rows)}
