"""From a transmission to a lost bit, against theory.md 1.1."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qtaml.device import (
    Regime,
    escape_count,
    log_escape_probability,
    log_exposure,
    log_lost_probability,
    log_lost_probability_poisson,
    log_lost_probability_rare,
    regime,
)
from qtaml.errors import ArgumentError


@pytest.mark.parametrize("action", [1e-12, 1e-3, 0.5, 0.69, 0.71, 5.0, 39.9, 40.1, 200.0, 2000.0])
def test_exposure_agrees_with_50_digits(action):
    """ln(-ln(1 - T)) over actions from a vanishing to an opaque barrier."""
    with mpmath.workdps(60 + int(action)):
        exact = mpmath.log(-mpmath.log1p(-mpmath.exp(-mpmath.mpf(action))))
    assert float(log_exposure(-action, 7.0)) == pytest.approx(float(exact) + 7.0, rel=1e-14, abs=1e-14)


def test_no_barrier_lets_everything_out():
    """At T = 1 the electron escapes with certainty, and nothing overflows."""
    assert log_escape_probability(log_exposure(0.0, 30.0)) == 0.0


@given(st.floats(0.01, 60.0), st.floats(-5.0, 45.0))
def test_escape_probability_is_the_papers(action, log_attempts):
    """Lemma A.8: 1 - (1 - T)^(nu tau), with its upper bound nu tau T."""
    transmission, attempts = np.exp(-action), np.exp(log_attempts)
    expected = -np.expm1(attempts * np.log1p(-transmission))
    p = float(np.exp(log_escape_probability(log_exposure(-action, log_attempts))))
    assert p == pytest.approx(expected, rel=1e-9)
    # The bound holds from one attempt on.
    if attempts >= 1:
        assert p <= attempts * transmission * (1 + 1e-12)


def test_rare_escape_has_the_expected_second_order():
    """p_e = x - x^2/2 + ..., x = nu tau T: the error of the first order shrinks with the square."""
    for x in (1e-2, 1e-3, 1e-4):
        p = float(np.exp(log_escape_probability(np.log(x))))
        assert (x - p) / x**2 == pytest.approx(0.5, rel=x)


def test_rare_event_numbers_of_the_theory(check_printed):
    """N = 1e4, p_e = 1e-4, n_th = 3."""
    exposure = np.log(-np.log1p(-1e-4))
    check_printed(np.exp(log_lost_probability(10_000, 3, exposure)), "0.018982")
    check_printed(np.exp(log_lost_probability_poisson(3, 0.0)), "0.018988")


@pytest.mark.parametrize("threshold", [0, 1, 3, 10])
def test_three_forms_agree_in_the_rare_limit(threshold):
    """Binomial, Poisson and the rare-event power meet as the mean falls, the last with slope n_th + 1."""
    electrons, log_mean = 10**7, np.array([-300.0, -200.0])
    binomial = log_lost_probability(electrons, threshold, log_mean - np.log(electrons))
    poisson = log_lost_probability_poisson(threshold, log_mean)
    rare = log_lost_probability_rare(threshold, log_mean)
    assert rare == pytest.approx(poisson, rel=1e-12)
    assert binomial == pytest.approx(poisson, abs=1e-4)
    assert np.diff(rare)[0] == pytest.approx(100.0 * (threshold + 1), rel=1e-12)


@given(st.integers(0, 50), st.floats(-50.0, 5.0))
def test_rare_event_power_bounds_the_poisson_tail(threshold, log_mean):
    """Each further term of the tail is covered."""
    bound = float(log_lost_probability_rare(threshold, log_mean))
    assert float(log_lost_probability_poisson(threshold, log_mean)) <= bound + 1e-12 * (1 + abs(bound))


def test_escape_count_is_binomial():
    """The frozen law has the mass function of Binomial(N_e, p_e)."""
    law = escape_count(20, np.log(0.4))
    counts = np.arange(21)
    assert law.pmf(counts) == pytest.approx(stats.binom.pmf(counts, 20, 1 - np.exp(-0.4)), rel=1e-12)


STEEPNESS = [  # theory.md 2.4: electrons, threshold, p_e at p = 1e-6, 0.01, 0.05, 0.1, 0.5
    (1, 0, ("1e-6", "0.01", "0.05", "0.1", "0.5")),
    (5, 2, ("0.0047", "0.106", "0.189", "0.247", "0.5")),
    (10, 5, ("0.042", "0.218", "0.304", "0.354", "0.548")),
    (20, 10, ("0.103", "0.280", "0.347", "0.385", "0.525")),
    (100, 50, ("0.280", "0.390", "0.423", "0.441", "0.505")),
    (1000, 500, ("0.426", "0.464", "0.475", "0.480", "0.5005")),
    (30000, 15000, ("0.486", "0.493", "0.495", "0.496", "0.500")),
]


@pytest.mark.parametrize(("electrons", "threshold", "printed"), STEEPNESS)
def test_steepness_table(electrons, threshold, printed):
    """The printed p_e brackets the wanted p within its last digit."""
    for p, text in zip((1e-6, 0.01, 0.05, 0.1, 0.5), printed, strict=True):
        half = 0.5 * 10.0 ** -len(text.split(".")[1]) if "." in text else 0.5e-6
        escape = np.array([float(text) - half, float(text) + half])
        low, high = np.exp(log_lost_probability(electrons, threshold, np.log(-np.log1p(-escape))))
        assert low <= p <= high


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.0, Regime.RARE),
        (0.0099, Regime.RARE),
        (0.1, Regime.TRANSITION),
        (0.98, Regime.TRANSITION),
        (1.0, Regime.SATURATED),
    ],
)
def test_regimes(p, expected):
    """Rare below 0.01, saturated above 0.99."""
    assert regime(p) is expected


def test_impossible_arguments_are_refused():
    """A probability above 1, a cell without electrons."""
    with pytest.raises(ArgumentError, match=r"lost_probability must be a probability in \[0, 1\], got 1\.5"):
        regime(1.5)
    with pytest.raises(ArgumentError, match="electrons must be a whole number of at least 1, got 0"):
        escape_count(0, -1.0)
