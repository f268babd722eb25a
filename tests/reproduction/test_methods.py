"""Methods at equal price."""

import pytest

from qtaml.laboratory.laboratory import Laboratory
from reproduction import methods

pytestmark = pytest.mark.slow  # ten methods


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """One network, few reads, one overhead at which Uniform-MSP exists and one at which it does not."""
    laboratory = Laboratory(tmp_path_factory.mktemp("laboratory"), trials=4, training_seeds=(0,), workers=1)
    return methods.compute(laboratory, overheads=(0.05, 0.125))


def at(rows, method, overhead):
    """The row of a method and an overhead."""
    (row,) = [row for row in rows if (row.method, row.overhead) == (method, overhead)]
    return row


def test_every_method_is_there_at_its_price(rows):
    """Ten methods at 12.5 per cent, nine at 5; none spends more than asked."""
    assert [sum(row.overhead == overhead for row in rows) for overhead in (0.05, 0.125)] == [9, 10]
    for row in rows:
        assert row.spent <= row.overhead + 1e-9
        assert row.accuracy.low <= row.accuracy.value <= row.accuracy.high
        assert row.behind_tac.low <= row.behind_tac.value <= row.behind_tac.high
    assert at(rows, "full TAC", 0.05).behind_tac.value == 0


def test_the_order_is_the_papers(rows):
    """Nothing is below mean correction, that below TAC; TAC is ahead of Uniform-MSP, to be sure with more reads."""
    plain, mean, tac = (at(rows, m, 0.05).accuracy.value for m in ("uncompensated", "mean correction only", "full TAC"))
    assert plain < mean < tac
    assert at(rows, "Uniform-MSP", 0.125).behind_tac.value > 0


def test_weight_scaling_is_the_uncompensated_memory(rows):
    """And better than one fixed-point range."""
    assert at(rows, "weight scaling", 0.05).accuracy.value == at(rows, "uncompensated", 0.05).accuracy.value
    assert at(rows, "fixed point", 0.05).accuracy.value < at(rows, "weight scaling", 0.05).accuracy.value


def test_differences_are_sharper_than_accuracies(rows):
    """Common random numbers: the interval of a difference to a close method is narrower than the sum of both."""
    close, tac = at(rows, "TAC, bits only", 0.125), at(rows, "full TAC", 0.125)
    alone = (close.accuracy.high - close.accuracy.low) + (tac.accuracy.high - tac.accuracy.low)
    assert close.behind_tac.high - close.behind_tac.low < alone


def test_table_and_picture_show_every_row(rows):
    """A curve for each method, two that store the same being one, and a row for each method."""
    (axes,) = methods.draw(rows).axes
    assert len(axes.containers) == 9
    assert methods.table(rows).row_count == 10
