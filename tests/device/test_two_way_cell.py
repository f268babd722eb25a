"""Cells that lose and gain electrons, against enumeration of their places and simulation."""

from dataclasses import replace

import numpy as np
import pytest
import scipy

from qtaml.device import Cell, Electrode, TunnelJunction, TwoWayCell, insulator
from qtaml.errors import ArgumentError

JUNCTION = TunnelJunction(Electrode("TiN"), Electrode("n+ Si"), insulator("sio2"), 2.0)
CELL = TwoWayCell(JUNCTION, 20, 9, 1e13, charged=0.06, empty=-0.02)


def test_places_that_change_both_ways():
    """The occupation of a place from its two-state Markov chain, the count from the binomial law."""
    window = 3e-2
    for level, way, threshold, found in zip((0.06, -0.02), (0, 1), (9, 10), CELL.rates(window)[::-1], strict=True):
        out, into = np.exp(JUNCTION.log_rates(level, 300.0, 1e13))
        chain = scipy.linalg.expm(window * np.array([[-out, out], [into, -into]]))
        changed = chain[way, 1 - way]
        assert found == pytest.approx(scipy.stats.binom.sf(threshold, 20, changed), rel=1e-9)


def test_opposite_levels_of_equal_electrodes_are_the_papers_symmetric_memory():
    """With an odd number of electrons both kinds of cells lose the same share; so the mean is either."""
    same = TunnelJunction(Electrode(4.7), Electrode(4.7), insulator("sio2"), 2.0)
    cell = TwoWayCell(same, 201, 100, 1e13, charged=0.4, empty=-0.4, thickness_spread=0.05)
    window = cell.window_for(0.1)
    p01, p10 = cell.rates(window)
    assert p01 == pytest.approx(0.1, rel=1e-9) == p10
    assert cell.random_polarity_probability(window) == pytest.approx(0.1, rel=1e-9)
    assert cell.rates(window, charged=0) == (p10, p01)


@pytest.mark.slow
def test_far_from_equilibrium_it_is_a_cell_that_only_loses():
    """With its barrier at the upper level; exp(-0.5 eV/kT) is 4e-9."""
    cell = TwoWayCell(JUNCTION, 200, 100, 1e13, charged=0.5, empty=0.0, thickness_spread=0.05)
    forward = Cell(JUNCTION.barrier(0.5), 200, 100, 1e13, temperature=300.0, thickness_spread=0.05)
    for p in (1e-30, 1e-3, 0.4):
        window = forward.window_for(p)
        assert cell.log_flip_probability(window) == pytest.approx(np.log(p), rel=1e-6)


def test_work_functions_make_zeros_or_ones_the_weaker():
    """A floating node behind a gate of larger work function loses its electrons, and gains none."""
    rates = []
    for gate in (4.3, 4.7, 5.1):
        between = TunnelJunction(Electrode(4.7), Electrode(gate), insulator("sio2"), 2.0)
        shift = between.neutral_level
        cell = TwoWayCell(between, 201, 100, 1e13, charged=0.3 + shift, empty=-0.3 + shift, thickness_spread=0.05)
        rates.append(cell.rates(1e-3))
    (gains, keeps), (one, other), (kept, lost) = rates
    assert gains > one > kept
    assert lost > other > keeps
    assert one == pytest.approx(other, rel=1e-9)


def test_larger_cells_have_less_spread():
    """Electrons and threshold by the area, spread by its square root."""
    larger = replace(CELL, thickness_spread=0.05).enlarged(4.0)
    assert (larger.electrons, larger.threshold, larger.thickness_spread) == (80, 36, 0.025)


def test_wrong_arguments():
    """Named with their values, also a p to which a cell never comes: 0.25 eV below the gate it keeps its electrons."""
    with pytest.raises(ArgumentError, match=r"p must be one that the cell reaches, which goes to .*, got 0\.1"):
        replace(CELL, charged=-0.25).window_for(0.1)
    with pytest.raises(ArgumentError, match=r"temperature must be above 0, got -40\.0"):
        replace(CELL, temperature=-40.0)
    with pytest.raises(ArgumentError, match=r"threshold must be below the 20 electrons"):
        replace(CELL, threshold=20)
    with pytest.raises(ArgumentError, match=r"exit must be finite|entry must be above 0|level must be finite"):
        replace(CELL, charged=float("inf"))
