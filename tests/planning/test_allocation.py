"""Spending a budget of cells: optimal with a split tensor, optimal without, and the paper's greedy rule."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings

from qtaml.planning import Choice, Options, allocate, allocated_error, error_bound
from qtaml.planning.allocation import allocated_cells
from qtaml.theory import ROUNDING_BOUND, water_filling
from tests.allocation_problems import (
    BITS,
    any_options,
    assert_allowed,
    protection,
    protections,
    real_options,
    total_error,
)
from tests.reference.allocation import best_split_allocation, best_whole_allocation
from tests.tolerances import EXACT_MATHS

SOLVED = 1e-9
"""Relative error of an optimum of the integer program: options within 1e-9 of its bound are looked at."""


def error_of(options: Sequence[Options], budget: int, method: str) -> float:
    """Predicted error that a method reaches within the budget, after a look at what it spends."""
    choices = allocate(options, budget, method)
    assert_allowed(options, choices, budget)
    return total_error(options, choices)


def reference_case(options: Sequence[Options]) -> tuple[list[int], list[tuple[int, ...]], list[tuple[float, ...]]]:
    """The options as the plain references take them."""
    return [o.weights for o in options], [o.cells for o in options], [o.errors for o in options]


# Split


@pytest.mark.slow
@given(problem=protections())
@settings(max_examples=300, deadline=None)
def test_split_is_within_the_rounding_bound_of_the_continuous_optimum(problem: tuple[list[Options], int]) -> None:
    """Never above 1.26374 of what fractional bits would reach (paper A.13; for all scores and sizes theory.md 1.6).

    Every step of these options is one cell a weight, so a split spends whole budgets without a remainder.
    """
    options, budget = problem
    sizes = [option.weights for option in options]
    scores = [option.errors[0] / option.weights for option in options]
    depths = water_filling(scores, sizes, BITS, budget - BITS * sum(sizes))
    continuous = float((np.array(sizes) * np.array(scores) * 4.0**-depths).sum())
    assert error_of(options, budget, "split") <= ROUNDING_BOUND * continuous * (1 + 1e-9)


def test_the_rounding_bound_is_reached() -> None:
    """A tensor whose best depth is 0.612 bits: no split comes nearer to the continuous optimum."""
    weights, spare = 100_000, 61_199
    split = error_of([protection(weights, 1.0)], BITS * weights + spare, "split")
    continuous = weights * 4.0 ** -(spare / weights)
    assert split / continuous == pytest.approx(ROUNDING_BOUND, rel=1e-6)


@pytest.mark.slow
@given(problem=protections())
@settings(max_examples=200, deadline=None)
def test_split_reaches_the_bound_of_all_allocations(problem: tuple[list[Options], int]) -> None:
    """Where every step costs one cell a weight, split spends all that helps and equals `error_bound`."""
    options, budget = problem
    scale = sum(option.errors[0] for option in options)
    assert error_of(options, budget, "split") == pytest.approx(
        error_bound(options, budget), rel=1e-9, abs=scale * EXACT_MATHS
    )


@pytest.mark.slow
@given(problem=protections(most_weights=5))
@settings(max_examples=60, deadline=None)
def test_split_equals_the_best_choice_for_each_weight(problem: tuple[list[Options], int]) -> None:
    """Giving every single weight its own depth, by dynamic programming, is no better than splitting one tensor."""
    options, budget = problem
    best = best_split_allocation(*reference_case(options), budget)
    scale = sum(option.errors[0] for option in options)
    assert error_of(options, budget, "split") == pytest.approx(best, rel=1e-9, abs=scale * EXACT_MATHS)


@pytest.mark.slow
@given(problem=protections())
@settings(max_examples=200, deadline=None)
def test_split_splits_at_most_one_tensor(problem: tuple[list[Options], int]) -> None:
    """All others have one option for all their weights."""
    options, budget = problem
    choices = allocate(options, budget, "split")
    assert sum(choice.upgraded > 0 for choice in choices) <= 1
    for option, choice in zip(options, choices, strict=True):
        assert choice.high == choice.low + (choice.upgraded > 0)
        assert choice.upgraded < option.weights


# Integer and greedy


@pytest.mark.parametrize("seed", range(40))
def test_integer_equals_brute_force(seed: int) -> None:
    """On random small instances no allocation of whole tensors is better; greedy is never better, split never worse."""
    generator = np.random.default_rng(seed)
    bits = 4
    sizes = generator.integers(1, 60, int(generator.integers(1, 5))).tolist()
    options = [
        protection(size, float(score), bits) for size, score in zip(sizes, generator.lognormal(0, 2, 9), strict=False)
    ]
    budget = bits * sum(sizes) + int(generator.integers(0, bits * sum(sizes) + 1))
    best = best_whole_allocation(*reference_case(options), budget)
    integer = error_of(options, budget, "integer")
    assert integer == pytest.approx(best, rel=SOLVED)
    assert integer <= error_of(options, budget, "greedy") * (1 + SOLVED)
    assert error_of(options, budget, "split") <= integer * (1 + SOLVED)
    assert error_bound(options, budget) <= integer * (1 + SOLVED)


@pytest.mark.slow
@given(problem=protections())
@settings(max_examples=60, deadline=None)
def test_order_of_the_methods(problem: tuple[list[Options], int]) -> None:
    """The bound is below split, split below integer, integer below greedy, on instances of any size."""
    options, budget = problem
    split, integer, greedy = (error_of(options, budget, method) for method in ("split", "integer", "greedy"))
    slack = sum(option.errors[0] for option in options) * EXACT_MATHS
    assert error_bound(options, budget) <= split * (1 + SOLVED) + slack
    assert split <= integer * (1 + SOLVED) + slack
    assert integer <= greedy * (1 + SOLVED) + slack


def test_greedy_can_be_far_off() -> None:
    """Theory.md 1.6: a small tensor that is worth a little more a cell keeps the large one out of the budget.

    Greedy starts with the one weight of score 1, and then the hundred weights of score 0.99 no longer fit.
    """
    options = [protection(1, 1.0), protection(100, 0.99)]
    budget = 8 * 101 + 100
    assert allocate(options, budget, "greedy") == (Choice(8, 8), Choice(0, 0))
    assert allocate(options, budget, "integer") == (Choice(0, 0), Choice(1, 1))
    assert error_of(options, budget, "greedy") / error_of(options, budget, "integer") > 3.8


def test_greedy_is_far_off_on_random_instances_too() -> None:
    """Of 2000 random pairs of tensors it misses the best allocation in about 5 %, and the worst by a factor of 3.7."""
    generator = np.random.default_rng(0)
    ratios = []
    for _ in range(2000):
        sizes, scores = generator.integers(1, 100, 2).tolist(), generator.lognormal(0, 1.5, 2).tolist()
        options = [protection(size, score, 4) for size, score in zip(sizes, scores, strict=True)]
        budget = 4 * sum(sizes) + int(generator.integers(0, 2 * sum(sizes)))
        ratios.append(error_of(options, budget, "greedy") / best_whole_allocation(*reference_case(options), budget))
    assert min(ratios) >= 1 - EXACT_MATHS
    assert 0.02 < np.mean(np.array(ratios) > 1 + EXACT_MATHS) < 0.1
    assert max(ratios) > 3.5


# Any options


@pytest.mark.slow
@given(problem=any_options())
@settings(max_examples=150, deadline=None)
def test_any_options_are_allocated_within_the_budget(problem: tuple[list[Options], int]) -> None:
    """Errors need not fall, nor fall ever more slowly: the integer program is still the best of all."""
    options, budget = problem
    best = best_whole_allocation(*reference_case(options), budget)
    integer = error_of(options, budget, "integer")
    assert integer == pytest.approx(best, rel=SOLVED, abs=SOLVED)
    assert integer <= error_of(options, budget, "greedy") + SOLVED
    assert error_bound(options, budget) <= error_of(options, budget, "split") + SOLVED
    assert error_bound(options, budget) <= integer + SOLVED


@pytest.mark.slow
@given(problem=any_options())
@settings(max_examples=150, deadline=None)
def test_split_leaves_over_less_than_the_widest_step(problem: tuple[list[Options], int]) -> None:
    """It is no worse than the bound for a budget smaller by what one weight's widest step may leave unspent."""
    options, budget = problem
    least = sum(option.weights * option.cells[0] for option in options)
    widest = max(option.cells[-1] - option.cells[0] for option in options)
    reached = error_of(options, budget, "split")
    assert reached <= error_bound(options, max(least, budget - max(0, widest - 1))) + SOLVED


