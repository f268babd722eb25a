"""From weight errors to the output, and what the best allocation saves at each budget."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from qtaml.errors import ArgumentError
from qtaml.theory import boundary_slopes, error_ratio, interior_range, saturation_ratio, tensor_scores, water_filling
from qtaml.theory.paper import output_error, predicted_error, uniform_error
from tests.reference.enumeration import enumerated_transitions, protected_rates
from tests.theory.enumeration import central_moment, values_of

RELATIVE = 1e-9
SCORES, SIZES = [3.0, 0.2, 40.0, 0.5], [144, 4608, 131072, 640]


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """Scores over six decades and sizes of some tensors."""
    tensors = draw(st.integers(1, 8))
    scores = draw(st.lists(st.floats(1e-3, 1e3), min_size=tensors, max_size=tensors))
    return scores, draw(st.lists(st.integers(1, 10**6), min_size=tensors, max_size=tensors))


def test_lemma_4_3_on_a_linear_map():
    """For f(W) = W x the predicted error of each tensor is the exact one: outputs x ||x||**2 x variance."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(50, 7))
    # Output c moves by dW[c] . x: ||J||_F**2 = outputs x ||x||**2, over n = outputs x 7 weights.
    gain, variance = float((inputs**2).sum(1).mean()) / 7, 0.3
    exact = float(np.mean([5 * x @ (variance * np.eye(7)) @ x for x in inputs]))
    assert output_error([gain], [35], [variance]).item() == pytest.approx(exact, rel=RELATIVE)


@pytest.mark.parametrize("grid", ["half_step", "integer"])
def test_theorem_4_4_is_the_sum_of_enumerated_variances(grid):
    """Gains, full scales, sizes and depths of some tensors, with the variance of a code by enumeration."""
    gains, scales, depths, p, bits = [2.0, 0.3, 1.0], [0.5, 2.0, 1.0], [0, 1, 4], 0.1, 8
    values = values_of(bits, "offset_binary", grid)
    expected = 0.0
    for gain, scale, size, depth in zip(gains, scales, SIZES, depths, strict=False):
        rates = protected_rates(p, bits, depth)
        variance = central_moment(enumerated_transitions(rates, rates), values * scale, 2)[77]
        expected += gain * size * variance
    found = predicted_error(tensor_scores(gains, scales), SIZES[:3], depths, p=p, bits=bits, grid=grid)
    assert found == pytest.approx(expected, rel=RELATIVE)


def test_theorem_4_4_as_the_paper_writes_it():
    """Equation 5 on the integer grid, at fractional depths too."""
    p, depths = 0.05, np.array([0.5, 2.0, 7.9, 8.0])
    expected = 4 * p * (1 - p) / 3 * sum(np.multiply(SIZES, SCORES) * (4.0**-depths - 4.0**-8))
    assert predicted_error(SCORES, SIZES, depths, p=p, grid="integer") == pytest.approx(expected, rel=RELATIVE)


@given(network=networks(), kappa=st.floats(0, 8), p=st.floats(1e-6, 0.499))
@settings(max_examples=50, deadline=None)
def test_equal_depths_give_equation_7(network, kappa, p):
    """Uniform-MSP is theorem 4.4 at equal depths; in leading order it lacks the term 4**-bits."""
    scores, sizes = network
    exact = predicted_error(scores, sizes, [kappa] * len(sizes), p=p, grid="integer")
    assert uniform_error(scores, sizes, kappa, p=p, bits=8) == pytest.approx(exact, rel=RELATIVE)
    leading = uniform_error(scores, sizes, kappa, p=p)
    full = uniform_error(scores, sizes, 8, p=p)
    assert leading - full == pytest.approx(exact, rel=1e-6, abs=1e-9 * float(leading))


