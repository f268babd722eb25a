"""Figure 9 and table 6: three scores."""

import pytest

from reproduction import scoring
from tests.tables import shown

pytestmark = pytest.mark.long  # the transformer is trained


@pytest.fixture(scope="module")
def rows(laboratory):
    """One budget."""
    return scoring.compute(laboratory, overheads=(0.125,))


def test_every_scoring_has_its_accuracy_and_scores(rows):
    """Three scorings with two allocations; ten tensors each, of which the largest counts 1."""
    accuracies = [row for row in rows if row.part == "accuracy"]
    assert len(accuracies) == 6
    for row in accuracies:
        assert row.accuracy.low <= row.accuracy.value <= row.accuracy.high
        assert (row.behind_tac.value == 0) or row.scoring != "TAC"
    for name in ("magnitude", "sensitivity", "TAC"):
        relative = [row.relative_score.value for row in rows if row.part == "score" and row.scoring == name]
        assert len(relative) == 10
        assert max(relative) == 1
        assert min(relative) > 0


def test_costs_are_counted(laboratory):
    """For each tensor one pass of the clean outputs and eight others; or one forward and 32 backward for all."""
    costs = {row.estimator: row for row in scoring.compute_costs(laboratory, repetitions=2)}
    assert {name: (row.forward, row.backward) for name, row in costs.items()} == {
        "magnitude": (0, 0),
        "sensitivity": (90, 0),
        "Gaussian probes": (90, 0),
        "random-sign passes": (1, 32),
    }
    assert costs["magnitude"].error.value == 0
    assert all(row.error.value > 0 and row.seconds.value > 0 for name, row in costs.items() if name != "magnitude")
    assert scoring.cost_table(list(costs.values())).row_count == 4


def test_table_and_picture_are_made(rows):
    """Accuracy and scores by three scorings, differences of two, which the table names."""
    assert [len(axes.containers) for axes in scoring.draw(rows).axes] == [3, 2, 3]
    text, scorings = shown(scoring.table(rows)), {row.scoring for row in rows}
    assert {"magnitude", "sensitivity", "TAC"} <= scorings
    assert {part for name in scorings for part in (name, f"{name} score") if part not in text} == set()
    assert all(f"TAC - {name}" in text for name in scorings - {"TAC"})
