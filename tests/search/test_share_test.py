"""A test of a share that looks after every chip: its errors by exact sums over all that can come."""

import math

import pytest
from scipy import integrate, stats

from qtaml.search.share_test import log_capital, share_is_reached


def answers(good: float, share: float, error: float, most: int) -> tuple[float, float, float]:
    """Exact probabilities of "reached" and "not reached" within so many chips, and the mean number of chips."""
    alive, reached, missed, chips = {0: 1.0}, 0.0, 0.0, 0.0
    for number in range(1, most + 1):
        after: dict[int, float] = {}
        for bad, probability in alive.items():
            after[bad] = after.get(bad, 0.0) + probability * good
            after[bad + 1] = after.get(bad + 1, 0.0) + probability * (1 - good)
        alive, chips = {}, chips + sum(after.values())
        for bad, probability in after.items():
            more, fewer = log_capital(number - bad, bad, share)
            if more >= -math.log(error):
                reached += probability
            elif fewer >= -math.log(error):
                missed += probability
            else:
                alive[bad] = probability
    return reached, missed, chips


@pytest.mark.parametrize(("share", "error"), [(0.95, 0.05), (0.9, 0.025), (0.5, 0.1)])
def test_a_wrong_answer_is_as_rare_as_said(share: float, error: float) -> None:
    """Just at the border, where either answer is the hardest to avoid; within 200 chips, looking after each."""
    reached, missed, _ = answers(share, share, error, 200)
    assert 0 < reached <= error
    assert 0 < missed <= error


def test_clear_cases_take_few_chips() -> None:
    """All good: 68 where 59 is the least there can be; half of them: a handful."""
    assert answers(1.0, 0.95, 0.05, 100) == pytest.approx((1.0, 0.0, 68.0))
    reached, missed, chips = answers(0.5, 0.95, 0.05, 100)
    assert (reached, missed) == pytest.approx((0.0, 1.0), abs=1e-3)
    assert chips < 6


@pytest.mark.parametrize(("good", "bad"), [(0, 0), (3, 0), (0, 4), (40, 3), (5, 60), (3000, 10)])
def test_capital_is_the_mean_likelihood_ratio(good: int, bad: int) -> None:
    """Against numerical integration over the shares of each side, and one half on "all are good"."""
    share = 0.9

    def ratio(x: float) -> float:
        return float(stats.binom.pmf(good, good + bad, x) / stats.binom.pmf(good, good + bad, share))

    peak = min(max(good / (good + bad), 0.01), 0.99) if good + bad else 0.5
    above = integrate.quad(ratio, share, 1, points=[peak] if peak > share else None)[0] / (1 - share)
    below = integrate.quad(ratio, 0, share, points=[peak] if peak < share else None)[0] / share
    more, fewer = log_capital(good, bad, share)
    assert math.exp(more) == pytest.approx((above + ratio(1.0)) / 2, rel=1e-6, abs=1e-12)
    assert math.exp(fewer) == pytest.approx(below, rel=1e-6, abs=1e-12)


def test_no_chip_is_looked_at_after_the_answer() -> None:
    """Each costs reads."""
    chips = iter([True] * 100)
    assert share_is_reached(chips, 0.95, error=0.05) is True
    assert len(list(chips)) == 100 - 68


def test_many_chips_do_not_overflow() -> None:
    """A million of them, on either side."""
    assert log_capital(10**6, 0, 0.95)[0] > 1e4
    assert log_capital(0, 10**6, 0.95)[1] > 1e4
    assert log_capital(0, 10**6, 0.95)[0] == -math.inf
