"""Accuracy at few cells, and how many are saved by feedback, trellises, and a map of the weak cells."""

from collections.abc import Mapping, Sequence

from qtaml.laboratory import Laboratory, cells_needed
from qtaml.laboratory.cells_needed import EVERYTHING, NEAR_LIMIT, Row
from reproduction.experiment import Experiment

BUDGETS: Mapping[str, Sequence[float]] = {
    "SmallCNN": (0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2),
    "WideCNN": (0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2),
    "DeepCNN": (0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2),
    "ResCNN": (0.14, 0.18, 0.22, 0.26, 0.3),
    "Transformer": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6),
}
"""Budgets of each network, from where none keeps its accuracy."""


def compute(
    laboratory: Laboratory,
    *,
    budgets: Mapping[str, Sequence[float]] = BUDGETS,
    methods: Sequence[str] = (EVERYTHING, *NEAR_LIMIT),
) -> tuple[Row, ...]:
    """As `cells_needed.compute`, for budgets of each network.

    Args:
        laboratory: where to measure.
        budgets: by network, ascending.
        methods: as there.

    Returns:
        Its rows.

    Source:
        theory.md 6.8, 6.9 and 6.12.
    """
    return tuple(
        row
        for network, cells in budgets.items()
        for row in cells_needed.compute(laboratory, networks=(network,), cells=cells, methods=methods)
    )


NEAR = Experiment(
    "Few cells: feedback, trellises, and weak cells that the writer knows",
    compute,
    cells_needed.table,
    cells_needed.draw,
)
