"""Root finding and the closed inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtaml.device.inverse import bisect, double_until, find_root, required_log_exposure, solve
from qtaml.device.tails import log_binomial_tail
from qtaml.errors import ArgumentError


@given(st.integers(1, 3000), st.floats(0.0, 0.99), st.floats(-600.0, -1e-6))
def test_required_exposure_is_the_inverse_of_the_tail(electrons, share, log_p):
    """Putting the exposure back gives p, over all floats."""
    threshold = int(share * electrons)
    exposure = required_log_exposure(np.exp(log_p), electrons, threshold)
    assert float(log_binomial_tail(electrons, threshold, exposure)) == pytest.approx(log_p, rel=1e-8, abs=1e-12)


RATIOS = [  # theory.md 2.4: t/t50 at p = 1e-6, 0.01, 0.05, 0.1
    (1, 0, ("1.4e-6", "0.0145", "0.074", "0.152")),
    (5, 2, ("0.0067", "0.161", "0.303", "0.409")),
    (10, 5, ("0.054", "0.310", "0.455", "0.550")),
    (20, 10, ("0.147", "0.442", "0.573", "0.653")),
    (100, 50, ("0.467", "0.704", "0.783", "0.828")),
    (1000, 500, ("0.799", "0.898", "0.927", "0.943")),
    (30000, 15000, ("0.961", "0.981", "0.986", "0.989")),
]


@pytest.mark.parametrize(("electrons", "threshold", "printed"), RATIOS)
def test_time_ratios_of_the_steepness_table(electrons, threshold, printed, check_printed):
    """Times are proportional to the exposure."""
    logs = required_log_exposure([1e-6, 0.01, 0.05, 0.1, 0.5], electrons, threshold)
    for ratio, text in zip(np.exp(logs[:-1] - logs[-1]), printed, strict=True):
        check_printed(ratio, text)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, float("nan")])
def test_impossible_probabilities_are_refused(p):
    """No finite exposure gives them."""
    with pytest.raises(ArgumentError, match=f"p must be above 0 and below 1, got {p}"):
        required_log_exposure([0.5, p], 10, 5)


@pytest.mark.slow
@given(st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=5), st.floats(0.5, 30.0))
def test_root_finders_agree_on_steep_functions(roots, steepness):
    """An S-shaped function: bisection and Chandrupatla's method find the same roots."""
    wanted = np.array(roots)
    low, high = np.full(wanted.shape, -7.0), np.full(wanted.shape, 8.0)
    function = lambda x: np.tanh(steepness * x) + 1e-3 * x  # noqa: E731
    assert bisect(lambda x: function(x - wanted), low, high) == pytest.approx(wanted, abs=1e-12)
    assert find_root(lambda x, root: function(x - root), low, high, wanted) == pytest.approx(wanted, abs=1e-12)
    assert solve(lambda x, root: function(x - root), np.zeros(wanted.shape), wanted) == pytest.approx(wanted, abs=1e-12)


def test_root_finding_takes_few_evaluations():
    """The point of Chandrupatla's method: a dozen evaluations where halving takes sixty."""
    calls = []

    def function(x, wanted):
        calls.append(1)
        return np.exp(x) - wanted

    assert find_root(function, np.array([-10.0]), np.array([10.0]), np.array([5.0]))[0] == pytest.approx(
        np.log(5.0), rel=1e-15
    )
    assert len(calls) < 20


def test_solve_reaches_far():
    """The interval is doubled until it holds the root."""
    assert solve(lambda x, wanted: x - wanted, np.array([0.0]), np.array([1e6]))[0] == pytest.approx(1e6, rel=1e-14)


def test_doubling_stops_at_its_limit():
    """Where nothing is found the caller sees it from the function's sign."""
    assert double_until(lambda x: x - np.array([3.0, 1e9]), np.ones(2), limit=64.0).tolist() == [4.0, 64.0]
