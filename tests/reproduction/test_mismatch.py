"""Plans read at another flip probability than they were made for."""

import pytest

from qtaml.faults import Uniform
from qtaml.laboratory.cases import Case
from qtaml.planning import Tac, UniformMsp
from reproduction import mismatch

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.fixture(scope="module")
def rows(laboratory):
    """Two flip probabilities, far from each other."""
    return mismatch.compute(laboratory, probabilities=(0.02, 0.2))


def test_every_pair_has_a_row(rows):
    """Four of TAC, and two of Uniform-MSP, which is planned for none."""
    pairs = [(row.method, row.p_calibrated, row.p_deployed) for row in rows]
    tac = [("TAC", calibrated, deployed) for calibrated in (0.02, 0.2) for deployed in (0.02, 0.2)]
    assert pairs == [*tac, ("Uniform-MSP 25%", None, 0.02), ("Uniform-MSP 25%", None, 0.2)]
    assert [row.overhead for row in rows] == pytest.approx([0.05] * 4 + [0.25] * 2, abs=1e-4)


def test_a_plan_is_read_at_the_other_probability(rows, laboratory):
    """The row off the diagonal is that plan, read there; it is not the one planned for that."""
    case = Case("SmallCNN", Tac(p=0.02, overhead=0.05), Uniform(0.2))
    (measured,) = laboratory.measure([case])
    assert rows[1].accuracy.value == measured.estimate.value
    assert rows[1].accuracy.value not in (rows[0].accuracy.value, rows[3].accuracy.value)


def test_uniform_msp_stores_the_same_whatever_is_planned_for(laboratory):
    """So that one row for each flip probability read at says all."""
    cases = [Case("SmallCNN", UniformMsp(p=p, protected_bits=2), Uniform(0.2)) for p in (0.02, 0.2)]
    one, other = laboratory.measure(cases)
    assert (one.values == other.values).all()


def test_differences_are_from_uniform_msp_read_alike(rows):
    """Nothing for itself."""
    uniform = {row.p_deployed: row.accuracy.value for row in rows[4:]}
    for row in rows:
        assert row.ahead.value == pytest.approx(row.accuracy.value - uniform[row.p_deployed])
        assert row.ahead.low <= row.ahead.value <= row.ahead.high
    assert [(row.ahead.low, row.ahead.high) for row in rows[4:]] == [(0, 0)] * 2


def test_the_worst_plan_is_the_least_accurate(rows):
    """One for each flip probability read at."""
    worst = mismatch.worst_calibration(rows)
    assert [row.p_deployed for row in worst] == [0.02, 0.2]
    assert [row.accuracy.value for row in worst] == [
        min(rows[0].accuracy.value, rows[2].accuracy.value),
        min(rows[1].accuracy.value, rows[3].accuracy.value),
    ]


def test_table_and_picture_show_every_row(rows):
    """A field with its number for each pair, three curves, and a line for each plan, Uniform-MSP and the worst."""
    assert mismatch.table(rows).row_count == 4
    fields, colors, curves = mismatch.draw(rows).axes
    assert len(fields.texts) == 4
    assert fields.texts[1].get_text().startswith(f"{100 * rows[1].accuracy.value:.1f}\n±")
    assert fields.images[0].get_array().tolist() == [
        [100 * row.accuracy.value for row in rows[:2]],
        [100 * row.accuracy.value for row in rows[2:4]],
    ]
    assert len(curves.containers) == 3
    assert colors.get_ylabel() == "test accuracy (%)"
