"""Saturation ratio: output error of the best allocation of protected bits over that of equal protection.

A budget of kappa means kappa protected bits a weight on average. "Leading order" drops 4**-bits beside 4**-kappa, as
the paper does in its theorem 4.6. Scores a_l and sizes n_l are those of `tensor_scores`.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.theory.scores import Floats, tensor_values
from qtaml.theory.water_filling import water_filling

_LOG4 = math.log(4)


def saturation_ratio(scores: Sequence[float], sizes: Sequence[int]) -> float:
    """rho*: the output variance of the best allocation over that of equal protection, inside the interior range.

    Args:
        scores: a_l of each tensor, above 0.
        sizes: weights of each tensor.

    Returns:
        rho* = G / A in (0, 1], with G = exp(sum n_l ln a_l / N) and A = sum n_l a_l / N over N = sum n_l weights.

    Raises:
        ArgumentError: if lengths differ or a score is not above 0.

    Source:
        paper theorem 4.6, equation 10.

    Example:
        >>> round(saturation_ratio([16.0, 1.0], [10, 10]), 4)
        0.4706
    """
    for i, score in enumerate(scores):
        _checks.positive(f"scores[{i}]", score)
    if len(scores) != len(sizes):
        raise ArgumentError(f"scores and sizes must be as many, got {len(scores)} and {len(sizes)}")
    a, n = np.asarray(scores, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    share = n / n.sum()
    return float(np.exp((share * np.log(a)).sum()) / (share * a).sum())


def interior_range(scores: Sequence[float], sizes: Sequence[int], bits: int = 8) -> tuple[float, float]:
    """Budgets at which every tensor is partly protected, so that the saturation ratio rho* holds.

    Args:
        scores: a_l of each tensor, above 0.
        sizes: weights of each tensor.
        bits: bits of a word.

    Returns:
        (low, high): kappa from log4(G / smallest score) to bits - log4(largest score / G), G being the geometric mean
        score of a weight. There is no such budget if low is above high.

    Raises:
        ArgumentError: if lengths differ or a score is not above 0.

    Source:
        paper A.12, equation 22; theory.md 1.5.

    Example:
        >>> interior_range([16.0, 1.0], [10, 10])
        (1.0, 7.0)
    """
    a, n = tensor_values(scores=scores, sizes=sizes)
    if not (a > 0).all():
        raise ArgumentError(f"scores must be above 0, got {list(scores)}")
    height = np.log(a) / _LOG4
    centre = float((n * height).sum() / n.sum())
    # The mean of equal numbers may differ from them by a rounding error, which would put an end outside 0 to `bits`.
    return max(centre - float(height.min()), 0.0), bits - max(float(height.max()) - centre, 0.0)


def error_ratio(
    scores: Sequence[float], sizes: Sequence[int], kappa: ArrayLike, *, bits: int = 8, leading_order: bool = True
) -> Floats:
    """rho(kappa): output error of the best allocation over that of equal protection, at any budget.

    In leading order rho = sum(n_l a_l 4**-k_l) / (4**-kappa sum(n_l a_l)) with the k_l of `water_filling`. It starts at
    1 for kappa = 0. In leading order it is continuous, at least rho*, equal to rho* in the interior range
    (`saturation_ratio`, `interior_range`), and 1 again at kappa = bits. With the exact error it equals
    (rho* x - 1) / (x - 1), x = 4**(bits - kappa), in the interior range, and tends to the smallest score over the mean
    score as kappa tends to bits, where both errors vanish; that limit is its value there.

    Args:
        scores: a_l of each tensor, at least 0 and one of them above.
        sizes: weights of each tensor.
        kappa: protected bits a weight, 0 to `bits`, any shape.
        bits: bits of a word.
        leading_order: drop 4**-bits, as the paper does; False for the exact error.

    Returns:
        Array of the shape of `kappa`, values in [0, 1].

    Raises:
        ArgumentError: if lengths differ, all scores are 0, one is negative, or kappa is outside its range.

    Source:
        paper, theorem 4.6 and A.12; theory.md 1.5.

    Example:
        >>> error_ratio([16.0, 1.0], [10, 10], [0, 4, 8]).round(4).tolist()
        [1.0, 0.4706, 1.0]
    """
    a, n = tensor_values(scores=scores, sizes=sizes)
    if not (a > 0).any():
        raise ArgumentError(f"scores must not all be 0, got {list(scores)}")
    budgets = np.asarray(kappa, dtype=np.float64)
    if not ((budgets >= 0) & (budgets <= bits)).all():
        raise ArgumentError(f"kappa must lie between 0 and {bits} bits, got {kappa!r}")
    ratios = [_error_ratio(a, n, float(budget), bits, leading_order) for budget in budgets.reshape(-1)]
    return np.array(ratios).reshape(budgets.shape)


def boundary_slopes(scores: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    """Slopes of rho(kappa) at no protection and at full protection, where it is 1, in leading order.

    The first protected bits go to the tensors of largest score, the last ones to those of smallest score.

    Args:
        scores: a_l of each tensor, at least 0 and one of them above.
        sizes: weights of each tensor.

    Returns:
        (at kappa = 0, at kappa = bits): d rho / d kappa = -ln 4 (largest / A - 1) and ln 4 (1 - smallest / A), A being
        the mean score of a weight.

    Raises:
        ArgumentError: if lengths differ, all scores are 0, or one is negative.

    Source:
        theory.md 1.5 (rho is continuous and tends to 1); derived from the paper's equations 14 to 16.

    Example:
        >>> [round(slope, 4) for slope in boundary_slopes([16.0, 1.0], [10, 10])]
        [-1.2232, 1.2232]
    """
    a, n = tensor_values(scores=scores, sizes=sizes)
    if not (a > 0).any():
        raise ArgumentError(f"scores must not all be 0, got {list(scores)}")
    mean = float((n * a).sum() / n.sum())
    return -_LOG4 * (float(a.max()) / mean - 1), _LOG4 * (1 - float(a.min()) / mean)


def _error_ratio(a: Floats, n: Floats, kappa: float, bits: int, leading_order: bool) -> float:
    # Rounding may put kappa x weights just above bits x weights, which water_filling refuses.
    budget = min(kappa * n.sum(), bits * n.sum())
    left = bits - water_filling(a.tolist(), n.astype(int).tolist(), bits, budget)
    # Errors in units of 4**-bits, and expm1 for 4**left - 1: nothing cancels near full protection.
    error = np.exp if leading_order else np.expm1
    if kappa == bits and not leading_order:
        return float(a.min() * n.sum() / (n * a).sum())
    return float((n * a * error(_LOG4 * left)).sum() / (n * a).sum() / error(_LOG4 * (bits - kappa)))
