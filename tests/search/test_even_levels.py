"""Evenly spaced levels fitted to weights, against a search over all straight readouts."""

import numpy as np
import pytest
from scipy import optimize

from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats import evenly_spaced
from qtaml.search import Histogram, assess, fit, fit_even

WEIGHTS = {
    "gaussian": np.random.default_rng(0).normal(size=400),
    "one-sided": np.random.default_rng(0).exponential(size=400),
    "uniform": np.linspace(-1, 1, 400),
    "two values": np.repeat([-1.0, 3.0], 200),
}


def histogram(name):
    """The weights by name."""
    values, counts = np.unique(WEIGHTS[name], return_counts=True)
    return Histogram(values, counts.astype(float))


def error(weights, law, first, step):
    """Mean squared error of a straight readout."""
    return assess(weights, law, first + step * np.arange(2**law.bits)).error


@pytest.mark.parametrize("law", [WordLaw.of_bits((0.1,) * 3, (0.1,) * 3), WordLaw.of_bits((0.0,) * 4, (0.2,) * 4)])
@pytest.mark.parametrize("name", WEIGHTS)
def test_hardly_a_straight_readout_is_better(name, law):
    """A general optimiser, started from there and from others, lowers the error by less than a twentieth."""
    weights = histogram(name)
    first, step = fit_even(weights, law)
    reached = error(weights, law, first, step)
    spread = weights.variance**0.5
    starts = [(first, step), (weights.mean - spread, 2 * spread / 2**law.bits), (weights.points[0], 0.5 * spread)]
    found = [optimize.minimize(lambda x: error(weights, law, *x), start, method="Nelder-Mead") for start in starts]
    best = min(one.fun for one in found)
    assert reached <= 1.05 * best + 1e-12


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_free_table_is_at_least_as_good(name):
    """Straight readouts are among the tables."""
    weights, law = histogram(name), WordLaw.of_bits((0.05,) * 3, (0.05,) * 3)
    free = fit(weights, law, starts=[np.polyval(fit_even(weights, law)[::-1], np.arange(8))])
    assert free.error <= error(weights, law, *fit_even(weights, law)) * (1 + 1e-9)


def test_equal_weights_are_read_as_they_are():
    """Whatever the errors: the step is 0."""
    law = WordLaw.of_bits((0.1, 0.1), (0.1, 0.1))
    assert fit_even(Histogram(np.array([2.5]), np.array([7.0])), law) == (2.5, 0.0)


def test_a_word_of_no_bits_has_no_levels():
    """It is read as one value."""
    with pytest.raises(ArgumentError, match="law must have at least one bit, got none"):
        fit_even(Histogram(np.array([0.0, 1.0]), np.array([1.0, 1.0])), WordLaw(()))


@pytest.mark.parametrize(
    ("table", "even"),
    [((0.0, 1.0), True), ((-1.5, -0.5, 0.5, 1.5), True), ((0.0, 1.0, 3.0, 4.0), False), ((0.7,), False), ((), False)],
)
def test_evenly_spaced_tables_are_told_from_others(table, even):
    """By the distances of neighbouring labels; one value has none."""
    assert evenly_spaced(table) is even
