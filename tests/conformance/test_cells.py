"""What every cell promises, whatever loses its bit; a new kind of cell passes by being listed."""

from dataclasses import replace

import numpy as np
import pytest

from qtaml.device import RetentionCell, preset
from qtaml.errors import ArgumentError
from qtaml.faults import StaticCells
from tests.conformance import valid_values
from tests.device.test_storage_node import GAIN_CELL, JUNCTION, SUBTHRESHOLD
from tests.device.test_two_way_cell import CELL as TWO_WAY

CELLS: dict[str, RetentionCell] = {
    "tunnelling": preset("fg_dt_3p0"),
    "traps": replace(preset("nand_fg_7nm_trap"), electrons=10, threshold=2),
    "node": preset("gaincell_3t_16nm"),
    "several leaks": replace(GAIN_CELL, leaks=(SUBTHRESHOLD, JUNCTION)),
    "two ways": replace(TWO_WAY, charged=0.4, thickness_spread=0.05),
    "measured": valid_values.measured_cell(),
}

pytestmark = [pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS), pytest.mark.filterwarnings("ignore")]


def windows(cell):
    """Where p goes from 1e-3 to 0.05."""
    return cell.window_for(np.array([1e-3, 0.01, 0.05]))


def test_p_grows_with_the_window_and_is_found_again(cell):
    """A float for a float, an array for an array; the inverse finds the windows of each p."""
    times = windows(cell)
    assert cell.flip_probability(times) == pytest.approx([1e-3, 0.01, 0.05], rel=1e-6)
    one = cell.flip_probability(float(times[0]))
    assert type(one) is float
    assert np.exp(cell.log_flip_probability(float(times[0]))) == pytest.approx(one)


def test_rates_and_their_mean(cell):
    """p10 is p; stored inverted or not at random, a bit sees the mean; an array-wide polarity exchanges both."""
    window = float(windows(cell)[1])
    p01, p10 = cell.rates(window)
    assert p10 == pytest.approx(cell.flip_probability(window))
    assert cell.random_polarity_probability(window) == pytest.approx((p01 + p10) / 2)
    assert cell.rates(window, charged=0) == (p10, p01)


@pytest.mark.slow
def test_weak_cells_have_the_same_mean(cell):
    """Kinds of cells, and the classes that a fault model makes of them."""
    window = float(windows(cell)[1])
    p, shares = cell.kinds_of_cells(window, 4096)
    assert shares.sum() == pytest.approx(1.0)
    assert p @ shares == pytest.approx(cell.flip_probability(window), rel=0.02)
    assert np.mean(StaticCells.from_cell(cell, window).p01) == pytest.approx(cell.flip_probability(window), rel=2e-3)


def test_another_temperature_is_another_cell(cell):
    """Asked along, or of the cell at that temperature; below 0 K is refused."""
    window = float(windows(cell)[1])
    assert cell.flip_probability(window, temperature=cell.temperature) == cell.flip_probability(window)
    assert cell.at(cell.temperature) == cell
    with pytest.raises(ArgumentError, match=r"temperature must be above 0, got -40"):
        cell.flip_probability(window, temperature=-40.0)


@pytest.mark.slow
def test_no_mechanism_alone_loses_more_than_all(cell):
    """And the first of them sets p."""
    found = cell.leakage(float(windows(cell)[1]))
    assert [one.log_p for one in found.mechanisms] == sorted((one.log_p for one in found.mechanisms), reverse=True)
    assert found.mechanisms[0].log_p <= found.log_p + 1e-9
    assert found.dominant in str(found)


@pytest.mark.slow
def test_it_shows_itself(cell):
    """Parameters with units, a table for notebooks, a picture."""
    assert all(isinstance(value, str) for value in cell.parameters().values())
    assert "<table>" in cell._repr_html_()
    assert cell.plot().axes
