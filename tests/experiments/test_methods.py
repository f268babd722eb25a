"""Methods at equal price."""

import pytest

import qtaml
from qtaml.experiments import methods


@pytest.fixture(scope="module")
def comparison():
    """One network, few reads, one overhead at which Uniform-MSP exists and one at which it does not."""
    return methods.compute(overheads=(0.05, 0.125), trials=4, training_seeds=(0,))


def at(comparison, method, overhead):
    """The row of a method and an overhead."""
    (row,) = [row for row in comparison.rows if (row.method, row.overhead) == (method, overhead)]
    return row


def test_every_method_is_there_at_its_price(comparison):
    """Eight methods at 12.5 per cent, seven at 5; none spends more than asked."""
    assert [sum(row.overhead == overhead for row in comparison.rows) for overhead in (0.05, 0.125)] == [7, 8]
    for row in comparison.rows:
        assert row.spent <= row.overhead + 1e-9
        assert row.accuracy_low <= row.accuracy <= row.accuracy_high
        assert row.behind_tac_low <= row.behind_tac <= row.behind_tac_high
    assert at(comparison, "full TAC", 0.05).behind_tac == 0


def test_the_order_is_the_papers(comparison):
    """Nothing is below mean correction, that below TAC; TAC is ahead of Uniform-MSP beyond the interval."""
    plain, mean, tac = (at(comparison, m, 0.05).accuracy for m in ("uncompensated", "mean correction only", "full TAC"))
    assert plain < mean < tac
    assert at(comparison, "Uniform-MSP", 0.125).behind_tac_low > 0


def test_differences_are_sharper_than_accuracies(comparison):
    """Common random numbers: the interval of a difference to a close method is narrower than the sum of both."""
    close, tac = at(comparison, "TAC, bits only", 0.125), at(comparison, "full TAC", 0.125)
    alone = (close.accuracy_high - close.accuracy_low) + (tac.accuracy_high - tac.accuracy_low)
    assert close.behind_tac_high - close.behind_tac_low < alone


def test_table_and_picture_show_every_row(comparison):
    """A curve for each method, and a cell for each row."""
    (axes,) = methods.draw(comparison).axes
    assert len(axes.containers) == 8
    assert methods.table(comparison).row_count == 8


def test_unknown_networks_are_refused():
    """The message lists the known ones."""
    with pytest.raises(qtaml.ArgumentError, match="network must be one of 'SmallCNN'"):
        methods.compute(network="BigCNN")
