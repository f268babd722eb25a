"""What whole protected bits cost over fractional ones: table 7 of the paper as a function."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtaml.errors import ArgumentError
from qtaml.theory import ROUNDING_BOUND, water_filling
from reproduction.rounding_cost import rounding_cost, rounding_table

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

METHODS = ("split", "integer", "greedy")


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[float], list[int], int]:
    """Scores, sizes and a whole budget from nothing to everything."""
    tensors = draw(st.integers(1, 5))
    scores = draw(st.lists(st.floats(1e-3, 1e3), min_size=tensors, max_size=tensors))
    sizes = draw(st.lists(st.integers(1, 10**4), min_size=tensors, max_size=tensors))
    return scores, sizes, draw(st.integers(0, 8 * sum(sizes)))


@given(problem=problems())
@settings(max_examples=40, deadline=None)
def test_order_and_bound_of_the_methods(problem):
    """1 <= split <= integer <= greedy, and split is never above the bound of A.13, boundary regime included."""
    scores, sizes, budget = problem
    split, integer, greedy = (rounding_cost(scores, sizes, budget=budget, method=method) for method in METHODS)
    assert 1 - 1e-9 <= split <= ROUNDING_BOUND * (1 + 1e-9)
    assert split <= integer * (1 + 1e-9)
    assert integer <= greedy * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_the_integer_cost_equals_brute_force(seed):
    """Every choice of 0 to 3 protected bits for three tensors."""
    generator = np.random.default_rng(seed)
    scores, sizes = 10 ** generator.uniform(-2, 0, 3), generator.integers(5, 60, 3)
    budget = int(generator.uniform(0, 3) * sizes.sum())
    best = min(
        float((sizes * scores * 4.0 ** -np.array(depths)).sum())
        for depths in product(range(4), repeat=3)
        if np.dot(depths, sizes) <= budget
    )
    continuous = float((sizes * scores * 4.0 ** -water_filling(scores, sizes, 3, budget)).sum())
    found = rounding_cost(scores.tolist(), sizes.tolist(), budget=budget, bits=3, method="integer")
    assert found == pytest.approx(best / continuous, rel=1e-9)


def test_the_bound_is_reached_by_equal_fractions():
    """Equal scores and a budget of 0.612 bits a weight: equation 29 is an equality (theory.md 1.6)."""
    cost = rounding_cost([1.0] * 4, [25_000] * 4, budget=61_199, method="split")
    assert cost == pytest.approx(ROUNDING_BOUND, rel=1e-6)


def test_whole_depths_cost_nothing():
    """Scores that are powers of four at a whole interior budget have whole optimal depths."""
    for method in METHODS:
        assert rounding_cost([16.0, 1.0], [10, 10], budget=60, method=method) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("budget", [0, 160])
def test_ends_of_the_budget_cost_nothing(budget):
    """Nothing or everything protected is a whole number of bits."""
    for method in METHODS:
        assert rounding_cost([16.0, 1.0], [10, 10], budget=budget, method=method) == pytest.approx(1, rel=1e-9)


def test_without_splitting_the_factor_approaches_four():
    """Theory.md 1.6: one tensor that just misses its bit keeps all of its error."""
    assert rounding_cost([1.0], [1000], budget=999, method="integer") == pytest.approx(4, rel=2e-3)


def test_the_table_of_the_paper():
    """Greedy, 150 networks each: above the bound for few tensors; the mean falls below it, towards 1.082."""
    few, some, many = rounding_table((2, 10, 30), networks=150)
    assert [row.tensors for row in (few, some, many)] == [2, 10, 30]
    assert few.worst > 2 > many.worst
    assert few.mean > some.mean > many.mean > 1.082
    assert few.mean > ROUNDING_BOUND > many.mean
    assert few.worst <= 4


def test_equal_sizes_round_better():
    """With equal sizes a bit moves freely between tensors: the worst of 150 is lower, and falls below the bound."""
    unequal = rounding_table((2, 30), networks=150)
    equal = rounding_table((2, 30), networks=150, equal_sizes=True)
    assert all(same.worst < different.worst for same, different in zip(equal, unequal, strict=True))
    assert equal[1].worst < ROUNDING_BOUND < equal[0].worst


def test_split_stays_below_the_bound_in_the_table():
    """The same networks, split: never above 1.26374."""
    rows = rounding_table((2, 8, 20), networks=150, method="split")
    assert all(1 <= row.mean <= row.worst <= row.bound == ROUNDING_BOUND for row in rows)


def test_the_table_is_reproducible():
    """The same seed gives the same networks, whatever other sizes are asked; another seed gives others."""
    alone, among = rounding_table((3,), networks=10), rounding_table((2, 3), networks=10)
    assert alone[0] == among[1]
    assert rounding_table((3,), networks=10, seed=1) != alone


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rounding_cost([1.0], [10], budget=81), "budget must be a whole number from 0 to 80, got 81"),
        (lambda: rounding_cost([0.0], [10], budget=1), r"scores\[0\] must be above 0, got 0\.0"),
        (lambda: rounding_cost([1.0], [0], budget=0), r"sizes\[0\] must be a whole number of at least 1, got 0"),
        (lambda: rounding_cost([1.0], [10, 10], budget=1), "scores and sizes must be as many, got 1 and 2"),
        (lambda: rounding_cost([1.0], [10], budget=1, method="best"), "method must be one of 'split', .* got 'best'"),
        (lambda: rounding_table((0,)), "tensors must be a whole number of at least 1, got 0"),
        (lambda: rounding_table(()), r"tensors must name at least one number of tensors, got \[\]"),
        (lambda: rounding_table(networks=0), "networks must be a whole number of at least 2, got 0"),
        (lambda: rounding_table(bits=4), "bits must be a whole number from 6 to 16, got 4"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    """Each names the argument, what is allowed and what was given."""
    with pytest.raises(ArgumentError, match=message):
        call()