def test_a_linear_network_of_two_tensors_by_monte_carlo():
    """Theorem 4.4 on z = J1 e1 + J2 e2 with offset-binary errors, 4000 draws; false alarm rate 1e-4 (3.9 sigma)."""
    generator, p, bits = np.random.default_rng(1), 0.1, 8
    jacobians = [generator.normal(size=(6, 40)), 3 * generator.normal(size=(6, 30))]
    depths, draws, outputs = [2, 0], 4000, np.zeros((4000, 6))
    for jacobian, depth in zip(jacobians, depths, strict=True):
        size = jacobian.shape[1]
        stored = generator.integers(0, 256, size)
        read = np.repeat(stored[np.newaxis], draws, axis=0)
        for bit in range(bits - depth):
            read ^= (generator.random((draws, size)) < p).astype(np.int64) << bit
        error = (read - stored) / 128
        # The lemma wants a mean of zero: that of each code is taken away exactly.
        low = stored & (1 << bits - depth) - 1
        error -= (p * (2 ** (bits - depth) - 1) - 2 * p * low) / 128
        outputs += error @ jacobian.T
    squared = (outputs**2).sum(1)
    scores = [float((jacobian**2).sum()) / jacobian.shape[1] for jacobian in jacobians]
    predicted = predicted_error(scores, [40, 30], depths, p=p, grid="integer")
    assert abs(squared.mean() - predicted) < 3.9 * squared.std() / math.sqrt(draws)
    assert squared.std() / math.sqrt(draws) < 0.02 * predicted


def test_the_interior_range_is_where_no_depth_is_cut():
    """Just inside it every tensor gets more than none and less than all bits; just outside it does not."""
    low, high = interior_range(SCORES, SIZES)
    assert 0 < low < high < 8
    for kappa, inside in ((low + 1e-6, True), (high - 1e-6, True), (low - 1e-6, False), (high + 1e-6, False)):
        depths = water_filling(SCORES, SIZES, 8, kappa * sum(SIZES))
        assert (depths.min() > 0 and depths.max() < 8) == inside


def test_scores_may_spread_too_far_for_an_interior():
    """Scores nine decades apart are fifteen bits apart: no budget of eight bits is interior."""
    low, high = interior_range([1.0, 1e9], [1, 1])
    assert low > high


