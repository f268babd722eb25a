"""Averages over a normal spread against dense sums and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from qtaml.device.averaging import log_normal_average
from qtaml.device.inverse import required_log_exposure
from qtaml.device.tails import log_binomial_tail


def dense_log_average(log_probability):
    """The trapezoidal rule with 100001 points: exact to rounding for integrands so smooth."""
    z = np.linspace(-40.0, 10.0, 100_001)
    return float(special.logsumexp(log_probability(z) - z**2 / 2) - special.logsumexp(-(z**2) / 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("electrons", "threshold"), [(1, 0), (5, 2), (20, 10), (100, 50), (3000, 1500), (30000, 15000)]
)
@pytest.mark.parametrize(
    ("log_time", "sigma"), [(-1.5, 0.05), (-0.05, 0.05), (-6.0, 0.5893), (-0.5656, 0.5893), (1.0, 0.5893), (-6.0, 3.0)]
)
def test_average_agrees_with_a_dense_sum(electrons, threshold, log_time, sigma):
    """From single electrons to a step far narrower than the spread, and where only thin cells fail."""
    median = float(required_log_exposure(0.5, electrons, threshold))

    def log_probability(z):
        return log_binomial_tail(electrons, threshold, median + log_time - sigma * z)

    assert float(log_normal_average(log_probability, ())) == pytest.approx(
        dense_log_average(log_probability), rel=1e-7, abs=1e-11
    )


@given(st.floats(-37.0, 8.0))
def test_average_of_a_step_is_the_normal_distribution(place):
    """A jump anywhere gives Phi, down to ln p = -688."""
    step = lambda z: np.where(z < place, 0.0, -np.inf)  # noqa: E731
    assert float(log_normal_average(step, ())) == pytest.approx(special.log_ndtr(place), rel=1e-5, abs=1e-4)


@settings(max_examples=50)
@given(st.floats(-300.0, -1.0), st.floats(0.1, 20.0))
def test_average_of_an_exponential_is_its_closed_form(level, slope):
    """E[exp(level - slope Z)] = exp(level + slope^2/2): the mass then lies at z = -slope."""
    average = float(log_normal_average(lambda z: np.minimum(level - slope * z, 1e9), ()))
    exact = level + slope**2 / 2
    assert average == pytest.approx(min(exact, 0.0), rel=1e-6, abs=1e-6)


def test_shape_is_kept():
    """One average for each element."""
    places = np.array([[-1.0, 0.0, 1.0], [2.0, -2.0, 0.5]])
    smooth = log_normal_average(lambda z: special.log_ndtr(places[..., None] - z), (2, 3))
    # Z + W < place for two independent normal numbers.
    assert smooth == pytest.approx(special.log_ndtr(places / np.sqrt(2)), rel=1e-9)
