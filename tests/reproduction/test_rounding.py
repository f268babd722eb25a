"""Table 7: whole bits over random networks."""

import pytest

from qtaml.theory import ROUNDING_BOUND
from reproduction import rounding

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.fixture(scope="module")
def rows(laboratory):
    """Few networks of few tensors."""
    return rounding.compute(laboratory, tensors=(2, 6), networks=10, integer_networks=10)


def test_split_keeps_the_bound_and_is_the_best(rows):
    """Of the same networks, network by network and so on average."""
    mean = {(row.allocation, row.equal_sizes, row.tensors): row.mean.value for row in rows}
    assert len(rows) == len(mean) == 8
    for row in rows:
        assert 1 <= row.mean.low < row.mean.value < row.mean.high
        assert row.mean.value <= row.worst
        if row.allocation == "split":
            assert row.worst <= row.bound == ROUNDING_BOUND
    for tensors in (2, 6):
        split, integer, greedy = (mean[name, False, tensors] for name in ("split", "integer", "greedy"))
        assert split <= integer * (1 + 1e-6) <= greedy * (1 + 2e-6)


def test_the_table_has_a_line_for_each_number_of_tensors(rows):
    """And a column for each allocation."""
    grid = rounding.table(rows)
    assert (grid.row_count, len(grid.columns)) == (2, 5)
