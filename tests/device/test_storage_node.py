"""Retention of storage nodes against quadrature, differential equations and simulation."""

from dataclasses import replace

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from scipy.constants import e

from qtaml.device import (
    Cell,
    Electrode,
    GateInduced,
    GateTunnelling,
    JunctionLeakage,
    StorageNode,
    Subthreshold,
    TunnelJunction,
    insulator,
    lognormal_flip_probability,
    preset,
)
from qtaml.errors import ArgumentError
from qtaml.faults import StaticCells

SAME = TunnelJunction(Electrode("n+ Si"), Electrode("n+ Si"), insulator("sio2"), 1.8)
SUBTHRESHOLD = Subthreshold(1e-7, 0.55, 0.07, threshold_spread=0.05)
JUNCTION = JunctionLeakage(1e-14, at=0.6)
TUNNELLING = GateTunnelling(SAME, 1e-15, 2e13, thickness_spread=0.05)
GAIN_CELL = StorageNode(1e-15, 0.6, 0.3, (SUBTHRESHOLD,))
SIGMA = float(np.log(10)) * 50 / 70


def test_retention_is_lognormal_where_a_threshold_spread_dominates():
    """Sigma is ln 10 sigma_VT/swing (1.64) at every p, down to the far tail; counting 1,872 electrons adds 1e-4."""
    sigma = np.sqrt(SIGMA**2 + 1 / GAIN_CELL.electrons)
    median = GAIN_CELL.window_for(0.5)
    for window in (1e-6, 1e-4, 1e-2, 1.0):
        expected = scipy.special.log_ndtr((np.log(window) - np.log(median)) / sigma)
        assert GAIN_CELL.log_flip_probability(window) == pytest.approx(expected, rel=2e-4)
        assert np.exp(expected) == pytest.approx(lognormal_flip_probability(window, median, sigma), rel=1e-9)


@pytest.mark.slow
@given(spread=st.floats(0.005, 0.4), score=st.floats(-35.0, 8.0))
def test_p_is_the_lognormal_law_at_any_spread_and_time(spread, score):
    """Spreads of ln t from 0.16 to 13: the logarithm of p down to 1e-268, and nothing overflows."""
    node = replace(GAIN_CELL, leaks=(replace(SUBTHRESHOLD, threshold_spread=spread),))
    sigma = np.hypot(np.log(10) * spread / 0.07, node.electrons**-0.5)
    window = float(np.exp(float(node.log_failure_time()) + score * sigma))
    # The gamma law of the electrons is not quite lognormal, which shows far out where it is a tenth of the spread.
    assert node.log_flip_probability(window) == pytest.approx(scipy.special.log_ndtr(score), rel=0.03, abs=0.01)


def test_a_gaussian_tail_of_the_leakage_is_wrong_by_a_factor_of_four():
    """A node that bears three times the mean leakage: 0.068 of the cells fail, not the 0.30 of a Gaussian tail.

    The mean and the standard deviation are those of the lognormal current, by quadrature.
    """
    moments = [
        scipy.integrate.quad(lambda z, power=power: np.exp(power * SIGMA * z - z * z / 2), -20, 20)[0]
        for power in (1, 2)
    ]
    mean, square = np.array(moments) / np.sqrt(2 * np.pi)
    nominal = float(np.exp(GAIN_CELL.log_failure_time()))
    found = GAIN_CELL.flip_probability(nominal / (3 * mean))
    gaussian = scipy.stats.norm.sf(2 * mean / np.sqrt(square - mean**2))
    assert (found, gaussian) == (pytest.approx(0.0681, abs=1e-4), pytest.approx(0.296, abs=1e-3))
    beyond = scipy.integrate.quad(scipy.stats.norm.pdf, np.log(3 * mean) / SIGMA, 20)[0]
    assert found == pytest.approx(beyond, rel=1e-3)  # counting of electrons


def test_discharge_solves_its_differential_equation():
    """C dV/dt = -I(V) with all four leaks, past the voltage where gate-induced leakage ends."""
    leaks = (SUBTHRESHOLD, JUNCTION, GateInduced(1e-13, at=0.6, gate=-0.4, oxide=1.0), TUNNELLING)
    node = StorageNode(1e-15, 0.6, 0.55, leaks, temperature=330.0)

    def slope(_, volts):
        return -sum(np.exp(leak.log_currents(np.maximum(volts, 0.01), 330.0)) for leak in leaks) / 1e-15

    def lost(_, volts):
        return volts[0] - 0.05

    lost.terminal = True
    solved = scipy.integrate.solve_ivp(slope, (0, 1.0), [0.6], events=lost, rtol=1e-10, atol=1e-14)
    assert np.exp(node.log_failure_time()) == pytest.approx(solved.t_events[0][0], rel=1e-5)


