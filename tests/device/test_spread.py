"""Static cells of one chip, failure times and the lognormal law."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from qtaml.device import (
    Cell,
    Layer,
    Rectangular,
    Stack,
    Traps,
    action_per_nm,
    lognormal_flip_probability,
    lognormal_sigma,
    sample_failure_times,
    sample_thickness,
    static_flip_probabilities,
)
from qtaml.errors import ArgumentError

CELL = Cell(Rectangular(3.15, 2.5, 0.42), 200, 100, 1e13, thickness_spread=0.05, temperature=300.0)


def test_thicknesses_are_normal():
    """Kolmogorov-Smirnov at 50000 draws and a false-alarm rate of 1e-4: a shift of 1 % of the spread would show."""
    drawn = sample_thickness(CELL, 50_000, np.random.default_rng(1))
    assert stats.kstest(drawn, "norm", args=(2.5, 0.05)).pvalue > 1e-4


def test_thickness_is_never_negative():
    """A spread as wide as the barrier leaves some cells without one."""
    drawn = sample_thickness(replace(CELL, thickness_spread=2.5), 1000, np.random.default_rng(1))
    assert drawn.min() == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(("traps", "drawn"), [(None, 100_000), (Traps(0.5), 5_000)])
def test_mean_over_a_chip_is_the_averaged_p(traps, drawn):
    """Fixed seed: |z| < 4, which a bias of 5 % of p (25 % for the few cells with traps) would exceed."""
    cell = replace(CELL, traps=traps)
    window = 0.15
    p = static_flip_probabilities(cell, window, drawn, np.random.default_rng(2))
    assert p.min() >= 0.0
    assert p.max() <= 1.0
    assert abs(p.mean() - cell.flip_probability(window)) < 4 * p.std() / np.sqrt(drawn)


def test_most_cells_are_certain():
    """With 3000 electrons the spread decides which cells fail: few have a p between 1 % and 99 %."""
    cell = replace(CELL, electrons=3000, threshold=1500)
    p = static_flip_probabilities(cell, cell.window_for(0.1), 20_000, np.random.default_rng(4))
    assert ((p > 0.01) & (p < 0.99)).mean() < 0.05


def test_same_seed_same_chip():
    """And another seed another chip; the shape is kept."""
    first, again, other = (static_flip_probabilities(CELL, 0.2, (3, 5), np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.shape == (3, 5)
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.0, 0.05])
@pytest.mark.parametrize(("electrons", "threshold"), [(1, 0), (20, 10), (200, 100)])
def test_failure_times_follow_p(electrons, threshold, spread):
    """p(t) is their distribution: Kolmogorov-Smirnov at 3000 draws and a false-alarm rate of 1e-4 for each case."""
    cell = replace(CELL, electrons=electrons, threshold=threshold, thickness_spread=spread)
    times = sample_failure_times(cell, 3000, np.random.default_rng(6))
    assert stats.kstest(cell.flip_probability(times), "uniform").pvalue > 1e-4


def test_failure_times_of_cells_with_traps_are_refused():
    """Their law is a mixture that the closed form does not cover."""
    with pytest.raises(ArgumentError, match=r"cell must be without traps to sample its failure times, got Traps"):
        sample_failure_times(replace(CELL, traps=Traps(0.1)), 3, np.random.default_rng(0))


def test_lognormal_law_is_the_limit_of_many_electrons():
    """At 0.169 the finite number of electrons adds less and less."""
    errors = []
    for electrons in (100, 1000, 30000):
        cell = replace(CELL, electrons=electrons, threshold=electrons // 2, temperature=0.0)
        median, sigma = replace(cell, thickness_spread=0.0).window_for(0.5), lognormal_sigma(cell)
        window = float(median * np.exp(sigma * special.ndtri(0.169)))
        assert lognormal_flip_probability(window, median, sigma) == pytest.approx(0.169, rel=1e-9)
        errors.append(cell.flip_probability(window) - 0.169)
    assert errors[0] == pytest.approx(0.0083, abs=1e-3)
    assert errors[0] > 5 * errors[1] > 25 * errors[2] > 0


def test_growth_of_the_action_is_twice_the_decay_constant():
    """For a cold rectangle; for a stack it is that of the varied layer."""
    cold = replace(CELL, temperature=0.0)
    assert action_per_nm(cold) == pytest.approx(CELL.barrier.action() / 2.5, rel=1e-9)
    stack = Stack((Layer(3.15, 0.8, 0.42), Layer(1.5, 1.7, 0.17)), varied=1)
    assert action_per_nm(replace(cold, barrier=stack)) == pytest.approx(Rectangular(1.5, 1.0, 0.17).action(), rel=1e-9)
    assert lognormal_sigma(cold) == pytest.approx(0.589, abs=5e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0, 0.5), "window must be above 0 and finite, got -1.0"),
        ((1.0, 0.0, 0.5), "median must be above 0, got 0.0"),
        ((1.0, 1.0, 0.0), "sigma must be above 0, got 0.0"),
    ],
)
def test_impossible_lognormal_laws_are_refused(arguments, message):
    """The message names the argument and its value."""
    with pytest.raises(ArgumentError, match=message):
        lognormal_flip_probability(*arguments)
