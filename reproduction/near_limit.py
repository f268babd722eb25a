"""Accuracy at few cells, and how many are saved by feedback, trellises, and a map of the weak cells."""

from collections.abc import Mapping, Sequence

from qtaml.laboratory import Laboratory, cells_needed
from qtaml.laboratory.cells_needed import EVERYTHING, FEEDBACK, KNOWN_CELLS, NEAR_LIMIT, Row
from reproduction.experiment import Experiment

STUDIES: Mapping[str, tuple[Sequence[str], Sequence[float]]] = {
    # The legend of the picture is that of the last one, which therefore has all methods, in one order.
    "Transformer": ((EVERYTHING, FEEDBACK, KNOWN_CELLS), (0.4, 0.45, 0.5)),
    "SmallCNN": ((EVERYTHING, *NEAR_LIMIT), (0.1, 0.12, 0.14, 0.16, 0.18, 0.2)),
}
"""Methods and budgets of each network, from where none keeps its accuracy. Trellises without a map take minutes each
for the transformer."""


def compute(
    laboratory: Laboratory,
    *,
    studies: Mapping[str, tuple[Sequence[str], Sequence[float]]] = STUDIES,
) -> tuple[Row, ...]:
    """As `cells_needed.compute`, for budgets of each network.

    Args:
        laboratory: where to measure.
        studies: methods, and budgets, ascending, of each network.

    Returns:
        Its rows.

    Source:
        theory.md 6.8, 6.9 and 6.12.
    """
    return tuple(
        row
        for network, (methods, cells) in studies.items()
        for row in cells_needed.compute(laboratory, networks=(network,), cells=cells, methods=methods)
    )


NEAR = Experiment(
    "Few cells: feedback, trellises, and weak cells that the writer knows",
    compute,
    cells_needed.table,
    cells_needed.draw,
)
