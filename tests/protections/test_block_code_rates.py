"""Rates of the shipped block codes at any error rate: bounds, estimates, and what a guaranteed rate costs."""

from itertools import chain, pairwise
from typing import get_args

import numpy as np
import pytest
from scipy import special, stats

from qtaml.protections import BlockCode, HardenedCell
from qtaml.protections.block_codes import CodeRates, Measured, MeasuredCode, all_rates, block_code_table, capacity_gap
from qtaml.protections.pareto_front import AnyProtection
from tests.tolerances import FALSE_ALARM

CODES = block_code_table().codes
RISK = 0.05 / 6
"""Of each of the bounds that make one."""


def rates_of(points, size=(1000, 2480)):
    """Rates of a code that was measured at some points."""
    return CodeRates(*size, ((MeasuredCode(*size, tuple(points)), 1.0),))


def test_bound_without_a_wrong_block():
    """4.8 / words of them may be wrong: half of their bits, or the share seen at a larger error rate."""
    none = Measured(0.1, 1000, 0, 0.0, 0.0)
    assert none.wrong_words(RISK) == pytest.approx(1 - RISK ** (1 / 1000), rel=1e-9)
    assert rates_of([none]).bound(0.1) == pytest.approx(0.5 * none.wrong_words(RISK))
    beyond = Measured(0.2, 10, 10, 0.1, 0.0)
    code = rates_of([none, beyond])
    assert (code.bound(0.1), code.bound(0.2)) == pytest.approx((0.1 * none.wrong_words(RISK), 0.1))
    assert code.bound(0.05) == code.bound(0.1)
    assert code.bound(0.21) == 0.5


def test_bound_covers_at_a_point_and_between_two():
    """A code of known rates: the bound lies below them in at most 5% of runs, false alarms 1e-6 each.

    The quantile of wrong blocks is a straight line in the capacity gap, and a Beta(2, 18) share of their bits is wrong.
    """
    random, runs, grid = np.random.default_rng(0), 400, (0.105, 0.115, 0.125)
    true = [special.ndtr(1.85 * 0.8 - 0.8 * capacity_gap(p, 1000, 2480)) for p in grid]
    below = np.zeros(3, int)
    for _ in range(runs):
        points = []
        for p, rate in list(zip(grid, true, strict=True))[::2]:
            shares = random.beta(2, 18, random.binomial(2000, rate))
            points.append(
                Measured(p, 2000, len(shares), *((shares.mean(), shares.std(ddof=1)) if len(shares) > 1 else (0, 0)))
            )
        code = rates_of(points)
        below += [code.bound(p) < rate * 0.1 for p, rate in zip(grid, true, strict=True)]
    assert (below <= stats.binom.isf(FALSE_ALARM, runs, 0.05)).all()


@pytest.mark.slow
def test_bounds_grow_with_errors_and_lie_above_estimates():
    """In every code, measured or between two, from no errors to one half of them."""
    for code in BlockCode.candidates(0.1, 0.1)[::3]:
        points = code.rates.parts[0][0].points
        grid = [0.0, 1e-4, *np.geomspace(points[0].p / 1.02, points[-1].p * 1.02, 25), 0.46, 0.5]
        bounds, estimates = ([one.residual(p, p)[0] for p in np.sort(grid)] for one in (code, code.as_read))
        assert all(low <= high * (1 + 1e-12) for rates in (bounds, estimates) for low, high in pairwise(rates)), code
        assert all(estimate <= bound for estimate, bound in zip(estimates, bounds, strict=True)), code
        assert bounds[0] == estimates[0] == 0
        assert not code.as_read.is_bound


def left_out_points():
    """Each inner point of each code, with what the other points of the code say of it."""
    for code in CODES:
        for place in range(1, len(code.points) - 2):
            others = code.points[:place] + code.points[place + 1 :]
            yield code.points[place], rates_of(others, (code.data_bits, code.code_bits))


