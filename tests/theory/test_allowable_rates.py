"""Allowable flip probabilities against brute force."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qtaml.device import refresh_intervals
from qtaml.errors import ArgumentError
from qtaml.theory import allowable_rates


def by_brute_force(effects, cells, error, order, most):
    """The least cost on a grid of the first three rates, the last of which the budget leaves room for."""
    axis = most * np.geomspace(1e-4, 1.0, 81)
    rates = np.stack([*(one.ravel() for one in np.meshgrid(axis, axis, axis)), np.zeros(axis.size**3)])
    left = error - np.sum((cells * effects)[:3, None] * rates[:3], axis=0)
    rates[3] = np.minimum(left / (cells[3] * effects[3]), most)
    allowed = rates[:, left > 0]
    return float(cost(allowed, cells, order, most).min())


def cost(rates, cells, order, most):
    """Of all cells: refreshes, or thickness up to a factor; of each column of rates."""
    each = np.log(most / rates) if math.isinf(order) else (most / rates) ** (1 / order)
    return cells @ each


@pytest.mark.parametrize("order", [0.5, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("error", [0.01, 0.5, 5.0])
def test_brute_force_finds_no_lower_cost(order, error):
    """Half a million allocations to four classes; the best of them is within 1% above."""
    effects, cells, most = np.array([1e-2, 1.0, 4.0, 16.0]), np.array([20.0, 3.0, 2.0, 1.0]), 0.4
    rates = allowable_rates(effects, cells, error, order=order, most=most)
    assert np.sum(cells * effects * rates) <= error * (1 + 1e-9)
    assert rates.max() <= most
    least, found = by_brute_force(effects, cells, error, order, most), cost(rates, cells, order, most)
    assert found <= least * (1 + 1e-9) <= found * 1.01 + 0.01


@given(
    st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 50)), min_size=1, max_size=6),
    st.floats(1e-3, 1e3),
    st.sampled_from([0.5, 1.0, 2.0, 11.0, math.inf]),
)
@example(classes=[(5e-324, 1)], error=1.0, order=0.5)
@example(classes=[(5e-324, 1), (1.0, 2)], error=0.1, order=math.inf)
def test_the_conditions_of_karush_kuhn_and_tucker_hold(classes, error, order):
    """One multiplier for all classes below the largest p, and the budget is spent unless all are at it."""
    effects, cells = (np.array(column, dtype=float) for column in zip(*classes, strict=True))
    rates = allowable_rates(effects, cells, error, order=order, most=0.25)
    below = rates < 0.25 * (1 - 1e-9)
    if below.any():
        assert np.sum(cells * effects * rates) == pytest.approx(error, rel=1e-6)
        # Cost saved for each error added, by a change of ln p.
        slope = np.ones(below.sum()) if math.isinf(order) else (0.25 / rates[below]) ** (1 / order)
        assert np.allclose(
            slope / (effects[below] * rates[below]), (slope / (effects[below] * rates[below]))[0], rtol=1e-6
        )
    else:
        assert np.sum(cells * effects) * 0.25 <= error * (1 + 1e-9)


def test_bits_of_a_word_get_the_refresh_intervals_of_the_device():
    """For p ~ window**(n_th + 1): intervals by 4**(-i/(n_th + 2)), as `refresh_intervals` has them."""
    order, bits = 3, 6
    rates = allowable_rates(4.0 ** np.arange(bits), np.ones(bits), 1e-3, order=order)
    intervals = rates ** (1 / order)
    known = refresh_intervals(1.0, bits, order - 1)
    assert np.allclose(intervals / intervals[0], known / known[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (([1.0], [1, 2], 1.0, 1.0), r"effects and cells must be of one length, got shapes \(1,\) and \(2,\)"),
        (([-1.0], [1], 1.0, 1.0), "effects must be at least 0 and cells above 0"),
        (([1.0], [1], 0.0, 1.0), "error must be above 0, got 0"),
        (([1.0], [1], 1.0, 0.0), "order must be above 0, got 0"),
        (([1.0], [1], 1.0, -math.inf), "order must"),
    ],
)
def test_numbers_without_a_meaning_are_refused(asked, told):
    """At the door."""
    *numbers, order = asked
    with pytest.raises(ArgumentError, match=told):
        allowable_rates(*numbers, order=order)
