"""Physical protections of a bit, against theory.md 2.7."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtaml.device import (
    Cell,
    Rectangular,
    faster_refresh,
    graded_barriers,
    graded_refresh,
    larger_cells,
    preset,
    rare_thickness_step,
    refresh_intervals,
    thicker_barriers,
)
from qtaml.errors import ArgumentError

CELL = Cell(Rectangular(3.15, 2.4, 0.42), 100, 50, 1e13)
SINGLE = Cell(Rectangular(3.15, 2.4, 0.42), 1, 0, 1e13)

LARGER = [  # electrons, p of the plain cell, and p at these areas
    (20, 0.1, {2: "0.050", 3: "0.026", 4: "0.014", 6: "0.0039", 8: "0.0012"}),
    (100, 0.1, {2: "0.041", 3: "0.018", 4: "0.0080", 6: "0.0017", 8: "3.8e-4"}),
    (100, 0.05, {2: "0.012", 3: "0.0032", 4: "8.6e-4"}),
]


@pytest.mark.parametrize(("electrons", "p", "printed"), LARGER)
def test_larger_cells(electrons, p, printed, check_printed):
    """So many times the electrons at the same escape probability."""
    cell = replace(CELL, electrons=electrons, threshold=electrons // 2)
    options = larger_cells(cell, cell.window_for(p), list(printed))
    for option, (area, text) in zip(options, printed.items(), strict=True):
        assert (option.cost, option.unit) == (area, "cells")
        check_printed(option.p, text)


def test_a_triple_cell_is_slightly_better_than_three_voted_ones():
    """Repetition of three leaves 3 p^2 - 2 p^3: 0.028 and 0.00725."""
    for p, repetition in ((0.1, 0.028), (0.05, 0.00725)):
        assert 3 * p**2 - 2 * p**3 == pytest.approx(repetition, rel=1e-12)
        (triple,) = larger_cells(CELL, CELL.window_for(p), [3])
        assert 0.3 * repetition < triple.p < repetition


def test_larger_cells_fall_as_the_divergence_says():
    """The slope of ln p over the area tends to -N KL(n_th/N || p_e)."""
    window = CELL.window_for(0.01)
    escape, share = CELL.escape_probability(window), 0.5
    divergence = share * np.log(share / escape) + (1 - share) * np.log((1 - share) / (1 - escape))
    cells = (replace(CELL, electrons=100 * area, threshold=50 * area) for area in (400, 800))
    large, larger = (cell.log_flip_probability(window) for cell in cells)
    assert (larger - large) / 400 == pytest.approx(-100 * divergence, rel=1e-3)


def test_thicker_barriers_and_faster_refresh():
    """Their cost, unit and residual p are those of the changed cell and window."""
    plain, thick = thicker_barriers(CELL, 0.1, [0.0, 0.3])
    assert (plain.cost, plain.unit, plain.p) == (0.0, "nm", CELL.flip_probability(0.1))
    assert thick.p == CELL.thickened(0.3).flip_probability(0.1)
    often, fourfold = faster_refresh(CELL, 0.1, [1, 4])
    assert (often.p, fourfold.unit, fourfold.window) == (plain.p, "refreshes", 0.025)
    assert fourfold.p == CELL.flip_probability(0.025)


def test_graded_barriers_equalise_the_shares_of_the_variance():
    """4^i p_i is the same for all bits, the least significant as it was."""
    graded = graded_barriers(CELL, CELL.window_for(0.05), 8)
    assert graded[0].cost == 0.0
    assert [4**i * bit.p for i, bit in enumerate(graded)] == pytest.approx([0.05] * 8, rel=1e-8)


def test_thickness_step_in_the_rare_regime(check_printed):
    """0.118 nm of SiO2 for each bit with n_th = 0, and a quarter of it with n_th = 3."""
    check_printed(rare_thickness_step(SINGLE), "0.118")
    graded = graded_barriers(SINGLE, SINGLE.window_for(1e-7), 5)
    assert np.diff([bit.cost for bit in graded]) == pytest.approx([rare_thickness_step(SINGLE)] * 4, rel=1e-5)
    four = replace(SINGLE, electrons=1000, threshold=3)
    graded = graded_barriers(four, four.window_for(1e-20), 4)
    assert np.diff([bit.cost for bit in graded]) == pytest.approx([rare_thickness_step(SINGLE) / 4] * 3, rel=1e-3)


def test_refresh_of_single_electron_cells_halves_per_bit():
    """n_th = 0: tau_i ~ 2^-i."""
    intervals = refresh_intervals(1.0, 8, 0)
    assert intervals[1:] / intervals[:-1] == pytest.approx([0.5] * 7, rel=1e-13)


@pytest.mark.slow
@given(st.integers(2, 10), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_no_other_allocation_of_the_refreshes_is_better(bits, threshold, seed):
    """Sum 4^i tau_i^(n+1) is smallest: every random allocation with the same total is at least as bad."""
    best = refresh_intervals(1.0, bits, threshold)
    assert np.mean(1 / best) == pytest.approx(1.0, rel=1e-12)
    rates = 1 / best * np.exp(0.3 * np.random.default_rng(seed).standard_normal(bits))
    other = rates.mean() / rates
    significance = 4.0 ** np.arange(bits)
    assert significance @ best ** (threshold + 1) <= significance @ other ** (threshold + 1) * (1 + 1e-12)


def test_graded_refresh_costs_as_much_as_plain_refresh():
    """The costs average 1, and a rare-regime word becomes better."""
    window = SINGLE.window_for(1e-4)
    graded = graded_refresh(SINGLE, window, 8)
    assert np.mean([bit.cost for bit in graded]) == pytest.approx(1.0, rel=1e-12)
    variance = sum(4**i * bit.p for i, bit in enumerate(graded))
    assert variance < 0.8 * sum(4**i * 1e-4 for i in range(8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: larger_cells(CELL, 0.1, [0.5]), r"factors must be at least 1, got 0\.5"),
        (lambda: thicker_barriers(CELL, 0.1, [-3.0]), r"thickness must be above 0, got -0\.6"),
        (lambda: faster_refresh(CELL, 0.1, [0.0]), "rates must be above 0, got 0.0"),
        (lambda: faster_refresh(CELL, -0.1, [1.0]), r"window must be above 0, got -0\.1"),
        (lambda: graded_barriers(CELL, 0.1, 0), "bits must be a whole number of at least 1, got 0"),
        (lambda: refresh_intervals(1.0, 8, -1), "threshold must be a whole number of at least 0, got -1"),
    ],
)
def test_impossible_protections_are_refused(call, message):
    """The message names the argument and its value."""
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_gain_cell_of_four_times_the_area_is_hard_because_its_spread_halves():
    """P near 6e-4, against Gauss-Hermite quadrature over the thickness; with the spread of the plain cell it stays."""
    cell, window = preset("gaincell_2t_sion"), 20e-6
    (large,) = larger_cells(cell, window, [4.0])
    assert large.cell.thickness_spread == cell.thickness_spread / 2
    nodes, shares = np.polynomial.hermite_e.hermegauss(199)
    known = replace(large.cell, thickness_spread=0.0)
    p = [known.thickened(large.cell.thickness_spread * z).flip_probability(window) for z in nodes]
    assert large.p == pytest.approx(np.sum(shares * p) / np.sum(shares), rel=0.02)
    assert large.p == pytest.approx(6e-4, rel=0.05)
    same_spread = replace(large.cell, thickness_spread=cell.thickness_spread)
    assert same_spread.flip_probability(window) == pytest.approx(0.0528, rel=0.01)
