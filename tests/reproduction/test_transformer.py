"""Figure 6: the transformer."""

import pytest

from reproduction import transformer
from tests.tables import shown

pytestmark = pytest.mark.slow  # the transformer is trained


@pytest.fixture(scope="module")
def rows(laboratory):
    """Three budgets of TAC, two of Uniform-MSP."""
    return transformer.compute(laboratory, overheads=(0.01, 0.3, 0.5), uniform_bits=(0, 4), shown_overhead=0.125)


def test_all_parts_are_there(rows):
    """Ten tensors, a ratio for each budget, an accuracy for each budget and method."""
    parts = [row.part for row in rows]
    assert [parts.count(part) for part in ("tensor", "ratio", "accuracy")] == [10, 3, 5]
    tensors = [row for row in rows if row.part == "tensor"]
    spent = sum(row.protected.value * row.weights for row in tensors) / 8 / sum(row.weights for row in tensors)
    assert spent == pytest.approx(0.125, abs=1e-4)


def test_the_saturation_ratio_holds_inside_its_range_only(rows):
    """It is the least ratio of all budgets; whole bits cost more than fractional ones."""
    for row in rows:
        if row.part == "ratio":
            inside = row.overhead >= row.interior_from.value
            assert (row.ratio.value == pytest.approx(row.saturation_ratio.value)) == inside
            assert row.saturation_ratio.value <= row.ratio.value * (1 + 1e-9) <= row.split.value * (1 + 2e-9)
            assert row.split.value <= row.integer.value * (1 + 1e-6) <= row.greedy.value * (1 + 2e-6)


def test_protection_restores_the_accuracy(rows):
    """Half of the bits protected is as good as clean; unprotected is far from it."""
    accuracies = [row for row in rows if row.part == "accuracy"]
    for row in accuracies:
        if row.overhead == pytest.approx(0.5):
            assert row.accuracy.value > row.clean - 0.02
    (unprotected,) = [row for row in accuracies if row.overhead == 0]
    assert unprotected.accuracy.value < unprotected.clean - 0.2


def test_table_and_picture_are_made(rows):
    """Four panels; three tables in one, which name every tensor, method and way to allocate."""
    assert [len(axes.containers) for axes in transformer.draw(rows).axes] == [1, 1, 3, 2]
    text = shown(transformer.table(rows))
    tensors = {row.tensor for row in rows if row.part == "tensor"}
    methods = {row.method for row in rows if row.part == "accuracy"}
    assert (len(tensors), len(methods)) == (10, 2)
    assert {name for name in {*tensors, *methods, "split", "integer", "greedy"} if name not in text} == set()