def test_split_climbs_over_an_option_that_does_not_pay() -> None:
    """Where a second bit brings more than the first, split goes both at once and upgrades only so many weights."""
    options = [Options(10, (8, 9, 10), (10.0, 9.0, 0.0))]
    assert allocate(options, 100, "split") == (Choice(2, 2),)
    assert allocate(options, 90, "split") == (Choice(0, 2, upgraded=5),)
    assert total_error(options, allocate(options, 90, "split")) == error_bound(options, 90) == 5.0


def test_split_skips_an_option_that_harms() -> None:
    """An error that rises before it falls is passed over."""
    options = [Options(10, (8, 9, 10), (4.0, 5.0, 1.0))]
    assert allocate(options, 100, "split") == (Choice(2, 2),)


def test_error_of_a_split_choice() -> None:
    """Every weight carries its share of the error of its own option."""
    option = Options(10, (8, 9), (4.0, 1.0))
    assert allocated_error(option, Choice(0, 0)) == 4.0
    assert allocated_error(option, Choice(1, 1)) == 1.0
    assert allocated_error(option, Choice(0, 1, upgraded=5)) == 2.5


# Options of any real cells


@pytest.mark.slow
@given(problem=real_options())
@settings(max_examples=150, deadline=None)
def test_integer_is_the_best_of_all_choices_of_real_cells(problem: tuple[list[Options], float]) -> None:
    """Against every choice."""
    options, budget = problem
    choices = allocate(options, budget, "integer")
    best = best_whole_allocation(*reference_case(options), budget)
    assert allocated_cells(options, choices) <= budget
    assert total_error(options, choices) == pytest.approx(best, rel=1e-6)
    assert error_bound(options, budget) <= best * (1 + EXACT_MATHS)


