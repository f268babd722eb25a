"""From a transmission to a lost bit: escape of an electron, the escape count of a cell, operating regimes."""

from enum import StrEnum
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy import special

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.tails import LARGEST_LOG, log_binomial_tail, log_poisson_tail
from qtaml.errors import ArgumentError

# Conventions: the paper gives no numbers. At 0.01 the rare-event formula p = nu tau T of a cell of one electron is off
# by half a percent.
RARE_BELOW = 0.01
SATURATED_ABOVE = 0.99

# Smaller actions are a transmission of 1 to rounding; the floor keeps its logarithm finite.
_SMALLEST_ACTION = 1e-300


class Regime(StrEnum):
    """The paper's three operating regimes of a cell.

    Source:
        paper A.2 "Operating regimes"; theory.md 1.1.

    Example:
        >>> str(Regime.RARE)
        'rare'
    """

    RARE = "rare"
    TRANSITION = "transition"
    SATURATED = "saturated"


def log_exposure(log_transmission: ArrayLike, log_attempts: ArrayLike) -> Array:
    """Logarithm of the exposure nu tau (-ln(1 - T)), the exponent of an electron's escape.

    The electron escapes with probability 1 - (1 - T)^(nu tau) = 1 - exp(-exp(log_exposure)). For small T the exposure
    is nu tau T.

    Args:
        log_transmission: ln T, at most 0.
        log_attempts: ln of nu tau, the number of attempts in the window.

    Returns:
        Natural logarithms, of the broadcast shape.

    Source:
        paper Lemma A.8; theory.md 1.1.

    Example:
        >>> float(log_exposure(-1e5, 20.0))
        -99980.0
    """
    action = np.maximum(-np.asarray(log_transmission, dtype=np.float64), _SMALLEST_ACTION)
    # There -ln(1 - T) equals T to rounding, and T itself underflows from an action of 745 on.
    opaque = action > 40.0
    near, far = np.clip(action, None, 0.7), np.clip(action, 0.7, 40.0)
    # ln(1 - e^-S) by the form that keeps its digits on each side of ln 2.
    log_reflection = np.where(action < 0.7, np.log(-np.expm1(-near)), np.log1p(-np.exp(-far)))
    return np.asarray(np.where(opaque, -action, np.log(-log_reflection)) + np.asarray(log_attempts))


def log_escape_probability(log_exposure: ArrayLike) -> Array:
    """Logarithm of p_e = 1 - exp(-exposure), the probability that a given electron escapes in the window.

    Args:
        log_exposure: as from `log_exposure`.

    Returns:
        Natural logarithms, of the same shape.

    Source:
        paper Lemma A.8; theory.md 1.1.

    Example:
        >>> float(log_escape_probability(-5000.0))
        -5000.0
    """
    return log_binomial_tail(1, 0, log_exposure)


def log_lost_probability(electrons: ArrayLike, threshold: ArrayLike, log_exposure: ArrayLike) -> Array:
    """Logarithm of P(X > n_th) for X ~ Binomial(N_e, p_e), the number of electrons that escape: the paper's p_flip.

    P(X > n) = I_{p_e}(n + 1, N_e - n), the regularised incomplete beta function.

    Args:
        electrons: N_e, whole numbers.
        threshold: n_th, whole numbers.
        log_exposure: as from `log_exposure`.

    Returns:
        Natural logarithms, of the broadcast shape.

    Source:
        paper Definition A.9; theory.md 1.1.

    Example:
        >>> round(float(np.exp(log_lost_probability(1, 0, np.log(np.log(2))))), 12)
        0.5
    """
    return log_binomial_tail(electrons, threshold, log_exposure)


def log_lost_probability_poisson(threshold: ArrayLike, log_mean: ArrayLike) -> Array:
    """Poisson limit of `log_lost_probability` for many electrons that each rarely escape.

    P(Y > n) = 1 - exp(-m) sum_{j <= n} m^j/j! with m = N_e p_e.

    Args:
        threshold: n_th, whole numbers.
        log_mean: ln of the mean escape count N_e p_e.

    Returns:
        Natural logarithms, of the broadcast shape.

    Source:
        paper Proposition A.10; theory.md 1.1.

    Example:
        >>> round(float(np.exp(log_lost_probability_poisson(3, 0.0))), 6)
        0.018988
    """
    return log_poisson_tail(threshold, log_mean)


def log_lost_probability_rare(threshold: ArrayLike, log_mean: ArrayLike) -> Array:
    """Rare-event asymptotic mean^(n_th+1)/(n_th+1)!, an upper bound of the Poisson tail.

    Args:
        threshold: n_th, whole numbers.
        log_mean: ln of the mean escape count N_e p_e.

    Returns:
        Natural logarithms, of the broadcast shape; above 0 outside the rare regime.

    Source:
        paper Proposition A.10; theory.md 1.1.

    Example:
        >>> round(float(log_lost_probability_rare(0, -700.0)), 6)
        -700.0
    """
    order = np.asarray(threshold, dtype=np.float64) + 1
    return np.asarray(order * np.asarray(log_mean) - special.gammaln(order + 1))


def escape_count(electrons: int, log_exposure: float) -> Any:
    """Law of the number of electrons that escape: Binomial(N_e, p_e).

    Args:
        electrons: N_e.
        log_exposure: as from `log_exposure`.

    Returns:
        A frozen scipy distribution with `.pmf`, `.mean`, `.rvs` and so on.

    Raises:
        ArgumentError: if there is no electron.

    Source:
        paper A.2; theory.md 1.1.

    Example:
        >>> round(float(escape_count(100, np.log(np.log(2))).mean()), 9)
        50.0
    """
    exposure = np.exp(min(_checks.real("log_exposure", log_exposure), LARGEST_LOG))
    return scipy.stats.binom(_checks.integer("electrons", electrons, 1), -np.expm1(-exposure))


def regime(lost_probability: float) -> Regime:
    """Operating regime of a lost-bit probability.

    The paper orders the regimes by the mean escape count against the threshold (far below, about equal, far above); for
    a given cell that order is the order of p, and p says directly whether errors are sparse.

    Args:
        lost_probability: the probability that a charged cell loses its bit.

    Returns:
        RARE below 0.01, SATURATED above 0.99, TRANSITION between.

    Raises:
        ArgumentError: if the argument is not a probability.

    Source:
        paper A.2 "Operating regimes"; the two borders are chosen here.

    Example:
        >>> regime(0.1)
        <Regime.TRANSITION: 'transition'>
    """
    p = _checks.probability("lost_probability", lost_probability)
    if p < RARE_BELOW:
        return Regime.RARE
    return Regime.SATURATED if p > SATURATED_ABOVE else Regime.TRANSITION


def check_electrons(electrons: int, threshold: int) -> None:
    """Raise `ArgumentError` unless there is an electron and the threshold can be exceeded."""
    _checks.integer("electrons", electrons, 1)
    if _checks.integer("threshold", threshold, 0) >= electrons:
        raise ArgumentError(
            f"threshold must be below the {electrons} electrons (a bit is lost when more than threshold escape), "
            f"got {threshold!r}"
        )