def left_out_codes():
    """Each code of 1000 data bits but the shortest and the longest, with what its two neighbours say of it."""
    family = [code for code in CODES if code.data_bits == 1000]
    for low, code, high in zip(family, family[1:], family[2:], strict=False):
        # Neighbours of different graphs of 5G have nothing between them.
        if len(list(all_rates([low, high]))) > 2:
            weight = (code.code_bits - low.code_bits) / (high.code_bits - low.code_bits)
            rates = CodeRates(1000, code.code_bits, ((low, 1 - weight), (high, weight)))
            yield from ((point, rates) for point in code.points[:-2])


@pytest.mark.slow
@pytest.mark.parametrize("left_out", [left_out_points, left_out_codes])
def test_what_was_left_out(left_out):
    """The bound may lie below what was counted in 5% of cases; the estimate is near in nearly all.

    Near: half of the estimates of wrong blocks are within a third of what was counted, where twenty were.
    """
    cases = list(left_out())
    below = sum(point.wrong * point.share / point.words > rates.bound(point.p) for point, rates in cases)
    assert below <= stats.binom.isf(FALSE_ALARM, len(cases), 0.05)
    counted = [(point, rates) for point, rates in cases if point.wrong >= 20]
    off = [rates.estimate(point.p)[0] * point.words / point.wrong for point, rates in counted]
    assert len(off) > 50
    assert 3 / 4 < np.quantile(off, 0.25) < np.quantile(off, 0.75) < 4 / 3


@pytest.mark.parametrize(("size", "p"), [((1000, 2480), 0.105), ((1000, 1810), 0.053)])
def test_as_many_wrong_blocks_as_were_seen_elsewhere(size, p):
    """0 of 600 in a simulation of its own (2025): likely at the estimated rate, and possible at the bound."""
    code = BlockCode(*size)
    wrong, share = code.rates.estimate(p)
    assert (1 - wrong) ** 600 > 0.2
    assert code.residual(p, p)[0] < 1e-3
    assert wrong * share == code.as_read.residual(p, p)[0] > 0


def test_wrong_blocks_get_worse_with_more_errors():
    """What the bounds rest on: in every code the mean share of wrong bits is larger far beyond its error rate."""
    for code in CODES:
        means = [point.share for point in code.points if point.wrong >= 5]
        assert means[-1] > max(means[:-1], default=0)


def by_price(bits):
    """Every protection of blocks of at most so many bits that does not depend on the cell, cheapest first."""
    families = (one for one in get_args(AnyProtection) if one is not HardenedCell)
    everything = chain.from_iterable(family.candidates(0.1, 0.1) for family in families)
    return sorted(
        (one for one in everything if one.decoder != "ideal" and one.block[0] <= bits), key=lambda one: one.cells
    )


@pytest.mark.parametrize(
    ("target", "bits", "last", "most"),
    [
        (1e-3, 8448, 0.21, 1.03),
        (1e-3, 3800, 0.21, 1.03),
        (1e-3, 2000, 0.21, 1.03),
        (1e-3, 1000, 0.21, 1.03),
        (1e-4, 8448, 0.12, 1.03),
        # Where stored bits are repeated, capacity itself falls by 2% for 1% of p.
        (1e-3, 8448, 0.24, 1.045),
    ],
)
def test_prices_do_not_jump(target, bits, last, most):
    """Raw error rates from 0.2% on, 1% apart: the least cells for a guaranteed rate grow by less than 3%."""
    cheapest = iter(by_price(bits))
    one, prices = next(cheapest), []
    for p in 0.002 * 1.01 ** np.arange(int(np.log(last / 0.002) / np.log(1.01))):
        # What leaves too many errors leaves too many for all larger p.
        while one.residual(p, p)[0] >= target:
            one = next(cheapest)
        prices.append(one.cells)
    assert max(after / before for before, after in pairwise(prices)) < most
