"""Tables 1 and 8: predicted and measured ratio of errors."""

import pytest

from reproduction import saturation

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.fixture(scope="module")
def rows(laboratory):
    """One network at an overhead with and one without Uniform-MSP."""
    return saturation.compute(laboratory, networks=("SmallCNN",), overheads=(0.05, 0.25))


def test_ratios_are_in_their_order(rows):
    """rho* <= rho <= whole bits; only the exact and the greedy allocation may be above the split one."""
    assert len(rows) == 6
    for row in rows:
        assert row.geometric_score.value == pytest.approx(row.mean_score.value * row.saturation_ratio.value)
        assert row.saturation_ratio.value <= row.ratio.value * (1 + 1e-9)
        assert row.correction.value >= 1 - 1e-9
        assert row.whole.value == pytest.approx(row.ratio.value * row.correction.value)
        assert row.predicted.value == pytest.approx(row.saturation_ratio.value * row.correction.value)
    for overhead in (0.05, 0.25):
        split, integer, greedy = (row.whole.value for row in rows if row.overhead == overhead)
        assert split <= integer * (1 + 1e-6) <= greedy * (1 + 2e-6)


def test_it_is_measured_where_uniform_msp_exists(rows):
    """At 5 per cent there is no whole number of bits; at 25 split TAC makes less error where few bits are wrong."""
    for row in rows:
        there = row.overhead == 0.25 and row.allocation != "integer"
        assert [one is not None for one in (row.measured, row.measured_small_p, row.measured_corrected)] == [there] * 3
    (split,) = [row for row in rows if (row.overhead, row.allocation) == (0.25, "split")]
    assert 0 < split.measured_small_p.value < 1


def test_both_tables_show_the_rows(rows):
    """Table 1 has two allocations, table 8 three."""
    assert (saturation.table1(rows).row_count, saturation.table8(rows).row_count) == (4, 6)
