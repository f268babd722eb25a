"""Closed forms of how a budget of protected bits is best spread: optimality, budget, and the rounding constant."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from qtaml.errors import ArgumentError
from qtaml.theory import ROUNDING_BOUND, saturation_ratio, water_filling
from tests.tolerances import EXACT_MATHS, LINE_SEARCH

SCORES = st.one_of(st.just(0.0), st.floats(1e-12, 1e12))


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[float], list[int], float, int]:
    """Scores, zero among them, sizes, a budget from nothing to everything, and bits of a word."""
    tensors = draw(st.integers(1, 8))
    scores = draw(st.lists(SCORES, min_size=tensors, max_size=tensors))
    sizes = draw(st.lists(st.integers(1, 10**6), min_size=tensors, max_size=tensors))
    bits = draw(st.integers(2, 16))
    share = draw(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)))
    return scores, sizes, share * bits * sum(sizes), bits


def assert_optimal(depths: np.ndarray, scores: list[float], bits: int, tolerance: float) -> None:
    """The conditions of Karush, Kuhn and Tucker for a convex problem, without the multiplier.

    A bit less costs any tensor that has some at least what a bit more would bring any tensor that is not full.
    """
    assert ((depths >= 0) & (depths <= bits)).all(), f"{depths} are not all depths of 0 to {bits} bits"
    worth = np.array(scores) * 4.0**-depths
    loses = worth[depths > 0].min(initial=math.inf)
    brings = worth[depths < bits].max(initial=0.0)
    assert loses >= brings * (1 - tolerance), f"moving bits from {loses} to {brings} would pay"


@pytest.mark.slow
@given(problem=problems())
@settings(max_examples=300, deadline=None)
def test_no_bit_is_worth_more_elsewhere(problem: tuple[list[float], list[int], float, int]) -> None:
    """The depths are the optimum of the convex problem, for any scores, sizes and budget."""
    scores, sizes, budget, bits = problem
    assert_optimal(water_filling(scores, sizes, bits, budget), scores, bits, tolerance=1e-9)


@pytest.mark.slow
@given(problem=problems())
@settings(max_examples=300, deadline=None)
def test_the_budget_is_spent_exactly(problem: tuple[list[float], list[int], float, int]) -> None:
    """All of it, from nothing to every bit of every weight, but for the rounding of depths.

    Depths are differences of logarithms of at most 40 (1e-12 to 1e12 in powers of 4): 40 x 2**-52 for each weight.
    """
    scores, sizes, budget, bits = problem
    depths = water_filling(scores, sizes, bits, budget)
    rounding = 40 * 2.0**-52 * sum(sizes)
    assert depths @ np.array(sizes) == pytest.approx(budget, rel=EXACT_MATHS, abs=rounding)


def test_the_check_of_optimality_can_fail() -> None:
    """Equal depths are not optimal for unequal scores, nor are depths outside their range."""
    with pytest.raises(AssertionError, match="would pay"):
        assert_optimal(np.array([1.0, 1.0]), [16.0, 1.0], 8, tolerance=1e-9)
    with pytest.raises(AssertionError, match="are not all depths of 0 to 8 bits"):
        assert_optimal(np.array([9.0]), [16.0], 8, tolerance=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_a_numerical_optimiser_finds_nothing_better(seed: int) -> None:
    """SciPy's SLSQP, from the equal allocation, comes to the same error."""
    generator = np.random.default_rng(seed)
    tensors, bits = int(generator.integers(2, 5)), 8
    scores, sizes = generator.lognormal(0, 2, tensors), generator.integers(1, 50, tensors)
    share = generator.uniform(0.05, 0.95)
    budget = share * bits * sizes.sum()

    def error(depths: np.ndarray) -> float:
        return float((sizes * scores * 4.0**-depths).sum())

    found = optimize.minimize(
        lambda depths: math.log(error(depths)),
        np.full(tensors, share * bits),
        method="SLSQP",
        bounds=[(0, bits)] * tensors,
        constraints=optimize.LinearConstraint(sizes[np.newaxis] / budget, 1, 1),
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert found.success
    best = error(water_filling(scores.tolist(), sizes.tolist(), bits, budget))
    assert best <= error(found.x) * (1 + LINE_SEARCH)
    assert best == pytest.approx(error(found.x), rel=1e-4)


@pytest.mark.parametrize("mean_depth", [2.0, 3.7, 5.5])
def test_inside_the_range_depths_follow_the_scores(mean_depth: float) -> None:
    """Where no tensor is empty or full, k = kappa + log4(a/G), with G the weighted geometric mean of the scores."""
    scores, sizes = np.array([0.25, 1.0, 7.0, 4.0]), np.array([10, 40, 5, 100])
    geometric_mean = np.exp((sizes * np.log(scores)).sum() / sizes.sum())
    depths = water_filling(scores.tolist(), sizes.tolist(), 8, mean_depth * sizes.sum())
    np.testing.assert_allclose(depths, mean_depth + np.log(scores / geometric_mean) / math.log(4), rtol=EXACT_MATHS)


def test_zero_scores_get_what_nobody_else_can_use() -> None:
    """Nothing while another tensor has room, and then the rest in equal depth."""
    assert water_filling([0.0, 5.0], [10, 10], budget=30, bits=4).tolist() == [0.0, 3.0]
    assert water_filling([0.0, 5.0], [10, 10], budget=40, bits=4).tolist() == [0.0, 4.0]
    assert water_filling([0.0, 5.0, 0.0], [10, 10, 30], budget=60, bits=4).tolist() == [0.5, 4.0, 0.5]
    assert water_filling([0.0, 0.0], [10, 30], budget=80, bits=4).tolist() == [2.0, 2.0]


def test_ends_of_the_budget() -> None:
    """Nothing and everything."""
    assert water_filling([1.0, 2.0], [3, 4], budget=0, bits=8).tolist() == [0.0, 0.0]
    assert water_filling([1.0, 2.0], [3, 4], budget=56, bits=8).tolist() == [8.0, 8.0]


@pytest.mark.parametrize("budget", [-1.0, 56.5])
def test_a_budget_out_of_range_is_refused(budget: float) -> None:
    """The message says what range it has."""
    with pytest.raises(ArgumentError, match=f"budget must lie between 0 and 56 bits, got {budget}"):
        water_filling([1.0, 2.0], [3, 4], budget=budget, bits=8)


@pytest.mark.parametrize("scores", [[1.0], [1.0, -1.0], [1.0, math.inf]])
def test_scores_that_do_not_fit_are_refused(scores: list[float]) -> None:
    """One finite number of at least 0 for each size."""
    with pytest.raises(ArgumentError, match="scores must be one finite number of at least 0 for each size"):
        water_filling(scores, [3, 4], budget=1, bits=8)


# rho*


@given(
    tensors=st.lists(st.tuples(st.floats(1e-6, 1e6), st.integers(1, 10**6)), min_size=1, max_size=10),
    factor=st.floats(1e-3, 1e3),
)
def test_the_ratio_is_at_most_one_and_has_no_unit(tensors: list[tuple[float, int]], factor: float) -> None:
    """Geometric over arithmetic mean: never above 1, and the same for scores in another unit."""
    scores, sizes = zip(*tensors, strict=True)
    ratio = saturation_ratio(scores, sizes)
    assert 0 < ratio <= 1 + EXACT_MATHS
    assert saturation_ratio([score * factor for score in scores], sizes) == pytest.approx(ratio, rel=1e-9)


def test_the_ratio_of_equal_scores_is_one() -> None:
    """Nothing is gained where all tensors matter alike."""
    assert saturation_ratio([3.0, 3.0, 3.0], [1, 20, 300]) == pytest.approx(1.0, rel=EXACT_MATHS)


def test_the_ratio_is_that_of_the_two_allocations() -> None:
    """Inside the range it is the error of the best allocation over that of equal depths, whatever the budget."""
    scores, sizes = np.array([0.25, 1.0, 7.0, 4.0]), np.array([10, 40, 5, 100])
    for mean_depth in (2.0, 3.7, 5.5):
        depths = water_filling(scores.tolist(), sizes.tolist(), 8, mean_depth * sizes.sum())
        best, equal = ((sizes * scores * 4.0**-k).sum() for k in (depths, mean_depth))
        assert saturation_ratio(scores.tolist(), sizes.tolist()) == pytest.approx(best / equal, rel=EXACT_MATHS)


@pytest.mark.parametrize(
    ("scores", "message"), [([1.0, 0.0], r"scores\[1\] must be above 0, got 0\.0"), ([1.0], "as many")]
)
def test_a_ratio_without_meaning_is_refused(scores: list[float], message: str) -> None:
    """Every score is above zero, and there is one for each size."""
    with pytest.raises(ArgumentError, match=message):
        saturation_ratio(scores, [3, 4])


# 1.26374


def test_the_rounding_bound_is_the_maximum() -> None:
    """Of 4^f (1 - 3f/4) over fractions f, which a search finds at 0.61199."""
    found = optimize.minimize_scalar(
        lambda f: -(4**f) * (1 - 0.75 * f), bounds=(0, 1), method="bounded", options={"xatol": 1e-12}
    )
    assert pytest.approx(-found.fun, rel=EXACT_MATHS) == ROUNDING_BOUND
    assert found.x == pytest.approx(4 / 3 - 1 / math.log(4), rel=LINE_SEARCH)
    assert pytest.approx(1.2637407, abs=5e-8) == ROUNDING_BOUND


def test_whole_bits_cost_at_most_the_rounding_bound() -> None:
    """The straight line between 4^-k and 4^-(k+1) is never further above the curve than the bound, and reaches it."""
    depth = np.linspace(0, 8, 100_001)
    low = np.floor(depth)
    line = 4.0**-low * (1 - 0.75 * (depth - low))
    ratio = (line / 4.0**-depth).max()
    assert ratio <= ROUNDING_BOUND * (1 + EXACT_MATHS)
    assert ratio == pytest.approx(ROUNDING_BOUND, rel=LINE_SEARCH)
