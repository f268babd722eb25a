"""A sweep over thickness and time."""

import numpy as np
import pytest

from qtaml.device import Cell, Rectangular, sweep
from qtaml.errors import ArgumentError

YEAR = 365.25 * 86400
CELL = Cell(Rectangular(3.15, 2.0, 0.42), 200, 100, 1e13, temperature=300.0)


def test_wide_sweep_is_monotone_from_saturation_to_far_below_underflow():
    """0.5 to 10 nm and 1 ns to 10 years, 100 x 100: ln p from 0 to below -700, in one call."""
    thickness, window = np.linspace(0.5, 10.0, 100), np.geomspace(1e-9, 10 * YEAR, 100)
    logs = sweep(CELL, thickness, window)
    assert logs.shape == (100, 100)
    assert (np.diff(logs, axis=0) <= 0).all()
    assert (np.diff(logs, axis=1) >= 0).all()
    assert logs[0, -1] == 0.0
    assert logs[-1, 0] < np.log(1e-300)


def test_entries_are_those_of_the_single_cells():
    """Row by thickness, column by window."""
    logs = sweep(CELL, [2.0, 2.6], [1e-3, 1.0])
    assert logs[1, 1] == pytest.approx(CELL.thickened(0.6).log_flip_probability(1.0), rel=1e-12)


def test_impossible_sweeps_are_refused():
    """The message names the axis."""
    with pytest.raises(ArgumentError, match=r"thickness must be above 0 and finite, got -1\.0"):
        sweep(CELL, [2.0, -1.0], [1.0])
    with pytest.raises(ArgumentError, match=r"window must be above 0 and finite, got 0\.0"):
        sweep(CELL, [2.0], [0.0])