def test_self_consistent_tunnelling_of_single_electrons():
    """dN/dt = -N nu T(V(N)), electron by electron: mean and quantiles of the time to lose the margin."""
    node = StorageNode(1e-16, 0.5, 0.25, (replace(TUNNELLING, capacitance=1e-16, thickness_spread=0.0),))
    total = round(1e-16 * 0.5 / e)
    left = np.arange(total, total - node.electrons, -1)
    rates = np.array([np.exp(SAME.log_rates(-one * e / 1e-16, 300.0, 2e13)[1]) * one for one in left])
    draws = np.random.default_rng(0).exponential(1 / rates, size=(20_000, rates.size)).sum(axis=1)
    # A continuous discharge is half an electron of 156 behind, 0.4% of the time; sampling leaves 0.2%.
    assert np.exp(node.log_failure_time()) == pytest.approx(draws.mean(), rel=6e-3)
    for share in (0.02, 0.3, 0.9):
        assert node.window_for(share) == pytest.approx(np.quantile(draws, share), rel=6e-3)


def test_little_loss_is_the_papers_binomial_law():
    """Where a tenth of the charge counts as lost, the voltage hardly moves: the times of `Cell` at the mean voltage."""
    node = StorageNode(1e-15, 0.5, 0.05, (replace(TUNNELLING, thickness_spread=0.0),))
    total = round(1e-15 * 0.5 / e)
    cell = Cell(SAME.barrier(-0.475), total, node.electrons - 1, 2e13, temperature=300.0)
    for p in (1e-6, 0.1, 0.5):
        assert node.window_for(p) == pytest.approx(cell.window_for(p), rel=5e-3)


@pytest.mark.slow
def test_two_spreads_against_simulation():
    """A node whose threshold and oxide both vary: 100,000 cells; false alarms once in 10,000 tests."""
    node = StorageNode(1e-15, 0.6, 0.3, (SUBTHRESHOLD, JUNCTION, replace(TUNNELLING, thickness_spread=0.08)))
    generator = np.random.default_rng(1)
    deviates = generator.standard_normal((2, 100_000))
    times = np.exp(node.log_failure_time({0: deviates[0], 2: deviates[1]}))
    for window in (1e-5, 2e-5, 5e-5):
        share, p = (times < window).mean(), node.flip_probability(window)
        assert abs(share - p) < 3.9 * np.sqrt(p / times.size)


@pytest.mark.slow
def test_two_spreads_in_the_far_tail():
    """Against the integral, over thresholds, of the share of oxides that are thin enough; p is 7e-9 and 5e-5."""
    leaks = tuple(leak.enlarged(100.0) for leak in (SUBTHRESHOLD, JUNCTION, TUNNELLING))
    # So large that counting of electrons does not matter; with spreads as large as those of a small node.
    leaks = (replace(leaks[0], threshold_spread=0.05), leaks[1], replace(leaks[2], thickness_spread=0.05))
    node = StorageNode(1e-13, 0.6, 0.3, leaks)
    thresholds = np.linspace(-12, 12, 481)
    for window in (1e-6, 5e-6):
        low, high = np.full(thresholds.shape, -30.0), np.full(thresholds.shape, 30.0)
        for _ in range(60):
            middle = (low + high) / 2
            slow = node.log_failure_time({0: thresholds, 2: middle}) > np.log(window)
            low, high = np.where(slow, middle, low), np.where(slow, high, middle)
        inner = scipy.stats.norm.pdf(thresholds) * scipy.stats.norm.sf(low)
        expected = scipy.integrate.simpson(inner, thresholds)
        assert node.flip_probability(window) == pytest.approx(expected, rel=2e-3)
        assert expected < 1e-2


def test_larger_nodes_fail_less_by_their_spread_alone():
    """Four times the area: half the spread, so twice the score of p, at the same median."""
    larger = GAIN_CELL.enlarged(4.0)
    assert larger.window_for(0.5) == pytest.approx(GAIN_CELL.window_for(0.5), rel=1e-3)
    window = GAIN_CELL.window_for(0.05)
    assert scipy.special.ndtri(larger.flip_probability(window)) == pytest.approx(
        2 * scipy.special.ndtri(0.05), rel=2e-3
    )


def test_heat_halves_retention_every_26_kelvin_where_asked():
    """In the option that says so, at every p."""
    node = replace(GAIN_CELL, leaks=(replace(SUBTHRESHOLD, halving=26.0),))
    for p in (1e-6, 0.5):
        assert node.at(326.0).window_for(p) == pytest.approx(node.window_for(p) / 2, rel=1e-9)
    assert node.flip_probability(1e-3, temperature=326.0) == node.at(326.0).flip_probability(1e-3)


