"""Fault models of equal mean rate."""

import pytest

from qtaml.laboratory.cases import Case
from qtaml.planning import Tac
from reproduction import other_faults

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

FAULTS = ("top bits more often", "low bits more often", "clusters of 4")


@pytest.fixture(scope="module")
def rows(laboratory):
    """Three fault models, without the one planned for."""
    return other_faults.compute(laboratory, faults=FAULTS)


@pytest.mark.parametrize("name", other_faults.FAULTS)
def test_every_fault_model_fails_as_often_on_average(name):
    """The mean over bit positions and stored values is the p that is planned for."""
    rates = other_faults.FAULTS[name].rates(8)
    assert sum(rates.p01 + rates.p10) / 16 == pytest.approx(0.1, rel=1e-12)


def test_each_fault_model_has_a_row_for_each_method(rows):
    """At its price, with its mean rate."""
    assert [row.fault for row in rows] == [fault for fault in FAULTS for _ in range(3)]
    assert [row.method for row in rows] == ["TAC", "Uniform-MSP 12.5%", "Uniform-MSP 25%"] * 3
    assert [row.overhead for row in rows[:3]] == pytest.approx([0.05, 0.125, 0.25], abs=1e-4)
    assert all(row.mean_rate == pytest.approx(0.1) for row in rows)


def test_differences_are_those_of_accuracies(rows, laboratory):
    """TAC is ahead of itself by nothing; changes are from the same plan under the faults planned for."""
    (planned,) = laboratory.measure([Case("SmallCNN", Tac(p=0.1, overhead=0.05))])
    for tac, *others in (rows[0:3], rows[3:6], rows[6:9]):
        assert (tac.tac_ahead.value, tac.tac_ahead.low, tac.tac_ahead.high) == (0, 0, 0)
        assert tac.change.value == pytest.approx(tac.accuracy.value - planned.estimate.value)
        for other in others:
            assert other.tac_ahead.value == pytest.approx(tac.accuracy.value - other.accuracy.value)
            assert other.tac_ahead.low <= other.tac_ahead.value <= other.tac_ahead.high


def test_the_faults_planned_for_change_nothing(laboratory):
    """Where they are asked for, every change is 0."""
    rows = other_faults.compute(laboratory, faults=("uniform, as planned",))
    assert [(row.change.value, row.change.low, row.change.high) for row in rows] == [(0, 0, 0)] * 3


def test_table_and_picture_show_every_row(rows):
    """A line of the table for each fault model; a marker for each method, and two differences."""
    assert other_faults.table(rows).row_count == 3
    accuracies, differences = other_faults.draw(rows).axes
    assert [len(axes.containers) for axes in (accuracies, differences)] == [3, 2]
    assert [label.get_text() for label in accuracies.get_xticklabels()] == list(FAULTS)
