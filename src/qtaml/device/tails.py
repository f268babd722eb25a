"""Upper tails of the escape count in log space: binomial, Poisson, and the sum of both.

scipy's tails underflow near 1e-308. Below `_SMALLEST_DIRECT` the tail is its first term times a series that converges
geometrically there; the result is the sum of both logarithms.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from qtaml.device._arrays import Array

# Below this the tails of scipy lose digits to underflow.
_SMALLEST_DIRECT = 1e-290

# exp() of more overflows; an exposure or mean this large is certain to empty any cell.
LARGEST_LOG = 700.0


def log_binomial_tail(electrons: ArrayLike, threshold: ArrayLike, log_exposure: ArrayLike) -> Array:
    """Logarithm of P(X > threshold) for X ~ Binomial(electrons, p) with p = 1 - exp(-exp(log_exposure)).

    P(X > n) = I_p(n + 1, N - n), and in the far tail
    ln I_x(a, b) = a ln x + b ln(1-x) - ln a - ln B(a, b) + ln 2F1(a+b, 1; a+1; x).

    Args:
        electrons: N, whole numbers.
        threshold: n, whole numbers; below 0 the probability is 1, from N on it is 0.
        log_exposure: ln of -ln(1 - p), so that neither p nor 1 - p loses digits.

    Returns:
        Natural logarithms, of the broadcast shape.

    Source:
        theory.md 1.1; paper Definition A.9.

    Example:
        >>> round(float(np.exp(log_binomial_tail(10_000, 3, np.log(1e-4)))), 4)
        0.019
    """
    total, lost, exposure = _broadcast(electrons, threshold, log_exposure)
    # Valid parameters everywhere: thresholds below 0 or from N on are put right at the end.
    b = np.maximum(total - np.clip(lost, 0, None), 1.0)
    a = np.clip(lost, 0, None) + 1.0
    log_stay = -np.exp(np.minimum(exposure, LARGEST_LOG))
    escape = -np.expm1(log_stay)
    inside = _log_with_series(
        np.asarray(special.betainc(a, b, escape)),
        np.asarray(special.betaincc(a, b, escape)),
        lambda far: _log_beta_series(a[far], b[far], exposure[far], log_stay[far]),
    )
    return np.asarray(np.where(lost < 0, 0.0, np.where(lost >= total, -np.inf, inside)))


def log_poisson_tail(threshold: ArrayLike, log_mean: ArrayLike) -> Array:
    """Logarithm of P(Y > threshold) for Y ~ Poisson(exp(log_mean)).

    P(Y > n) = P(n + 1, mean), the regularised incomplete gamma function.

    Args:
        threshold: whole numbers; below 0 the probability is 1.
        log_mean: ln of the mean.

    Returns:
        Natural logarithms, of the broadcast shape.

    Source:
        theory.md 1.1; paper Proposition A.10.

    Example:
        >>> round(float(np.exp(log_poisson_tail(3, 0.0))), 6)
        0.018988
    """
    lost, log_means = _broadcast(threshold, log_mean)
    a = np.clip(lost, 0, None) + 1.0
    mean = np.exp(np.minimum(log_means, LARGEST_LOG))
    inside = _log_with_series(
        np.asarray(special.gammainc(a, mean)),
        np.asarray(special.gammaincc(a, mean)),
        lambda far: _log_gamma_series(a[far], mean[far], log_means[far]),
    )
    return np.asarray(np.where(lost < 0, 0.0, inside))


def log_sum_tail(electrons: int, threshold: int, log_exposure: ArrayLike, log_mean: ArrayLike) -> Array:
    """Logarithm of P(X + Y > threshold) for X as in `log_binomial_tail` and an independent Y ~ Poisson(exp(log_mean)).

    P(X + Y > n) = P(Y > n) + sum_{k <= n} P(Y = k) P(X > n - k): all terms are positive, so nothing cancels.

    Args:
        electrons: N of the binomial part.
        threshold: whole number of at least 0.
        log_exposure: ln of -ln(1 - p) of the binomial part.
        log_mean: ln of the mean of the Poisson part; -inf leaves the binomial part alone.

    Returns:
        Natural logarithms, of the broadcast shape.

    Source:
        theory.md 4 (escaped count with traps).

    Example:
        >>> both = log_sum_tail(1, 0, np.log(0.1), np.log(0.2))
        >>> round(float(np.exp(both)), 9) == round(1 - float(np.exp(-0.3)), 9)
        True
    """
    exposure, log_means = _broadcast(log_exposure, log_mean)
    mean = np.exp(np.minimum(log_means, LARGEST_LOG))
    total = log_poisson_tail(threshold, log_means)
    for count in range(threshold + 1):
        # Without a Poisson part its mean's logarithm is -inf, and 0 * -inf would be nan.
        log_power = count * log_means if count else np.zeros_like(log_means)
        log_count = log_power - mean - special.gammaln(count + 1)
        total = np.logaddexp(total, log_count + log_binomial_tail(electrons, threshold - count, exposure))
    return np.minimum(total, 0.0)


def _broadcast(*values: ArrayLike) -> tuple[Array, ...]:
    """The values as arrays of floats of one shape."""
    return np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))


def _log_with_series(tail: Array, complement: Array, series: Callable[[NDArray[np.bool_]], Array]) -> Array:
    """Logarithm of a tail: from its complement above 1/2, directly in the middle, by `series` where it underflows."""
    far = tail < _SMALLEST_DIRECT
    # Each branch sees harmless values where another one holds.
    result = np.where(tail > 0.5, np.log1p(-np.where(tail > 0.5, complement, 0.0)), np.log(np.where(far, 1.0, tail)))
    if far.any():
        result[far] = series(far)
    return np.asarray(result)


def _log_beta_series(a: Array, b: Array, log_exposure: Array, log_stay: Array) -> Array:
    """Logarithm of I_x(a, b) far in the lower tail, where x < a/(a + b)."""
    escape = -np.expm1(log_stay)
    # ln(1 - exp(-y)) = ln y - y/2 + y^2/24 - ...; the first two terms are exact to rounding below 1e-8.
    log_escape = np.where(log_exposure < -18, log_exposure + log_stay / 2, np.log(np.maximum(escape, 1e-300)))
    first = a * log_escape + b * log_stay - np.log(a) - special.betaln(a, b)
    return first + np.log(_ratio_series(lambda k: (a + b + k) / (a + 1 + k) * escape))


def _log_gamma_series(a: Array, mean: Array, log_mean: Array) -> Array:
    """Logarithm of P(a, mean) far in the lower tail, where mean < a."""
    first = a * log_mean - mean - special.gammaln(a + 1)
    return first + np.log(_ratio_series(lambda k: mean / (a + 1 + k)))


def _ratio_series(ratio: Callable[[int], Array]) -> Array:
    """1 + r_0 + r_0 r_1 + ... for ratios that fall below 1."""
    term = ratio(0)
    total = 1.0 + term
    step = 1
    # Terms below 1e-17 of the sum cannot change a double.
    while bool((term > 1e-17 * total).any()):
        term = term * ratio(step)
        total = total + term
        step += 1
    return np.asarray(total)