@pytest.mark.slow
def test_what_sets_p_changes_with_heat_and_thickness():
    """Tunnelling is nearly athermal: cold or thin, it takes over from the write transistor."""
    thick = replace(TUNNELLING, junction=replace(SAME, thickness=2.25))
    node = StorageNode(1e-15, 0.6, 0.3, (SUBTHRESHOLD, replace(JUNCTION, current=1e-18), thick))
    cold, hot = node.leakage(1e-3, 260.0), node.leakage(1e-3, 360.0)
    assert (cold.dominant, hot.dominant) == ("gate tunnelling", "subthreshold")
    for found in (cold, hot):
        assert max(one.log_p for one in found.mechanisms) <= found.log_p
    assert "subthreshold sets p" in str(GAIN_CELL.leakage(1e-3))


def test_leaks_that_lose_no_bit_alone_are_listed():
    """Gate-induced leakage ends at 0.4 V, junction leakage is hopelessly late: both are said, neither is a bare 0."""
    gidl = GateInduced(1e-15, at=0.6, gate=-0.4, oxide=1.0)
    node = replace(GAIN_CELL, leaks=(SUBTHRESHOLD, replace(JUNCTION, current=1e-18), gidl))
    assert node.idle == ("gate-induced",)
    rows = [line.split() for line in str(node.leakage(1e-3)).splitlines()]
    assert ["│", "gate-induced", "│", "0", "│", "never", "│"] in rows
    assert any("junction" in row and row[3].startswith("1e-") for row in rows)


def test_weak_cells_of_a_chip_stay():
    """Each cell has its retention time, so classes of cells fail always or never, and their mean is p."""
    cells = StaticCells.from_cell(GAIN_CELL, 1e-3, charged=1)
    assert np.mean(cells.p10) == pytest.approx(GAIN_CELL.flip_probability(1e-3), rel=1e-9)
    assert sum(0 < p < 1 for p in cells.p10) <= 1
    assert set(cells.p01) == {0.0}


@pytest.mark.slow
def test_a_picture_of_the_mechanisms():
    """Over time and temperature: each alone, and all."""
    found = replace(GAIN_CELL, leaks=(SUBTHRESHOLD, JUNCTION)).leakage(1e-3)
    for axes in found.plot(temperatures=(280.0, 360.0)).axes:
        assert len(axes.lines) == 3
    with pytest.raises(ArgumentError, match=r"temperatures must be a range from a lower to a higher one"):
        found.plot(temperatures=(360.0, 280.0))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaincell_3t_16nm", "gaincell_3t_28nm"])
def test_presets_of_silicon_keep_their_published_time(name):
    """The first of 2^20 bits; what thickness of SiO2 would let tunnelling take over is in the caution."""
    published, takes_over = {"gaincell_3t_16nm": (77e-6, 2.45), "gaincell_3t_28nm": (28e-6, 2.53)}[name]
    cell = preset(name)
    assert cell.window_for(2.0**-20) == pytest.approx(published, rel=0.01)
    window = cell.window_for(0.07)
    thinner, thicker = (
        replace(
            cell,
            leaks=(
                *cell.leaks,
                GateTunnelling(replace(SAME, thickness=nm), cell.capacitance, 2e13, thickness_spread=0.05),
            ),
        )
        for nm in (takes_over - 0.02, takes_over + 0.02)
    )
    assert [node.leakage(window).dominant for node in (thinner, thicker)] == ["gate tunnelling", "subthreshold"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(GAIN_CELL, margin=0.6), r"margin must be below the voltage of 0\.6 V, got 0\.6"),
        (lambda: replace(GAIN_CELL, temperature=-40.0), r"temperature must be above 0, got -40\.0"),
        (lambda: GAIN_CELL.at(-40.0), r"temperature must be above 0, got -40\.0"),
        (lambda: GAIN_CELL.flip_probability(1e-3, temperature=-40.0), r"temperature must be above 0, got -40\.0"),
        (lambda: replace(GAIN_CELL, capacitance=1e-18), r"margin must be worth at least 10 electrons"),
        (lambda: replace(GAIN_CELL, leaks=()), r"leaks must be one or more leaks"),
        (lambda: replace(GAIN_CELL, leaks=(JUNCTION, JUNCTION)), r"leaks must have different names"),
        (
            lambda: replace(GAIN_CELL, leaks=(GateInduced(1e-13, at=0.6, gate=-0.4, oxide=1.0),)),
            r"leaks must discharge the node down to its margin, got \['gate-induced'\]",
        ),
        (
            lambda: replace(GAIN_CELL, leaks=(SUBTHRESHOLD, replace(JUNCTION, log_spread=1.0), TUNNELLING)),
            r"leaks must have a spread in at most 2 of them",
        ),
        (lambda: GAIN_CELL.enlarged(0.5), r"area must be at least 1, got 0\.5"),
    ],
)
def test_wrong_arguments(make, message):
    """Named with their values."""
    with pytest.raises(ArgumentError, match=message):
        make()
