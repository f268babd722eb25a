"""Is a share of all chips good? A test that looks after every chip and stops as soon as it knows."""

import math
from collections.abc import Iterable

import numpy as np
from scipy import special


def share_is_reached(outcomes: Iterable[bool], share: float, *, error: float) -> bool | None:
    """Whether at least a share of all chips is good, from one chip after the other.

    Two bets are kept while the chips come in: one that more than `share` of them are good, and one that fewer are. Were
    the truth not as a bet says, its capital would not grow in expectation, whatever the number of chips, and would ever
    reach 1/error with a probability of at most `error` (Ville). So each answer is wrong with at most that probability,
    however often one looks.

    A bet spreads its capital evenly over all shares on its side; half of that on more goes on "all are good", which
    decides it after 68 chips for a share of 0.95 and an error of 0.05, where a test of a fixed size takes 59.

    Args:
        outcomes: whether each chip is good.
        share: between 0 and 1.
        error: the most probability of either wrong answer, between 0 and 1.

    Returns:
        Whether it is reached; None if the chips end before that is known.

    Source:
        theory.md 1.9; Ville, Etude critique de la notion de collectif, 1939; Robbins and Siegmund, Proc. Sixth
        Berkeley Symposium 4, 1972, for mixtures over the alternative.

    Example:
        >>> share_is_reached([True] * 100, 0.95, error=0.05)
        True
        >>> share_is_reached([False, True, False, False], 0.95, error=0.05)
        False
        >>> share_is_reached([True] * 60, 0.95, error=0.05) is None
        True
    """
    enough, good, bad = -math.log(error), 0, 0
    for outcome in outcomes:
        good, bad = good + outcome, bad + (not outcome)
        more, fewer = log_capital(good, bad, share)
        if more >= enough:
            return True
        if fewer >= enough:
            return False
    return None


def log_capital(good: int, bad: int, share: float) -> tuple[float, float]:
    """Logarithms of the capital, 1 at first, of the bets that more and that fewer chips than a share are good.

    With k good and f bad chips, the bet on a share x has the likelihood ratio x**k (1 - x)**f / (s**k (1 - s)**f). Its
    mean over the x of one side is an incomplete beta function.
    """
    at_share = good * math.log(share) + bad * math.log1p(-share)
    whole = float(special.betaln(good + 1, bad + 1)) - at_share
    # Either may underflow to 0, where the bet has lost all.
    with np.errstate(divide="ignore"):
        below = float(np.log(special.betainc(good + 1, bad + 1, share)))
        above = float(np.log(special.betaincc(good + 1, bad + 1, share)))
    spread = whole + above - math.log1p(-share)
    all_good = -at_share if bad == 0 else -math.inf
    return float(np.logaddexp(spread, all_good)) - math.log(2), whole + below - math.log(share)