@pytest.fixture(scope="module")
def ten_thousand() -> list[Options]:
    """Groups of fifty options each, whose errors fall about exponentially with the cells."""
    random = np.random.default_rng(0)
    cells = np.sort(random.uniform(0, 12, (10_000, 50)), axis=1)
    decay = random.uniform(0.5, 1.5, (10_000, 1))
    errors = random.lognormal(0, 3, (10_000, 1)) * np.exp(-decay * cells) * random.uniform(0.8, 1.2, (10_000, 50))
    sizes = random.integers(1, 5000, 10_000)
    return [
        Options(int(size), tuple(cost), tuple(error))
        for size, cost, error in zip(sizes, cells.tolist(), errors.tolist(), strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["split", "integer"])
@pytest.mark.parametrize("share", [pytest.param(0.05, marks=pytest.mark.long), 0.4])
def test_ten_thousand_groups_of_fifty_options_are_certified(
    ten_thousand: list[Options], method: str, share: float
) -> None:
    """Within 0.1 per cent of the least that any allocation can reach."""
    least, most = (sum(option.weights * option.cells[end] for option in ten_thousand) for end in (0, -1))
    budget = least + share * (most - least)
    choices = allocate(ten_thousand, budget, method)
    assert allocated_cells(ten_thousand, choices) <= budget
    assert total_error(ten_thousand, choices) <= 1.001 * error_bound(ten_thousand, budget)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_tensors_alike_but_for_their_sizes_end_near_the_bound(share: float) -> None:
    """Millions of allocations are nearly as good: the search is thinned, and within 1e-4 of what no one can reach."""
    sizes = np.random.default_rng(5).integers(10**6, 10**7, 60)
    options = [protection(int(size), 1.0) for size in sizes]
    budget = int((1 + share) * BITS * sizes.sum())
    assert error_of(options, budget, "integer") <= error_bound(options, budget) * (1 + 1e-4)


def test_standard_output_belongs_to_the_other_threads(capfd: pytest.CaptureFixture[str]) -> None:
    """What another thread prints while allocations are solved arrives whole, and nothing else does."""
    random = np.random.default_rng(7)
    options = [protection(int(size), score) for size, score in zip(
        random.integers(1, 10**6, 40), random.lognormal(0, 2, 40), strict=True)]  # fmt: skip
    budgets = (BITS * sum(option.weights for option in options) * random.uniform(1, 1.9, 20)).astype(int).tolist()
    printed = 0
    with ThreadPoolExecutor(1) as pool:
        solved = pool.submit(lambda: [allocate(options, budget, "integer") for budget in budgets])
        while not solved.done() or not printed:
            printed += os.write(1, b"a line\n")
    assert len(solved.result()) == len(budgets)
    assert capfd.readouterr().out == "a line\n" * (printed // len("a line\n"))
