"""Accuracy at few cells: how many are saved by trellises, entropy-coded blocks, and a map of the weak cells."""

from collections.abc import Mapping, Sequence

from qtaml.laboratory import Laboratory, cells_needed
from qtaml.laboratory.cells_needed import (
    EVERYTHING,
    FED_KNOWN_CELLS,
    FED_STREAMS,
    FED_VOTES_AND_TRELLISES,
    KNOWN_CELLS,
    STREAMS,
    VOTES_AND_TRELLISES,
    Row,
)
from reproduction.experiment import Experiment

STUDIES: Mapping[str, Mapping[str, Sequence[float]]] = {
    # Methods in one order: the legend of the picture is that of one panel.
    "SmallCNN": {
        STREAMS: (0.1, 0.11, 0.12, 0.14),
        VOTES_AND_TRELLISES: (0.14, 0.16, 0.18, 0.2, 0.22),
        EVERYTHING: (0.14, 0.16, 0.18),
        KNOWN_CELLS: (0.08, 0.1, 0.12),
        FED_STREAMS: (0.07, 0.08, 0.09, 0.1),
        FED_VOTES_AND_TRELLISES: (0.14, 0.17, 0.2),
    },
    "Transformer": {
        STREAMS: (0.38, 0.42, 0.46, 0.48),
        VOTES_AND_TRELLISES: (0.85, 1.0, 1.2, 1.3),
        EVERYTHING: (0.42, 0.5, 0.55),
        KNOWN_CELLS: (0.36, 0.4, 0.44),
        FED_STREAMS: (0.3, 0.34, 0.38),
        FED_VOTES_AND_TRELLISES: (0.7, 0.85, 1.0),
        FED_KNOWN_CELLS: (0.24, 0.26, 0.28),
    },
    "WideCNN": {
        STREAMS: (0.04, 0.06, 0.08, 0.1),
        VOTES_AND_TRELLISES: (0.12, 0.16, 0.2),
        EVERYTHING: (0.1, 0.12, 0.16),
        KNOWN_CELLS: (0.04, 0.06),
        FED_STREAMS: (0.05, 0.06, 0.07),
        FED_VOTES_AND_TRELLISES: (0.09, 0.11, 0.14),
    },
    "DeepCNN": {
        STREAMS: (0.12, 0.14, 0.16),
        VOTES_AND_TRELLISES: (0.24, 0.28, 0.3, 0.32),
        EVERYTHING: (0.12, 0.16, 0.2),
        KNOWN_CELLS: (0.1, 0.12),
        FED_STREAMS: (0.1, 0.11, 0.12),
        FED_VOTES_AND_TRELLISES: (0.18, 0.22, 0.26),
    },
    "ResCNN": {
        STREAMS: (0.18, 0.2, 0.22),
        VOTES_AND_TRELLISES: (0.35, 0.4, 0.42, 0.45),
        EVERYTHING: (0.22, 0.26, 0.3),
        KNOWN_CELLS: (0.14, 0.18),
        FED_STREAMS: (0.15, 0.165, 0.18),
        FED_VOTES_AND_TRELLISES: (0.26, 0.3, 0.36),
    },
}
"""Budgets of each method for each network, from below where it keeps 95% of its accuracy."""


def compute(
    laboratory: Laboratory, *, studies: Mapping[str, Mapping[str, Sequence[float]]] = STUDIES
) -> tuple[Row, ...]:
    """As `cells_needed.compute`, for budgets of each network and method.

    Args:
        laboratory: where to measure.
        studies: budgets, ascending, of each method for each network.

    Returns:
        Its rows.

    Source:
        theory.md 6.8, 6.9 and 6.13.
    """
    return tuple(
        row
        for network, methods in studies.items()
        for method, cells in methods.items()
        for row in cells_needed.compute(laboratory, networks=(network,), cells=cells, methods=(method,))
    )


NEAR = Experiment(
    "Few cells: trellises, entropy-coded blocks, and weak cells that the writer knows",
    compute,
    cells_needed.table,
    cells_needed.draw,
)
