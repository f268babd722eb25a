"""Escape through traps, against theory.md 4."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtaml.device import Cell, Rectangular, Traps, emptied_depth, insulator, log_chain_rate, log_two_step_rate
from qtaml.errors import ArgumentError

RATES = [  # thickness in nm; direct, one trap, two traps, per second
    (5.0, ("3e-13", "0.8", "1e4")),
    (6.0, ("2e-18", "2e-3", "2e2")),
    (7.0, ("1.5e-23", "6e-6", "4")),
    (8.0, ("1e-28", "1.7e-8", "0.075")),
    (10.0, ("6.5e-39", "1e-13", "3e-5")),
]


@pytest.mark.parametrize(("thickness", "printed"), RATES)
def test_rates_through_silicon_dioxide(thickness, printed, check_printed):
    """Direct tunnelling and chains of one and two traps at nu = 1e13."""
    action = Rectangular(3.15, thickness, 0.42).action()
    for traps, text in enumerate(printed):
        check_printed(np.exp(log_chain_rate(action, traps, 1e13)), text)


@given(st.floats(1.0, 3000.0), st.floats(0.05, 0.95))
def test_the_best_trap_lies_in_the_middle(action, share):
    """R is largest at T1 = T2, where it is half of nu sqrt(T)."""
    anywhere = float(log_two_step_rate(share * action, (1 - share) * action, 1e13))
    middle = float(log_two_step_rate(action / 2, action / 2, 1e13))
    assert anywhere <= middle + 1e-9
    assert middle == pytest.approx(float(log_chain_rate(action, 1, 1e13)), rel=1e-13, abs=1e-12)


def test_rate_of_a_cell_is_the_slower_of_capture_and_emission():
    """Electrons pass the trap one at a time: 1/R = 1/(N nu T1) + 1/(nu_t T2)."""
    barrier, traps = Rectangular(3.15, 6.0, 0.42), Traps(1.0, position=0.3, emission_frequency=3e12)
    before, whole = float(barrier.actions(share=0.3)), barrier.action()
    capture, emission = 100 * 1e13 * np.exp(-before), 3e12 * np.exp(before - whole)
    rate = np.exp(float(traps.log_rate(barrier, 100, 1e13, 0.0)))
    assert rate == pytest.approx(1 / (1 / capture + 1 / emission), rel=1e-12)


def test_one_electron_gives_the_rate_of_a_trap():
    """With N = 1 and equal frequencies the rate of a cell is the two-step rate."""
    barrier = Rectangular(3.15, 5.0, 0.42)
    expected = log_two_step_rate(barrier.action() / 2, barrier.action() / 2, 1e13)
    assert float(Traps(1.0).log_rate(barrier, 1, 1e13, 0.0)) == pytest.approx(float(expected), rel=1e-13)


def test_lattice_relaxation_is_arrhenius():
    """exp(-E_a/kT) between 300 and 400 K."""
    barrier, traps = Rectangular(3.15, 6.0, 0.42), Traps(1.0, activation_energy=0.6)
    cold, hot = (float(traps.log_rate(barrier, 60, 1e13, kelvin)) for kelvin in (300.0, 400.0))
    assert hot - cold == pytest.approx(0.6 / 8.617333e-5 * (1 / 300 - 1 / 400), rel=1e-6)


@given(st.floats(0.0, 5.0))
def test_numbers_of_traps_are_poisson(expected):
    """The shares sum to 1 and have the wanted mean."""
    numbers, logs = Traps(expected).counts()
    assert np.exp(logs).sum() == pytest.approx(1.0, rel=1e-12)
    assert np.exp(logs) @ np.array(numbers) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_p_of_a_cell_with_traps_is_the_mixture():
    """Against a Monte Carlo of 40000 cells with a fixed seed: |z| < 4, which a bias of 2 % of p would exceed."""
    cell = Cell(Rectangular(3.15, 0.7, 0.42), 20, 5, 1e13, traps=Traps(0.7, position=0.4))
    window, cells = 8e-11, 40_000
    generator = np.random.default_rng(11)
    rate = np.exp(float(cell.traps.log_rate(cell.barrier, 20, 1e13, 0.0)))
    direct = generator.binomial(20, cell.escape_probability(window), size=cells)
    through = generator.poisson(rate * window * generator.poisson(0.7, size=cells))
    lost, p = ((direct + through) > 5).mean(), cell.flip_probability(window)
    assert 0.05 < p < 0.95
    assert abs(lost - p) < 4 * np.sqrt(p * (1 - p) / cells)


def test_traps_only_add():
    """More traps never lower p, and none leave it as it was."""
    plain = Cell(Rectangular(3.15, 7.0, 0.42), 60, 18, 1e13)
    windows = np.logspace(0, 9, 19)
    trapped = [replace(plain, traps=Traps(expected)) for expected in (0.0, 0.01, 0.1, 1.0)]
    logs = [cell.log_flip_probability(windows) for cell in trapped]
    assert logs[0] == pytest.approx(plain.log_flip_probability(windows), rel=1e-13)
    assert (np.diff(np.array(logs), axis=0) >= 0).all()


def test_a_cell_that_waits_for_a_rare_trap_has_a_plateau():
    """Between the two channels p is the share of cells with a trap, 1 - exp(-0.2)."""
    cell = Cell(Rectangular(3.15, 7.0, 0.42), 60, 18, 1e13, traps=Traps(0.2))
    assert cell.flip_probability(1e10) == pytest.approx(1 - np.exp(-0.2), rel=1e-6)


def test_retention_front_of_a_nitride(check_printed):
    """About 0.3 nm for each decade of time (trap depth 1.3 eV, mass 0.4), and nothing before the oxide lets go."""
    per_nm = Rectangular(1.3, 1.0, 0.4).action()
    oxide = 2.0 * insulator("sio2").action_per_nm
    depths = emptied_depth(np.array([1e-12, 1e7, 1e8]), per_nm, oxide, 1e13)
    assert depths[0] == 0.0
    check_printed(depths[2] - depths[1], "0.3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"expected": -1.0}, "expected must be at least 0, got -1.0"),
        ({"position": 0.0}, "position must be above 0 and below 1, got 0.0"),
        ({"activation_energy": -0.3}, "activation_energy must be at least 0, got -0.3"),
        ({"emission_frequency": 0.0}, "emission_frequency must be above 0, got 0.0"),
    ],
)
def test_impossible_traps_are_refused(arguments, message):
    """The message names the argument and its value."""
    with pytest.raises(ArgumentError, match=message):
        Traps(**({"expected": 0.1} | arguments))


def test_chain_of_a_negative_number_of_traps_is_refused():
    """The message says what is allowed."""
    with pytest.raises(ArgumentError, match="traps must be a whole number of at least 0, got -1"):
        log_chain_rate(50.0, -1, 1e13)