@pytest.mark.slow
@given(network=networks(), share=st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_the_saturation_ratio_is_the_lower_envelope(network, share):
    """rho(kappa) lies between rho* and 1 at every budget, and equals rho* in the interior range."""
    scores, sizes = network
    plateau = saturation_ratio(scores, sizes)
    ratio = error_ratio(scores, sizes, 8 * share).item()
    assert plateau * (1 - RELATIVE) <= ratio <= 1 + RELATIVE
    low, high = interior_range(scores, sizes)
    if low <= high:
        inside = error_ratio(scores, sizes, min(low + share * (high - low), high)).item()
        assert inside == pytest.approx(plateau, rel=RELATIVE)


@given(network=networks(), share=st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_the_ratio_is_continuous(network, share):
    """Between neighbouring budgets it moves no faster than its errors do, each by a factor of at most 4 a bit there.

    The uniform error falls by 4**-step; the best falls at most by largest score x 4**-k, at least by nothing.
    """
    scores, sizes = network
    step = 1e-6
    kappa = share * (8 - step)
    before, after = error_ratio(scores, sizes, [kappa, kappa + step])
    total = sum(sizes)
    steepest = math.log(4) * max(1.0, max(scores) * total / float(np.dot(scores, sizes)) * 4**kappa)
    assert abs(after - before) <= 2 * steepest * step


@given(network=networks())
@settings(max_examples=50, deadline=None)
def test_both_ends_are_one(network):
    """Nothing protected and everything protected leave nothing to choose (leading order)."""
    assert error_ratio(*network, [0.0, 8.0]) == pytest.approx(1, rel=RELATIVE)


@given(network=networks(), share=st.floats(0, 0.999))
@settings(max_examples=50, deadline=None)
def test_the_exact_ratio_is_that_of_the_exact_errors(network, share):
    """Without dropping 4**-bits: theorem 4.4 at the depths of water filling over theorem 4.4 at equal depths."""
    scores, sizes = network
    kappa = 8 * share
    depths = water_filling(scores, sizes, 8, kappa * sum(sizes))
    best, equal = (predicted_error(scores, sizes, k, p=0.1, grid="integer") for k in (depths, [kappa] * len(sizes)))
    ratio = error_ratio(scores, sizes, kappa, leading_order=False).item()
    assert ratio == pytest.approx(best / equal, rel=1e-6)
    assert ratio <= error_ratio(scores, sizes, kappa).item() * (1 + RELATIVE)


def test_the_exact_ratio_in_the_interior():
    """(rho* x - 1) / (x - 1) with x = 4**(bits - kappa): theory.md 1.5."""
    plateau = saturation_ratio(SCORES, SIZES)
    low, high = interior_range(SCORES, SIZES)
    for kappa in np.linspace(low, high, 5):
        x = 4 ** (8 - kappa)
        expected = (plateau * x - 1) / (x - 1)
        assert error_ratio(SCORES, SIZES, kappa, leading_order=False) == pytest.approx(expected, rel=RELATIVE)
        assert expected < plateau
    # Theory.md 1.5: a plateau of 0.7705 has come down to 0.686 near the top, less than one bit below it.
    x = optimize.brentq(lambda x: (0.7705 * x - 1) / (x - 1) - 0.686, 2, 100)
    assert 0.5 < math.log(x, 4) < 1


def test_the_exact_ratio_at_full_protection_is_a_limit():
    """Both errors vanish; the last bit goes to the smallest score, so the ratio tends to it over the mean score."""
    limit = min(SCORES) * sum(SIZES) / np.dot(SCORES, SIZES)
    at_the_end, nearly = error_ratio(SCORES, SIZES, [8.0, 8 - 1e-7], leading_order=False)
    assert at_the_end == pytest.approx(limit, rel=RELATIVE)
    # What is left of the budget, 1e-7 of 8 bits, is itself known to 1e-16 of them: 1e-8 of the ratio.
    assert nearly == pytest.approx(limit, rel=1e-5)


@given(network=networks())
@settings(max_examples=50, deadline=None)
def test_slopes_at_the_ends(network):
    """Difference quotients at no and at full protection."""
    scores, sizes = network
    # Far less than the share of any tensor, so that only one tensor moves.
    step = 1e-4 * min(sizes) / sum(sizes)
    first, last = boundary_slopes(scores, sizes)
    near = error_ratio(scores, sizes, [0.0, step, 8 - step, 8.0])
    scale = max(abs(first), abs(last), 1.0)
    tied = len(set(scores)) < len(scores)
    gap = min(np.diff(sorted(scores)) / sorted(scores)[1:], default=1.0)
    if not tied and gap > 1e-3:
        assert (near[1] - near[0]) / step == pytest.approx(first, abs=1e-2 * scale)
        assert (near[3] - near[2]) / step == pytest.approx(last, abs=1e-2 * scale)


def test_equal_scores_leave_nothing_to_save():
    """The ratio is 1 at every budget, and its slopes are 0."""
    assert error_ratio([2.0, 2.0], [10, 999], np.linspace(0, 8, 17)) == pytest.approx(1, rel=RELATIVE)
    assert boundary_slopes([2.0, 2.0], [10, 999]) == (0, 0)


def test_dead_tensors_save_bits():
    """A tensor of score 0 needs none: half the weights dead doubles the depth of the others."""
    assert error_ratio([1.0, 0.0], [10, 10], 2.0) == pytest.approx(4.0**-2, rel=RELATIVE)
    assert error_ratio([1.0, 0.0], [10, 10], 8.0, leading_order=False) == 0


def test_the_shape_of_the_budgets_is_kept():
    """Scalars and matrices of budgets give ratios of the same shape."""
    assert error_ratio(SCORES, SIZES, 3.0).shape == ()
    assert error_ratio(SCORES, SIZES, [[1.0, 2.0, 3.0]]).shape == (1, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tensor_scores([1.0], [1.0, 2.0]), r"full_scales must be one number for each tensor, as squared_gains"),
        (lambda: tensor_scores([-1.0], [1.0]), r"squared_gains must be finite and at least 0, got \[-1\.0\]"),
        (lambda: output_error([1.0], [1], [math.inf]), r"variances must be finite and at least 0, got \[inf\]"),
        (lambda: output_error([], [], []), r"squared_gains must be finite and at least 0, got \[\]"),
        (lambda: predicted_error([1.0], [1], [9], p=0.1), "protected must lie between 0 and 8 bits"),
        (lambda: uniform_error([1.0], [1], 0, p=0.5), r"p must be a flip probability in \[0, 0\.5\), got 0\.5"),
        (lambda: interior_range([1.0, 0.0], [1, 1]), r"scores must be above 0, got \[1\.0, 0\.0\]"),
        (lambda: error_ratio([0.0], [1], 1.0), r"scores must not all be 0, got \[0\.0\]"),
        (lambda: boundary_slopes([0.0], [1]), r"scores must not all be 0, got \[0\.0\]"),
        (lambda: error_ratio([1.0], [1], 8.1), r"kappa must lie between 0 and 8 bits, got 8\.1"),
        (lambda: error_ratio([1.0], [1], math.nan), "kappa must be numbers, none of them NaN, got nan"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    """Each names the argument, what is allowed and what was given."""
    with pytest.raises(ArgumentError, match=message):
        call()
