"""The search of the least overhead, on curves that are known."""

from types import SimpleNamespace

import pytest

from reproduction import least_overhead
from reproduction.least_overhead import OVERHEADS, RESOLUTION, TARGET

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


def answer(search, accuracy):
    """Run a search on a curve with clean accuracy 1; returns its answer and the budgets that it asked."""
    asked = []
    try:
        budgets = next(search)
        while True:
            asked += budgets
            results = [SimpleNamespace(mean=accuracy(budget)) for budget in budgets]
            records = [
                SimpleNamespace(result=result, clean=1.0, overhead=budget)
                for result, budget in zip(results, budgets, strict=True)
            ]
            budgets = search.send(records)
    except StopIteration as end:
        return end.value, asked


@pytest.mark.parametrize("budget", [0.0003, 0.0026, 0.0101, 0.07, 0.125, 0.3, 0.49, 0.7])
def test_the_search_finds_where_a_curve_crosses_the_target(budget):
    """A straight line through (budget, target) is met exactly, also below and above the grid."""

    def accuracy(x):
        return TARGET + 0.1 * (x - budget) if x < 1 else 1.0

    found, asked = answer(least_overhead._search(RESOLUTION), accuracy)
    assert found == pytest.approx(budget, rel=1e-9)
    assert len(asked) < 16
    assert len(asked) == len(set(asked))


def test_the_search_is_near_on_a_step():
    """Where accuracy jumps, the answer is within the resolution."""

    def accuracy(x):
        return 0.99 if x >= 0.03 else 0.5

    found, _ = answer(least_overhead._search(RESOLUTION), accuracy)
    assert 0.03 / RESOLUTION <= found <= 0.03 * RESOLUTION


def test_a_target_below_everything_ends_at_the_least_budget():
    """If even hardly any protection is enough the search stops; what it says is then an upper bound."""
    found, _ = answer(least_overhead._search(RESOLUTION), lambda x: 1.0)
    assert 0 < found <= OVERHEADS[0] / 64


@pytest.mark.parametrize(("needed", "whole"), [(0.05, 1), (0.125, 1), (0.13, 2), (0.3, 3), (0.99, 8)])
def test_whole_k_is_the_first_that_reaches_the_target(needed, whole):
    """In eighths, with all bits protected at the end."""
    found, asked = answer(least_overhead._first_whole(RESOLUTION), lambda x: 1.0 if x >= needed else 0.0)
    assert found == whole / 8
    assert asked == [k / 8 for k in range(1, min(whole, 7) + 1)]
