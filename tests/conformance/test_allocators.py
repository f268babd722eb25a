"""Every allocator of `ALLOCATIONS`: within the budget, sensible at its ends, indifferent to order and units."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtaml.errors import ArgumentError
from qtaml.planning import ALLOCATIONS, Allocation, Choice, Options, allocate, error_bound
from tests.allocation_problems import any_options, assert_allowed, protection, protections, real_options, total_error

every_allocator = pytest.mark.parametrize("method", ALLOCATIONS)


@pytest.mark.slow
@given(problem=st.one_of(protections(), any_options(), real_options()), method=st.sampled_from(ALLOCATIONS))
@settings(max_examples=200, deadline=None)
def test_the_budget_is_kept_and_the_error_lies_between_its_bounds(
    problem: tuple[list[Options], float], method: Allocation
) -> None:
    """Whatever the options: not above the error of the cheapest ones, not below the least of all allocations."""
    options, budget = problem
    choices = allocate(options, budget, method)
    assert_allowed(options, choices, budget)
    cheapest = sum(option.errors[0] for option in options)
    assert error_bound(options, budget) - 1e-9 * cheapest <= total_error(options, choices) <= cheapest * (1 + 1e-9)


@pytest.mark.slow
@given(problem=protections(), method=st.sampled_from(ALLOCATIONS), exponent=st.integers(-40, 40))
@settings(max_examples=60, deadline=None)
def test_the_unit_of_the_error_does_not_matter(
    problem: tuple[list[Options], int], method: Allocation, exponent: int
) -> None:
    """Errors in another unit, by a power of two, which rounds nothing, give the same choices."""
    options, budget = problem
    scaled = [Options(o.weights, o.cells, tuple(error * 2.0**exponent for error in o.errors)) for o in options]
    assert allocate(scaled, budget, method) == allocate(options, budget, method)


@every_allocator
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_tensors_does_not_matter(method: Allocation, seed: int) -> None:
    """Each tensor gets the same in any order, where no two are equally good."""
    random = np.random.default_rng(seed)
    options = [
        protection(int(n), float(a)) for n, a in zip(random.integers(1, 999, 9), random.lognormal(0, 2, 9), strict=True)
    ]
    budget = int(8 * sum(option.weights for option in options) * random.uniform(1.01, 1.9))
    choices, order = allocate(options, budget, method), random.permutation(9)
    assert allocate([options[i] for i in order], budget, method) == tuple(choices[i] for i in order)


@pytest.mark.slow
@given(problem=any_options())
@settings(max_examples=100, deadline=None)
def test_no_cells_are_spent_where_nothing_falls(problem: tuple[list[Options], int]) -> None:
    """A tensor whose error is the same under all options keeps the cheapest, whatever the method and the budget."""
    options, budget = problem
    idle = Options(3, (1, 2, 3), (5.0, 5.0, 5.0))
    for method in ALLOCATIONS:
        assert allocate([*options, idle], budget + 9, method)[-1] == Choice(0, 0), method


@every_allocator
def test_tensors_without_error_get_nothing(method: Allocation) -> None:
    """A dead tensor, or none but dead ones."""
    dead = Options(10, (8, 9, 10), (0.0, 0.0, 0.0))
    assert allocate([dead], 1000, method) == (Choice(0, 0),)
    assert allocate([dead, protection(10, 1.0)], 1000, method) == (Choice(0, 0), Choice(8, 8))


@pytest.mark.parametrize("weights", [1000, 10**7, 10**9])
@every_allocator
def test_a_budget_of_one_cell_less_is_one_cell_less(method: Allocation, weights: int) -> None:
    """Budgets are kept to the cell, also for large networks, where one cell is a small share."""
    options = [protection(weights, 1.0), protection(7, 1e-9)]
    enough = 8 * (weights + 7) + weights
    assert allocate(options, enough, method)[0] == Choice(1, 1)
    assert_allowed(options, allocate(options, enough - 1, method), enough - 1)


def test_the_check_of_the_budget_can_fail() -> None:
    """One cell too many, an option that does not exist, and more weights than there are are noticed."""
    options = [protection(10, 1.0)]
    with pytest.raises(AssertionError, match="90 cells are spent of 89"):
        assert_allowed(options, [Choice(1, 1)], 89)
    with pytest.raises(AssertionError, match="is no choice among"):
        assert_allowed(options, [Choice(9, 9)], 1000)
    with pytest.raises(AssertionError, match="upgrades more than 10 weights"):
        assert_allowed(options, [Choice(0, 1, upgraded=11)], 1000)


@every_allocator
def test_ends_of_the_budget(method: Allocation) -> None:
    """The least budget leaves all at their cheapest, and an ample one protects everything."""
    options = [protection(10, 1.0), protection(20, 0.1)]
    assert allocate(options, 240, method) == (Choice(0, 0), Choice(0, 0))
    assert allocate(options, 480, method) == (Choice(8, 8), Choice(8, 8))
    assert allocate(options, 10**6, method) == (Choice(8, 8), Choice(8, 8))


@every_allocator
def test_a_tensor_with_one_option_takes_it(method: Allocation) -> None:
    """A floor of all bits leaves nothing to choose."""
    options = [Options(10, (16,), (0.0,)), protection(10, 1.0)]
    assert allocate(options, 160 + 90, method) == (Choice(0, 0), Choice(1, 1))


@every_allocator
def test_a_budget_below_the_cheapest_options_is_refused(method: Allocation) -> None:
    """The message names the budget and the least one."""
    with pytest.raises(ArgumentError, match="budget must be at least 240 cells for the cheapest options, got 239"):
        allocate([protection(10, 1.0), protection(20, 0.1)], 239, method)
