"""Tails of the escape count against mpmath, scipy and simple sums."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qtaml.device.tails import log_binomial_tail, log_poisson_tail, log_sum_tail


def exact_log_binomial_tail(electrons, threshold, log_exposure):
    """The tail with 80 digits."""
    with mpmath.workdps(80):
        escape = -mpmath.expm1(-mpmath.exp(mpmath.mpf(log_exposure)))
        return mpmath.log(mpmath.betainc(threshold + 1, electrons - threshold, 0, escape, regularized=True))


def exact_log_poisson_tail(threshold, log_mean):
    """The tail with 80 digits."""
    with mpmath.workdps(80):
        mean = mpmath.exp(mpmath.mpf(log_mean))
        return mpmath.log(mpmath.gammainc(threshold + 1, 0, mean, regularized=True))


@pytest.mark.parametrize(
    ("electrons", "threshold", "log_exposure"),
    [
        (1, 0, -900.0),
        (5, 2, -2000.0),
        (20, 10, -0.5),
        (20, 10, -70.0),
        (100, 50, -170.0),
        (200, 100, -88.0),
        (1000, 900, 0.1),
        (3000, 1500, -1.5),
        (30000, 15000, -2.0),
        (3000, 1500, -0.9),
    ],
)
def test_binomial_tail_agrees_with_80_digits(electrons, threshold, log_exposure):
    """Down to ln p = -12000, on both sides of the change from scipy's tail to the series."""
    exact = exact_log_binomial_tail(electrons, threshold, log_exposure)
    assert float(log_binomial_tail(electrons, threshold, log_exposure)) == pytest.approx(float(exact), rel=5e-15)


@pytest.mark.parametrize(
    ("threshold", "log_mean"), [(3, 0.0), (100, 1.0), (1000, 5.0), (5, -300.0), (0, -700.0), (2000, 6.5)]
)
def test_poisson_tail_agrees_with_80_digits(threshold, log_mean):
    """Down to ln p = -1800, on both sides of the change from scipy's tail to the series."""
    exact = exact_log_poisson_tail(threshold, log_mean)
    assert float(log_poisson_tail(threshold, log_mean)) == pytest.approx(float(exact), rel=5e-15)


def test_series_and_direct_tail_meet_without_a_step():
    """Around p = 1e-290, where the method changes, ln p still grows smoothly."""
    exposures = np.linspace(-14.7, -14.4, 601)
    logs = log_binomial_tail(100, 50, exposures)
    below, above = logs.min() < np.log(1e-290), logs.max() > np.log(1e-290)
    assert below
    assert above
    assert np.abs(np.diff(logs, 2)).max() < 1e-8 + 2 * np.abs(np.diff(logs, 2)).mean()


@given(st.integers(1, 400), st.floats(0.0, 0.99), st.floats(-8.0, 4.0))
def test_binomial_tail_agrees_with_scipy(electrons, share, log_exposure):
    """Where nothing underflows the tail is scipy's survival function."""
    threshold = int(share * electrons)
    escape = -np.expm1(-np.exp(log_exposure))
    expected = stats.binom.sf(threshold, electrons, escape)
    assert np.exp(log_binomial_tail(electrons, threshold, log_exposure)) == pytest.approx(
        expected, rel=1e-8, abs=1e-250
    )


@given(st.integers(1, 3000), st.floats(0.0, 0.99), st.floats(-3000.0, 800.0), st.floats(0.0, 5.0))
def test_binomial_tail_is_a_probability_that_grows_with_the_exposure(electrons, share, log_exposure, more):
    """In log space: never above 0, never nan, never minus infinity, and monotone."""
    less, greater = log_binomial_tail(electrons, int(share * electrons), np.array([log_exposure, log_exposure + more]))
    assert np.isfinite(less)
    assert less <= greater * (1 - 1e-12) + 1e-15
    assert greater <= 0.0


def test_threshold_outside_the_electrons():
    """A negative threshold is always exceeded, one at the number of electrons never."""
    assert log_binomial_tail(10, -1, -3.0) == 0.0
    assert log_binomial_tail(10, 10, 3.0) == -np.inf
    assert log_binomial_tail(0, -5, 0.0) == 0.0
    assert log_poisson_tail(-1, -3.0) == 0.0


@pytest.mark.parametrize(("electrons", "threshold"), [(1, 0), (60, 18), (200, 100)])
@pytest.mark.parametrize(("log_exposure", "log_mean"), [(-1.0, 0.5), (-2.0, 3.0), (-0.5, -2.0), (-4.0, 4.0)])
def test_sum_tail_agrees_with_the_convolution(electrons, threshold, log_exposure, log_mean):
    """The tail of binomial plus Poisson equals one minus the sum of the convolved masses."""
    counts = np.arange(threshold + 1)
    binomial = stats.binom.pmf(counts, electrons, -np.expm1(-np.exp(log_exposure)))
    poisson = stats.poisson.pmf(counts, np.exp(log_mean))
    expected = 1 - np.convolve(binomial, poisson)[: threshold + 1].sum()
    actual = np.exp(log_sum_tail(electrons, threshold, log_exposure, log_mean))
    assert actual == pytest.approx(expected, abs=1e-12)


def test_sum_tail_keeps_its_digits_far_below_underflow():
    """One electron over a threshold of 2: ln p of the two-channel count agrees with its leading term."""
    log_p = float(log_sum_tail(3, 2, -900.0, -900.0))
    # With both channels at rate x the count has the pgf (1 + x s)^3 e^(x s): its x^3 terms are 1 + 3 + 3/2 + 1/6.
    assert log_p == pytest.approx(-2700.0 + np.log(1 + 3 + 1.5 + 1 / 6), rel=1e-14)


def test_sum_tail_without_traps_is_the_binomial_tail():
    """A Poisson mean of 0 changes nothing."""
    assert log_sum_tail(60, 18, -1.5, -np.inf) == pytest.approx(log_binomial_tail(60, 18, -1.5), rel=1e-14)
