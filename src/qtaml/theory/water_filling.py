"""Water filling: the best fractional protected bits of each tensor, and the cost of whole bits (theory.md 1.5, 1.6)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError

ROUNDING_BOUND = 3 / (4 * math.log(4)) * 4 ** (4 / 3) / math.e
"""3 / (4 ln 4) 4**(4/3) / e = 1.26374: the most that whole bits cost over fractional ones if one tensor may be split.

It is the maximum of 4**f (1 - 3 f / 4), the linear interpolation of 4**-k between whole bits over 4**-k.

Source: paper A.13, equation 29; as a theorem for all scores and sizes, theory.md 1.6.
"""


def water_filling(scores: Sequence[float], sizes: Sequence[int], bits: int, budget: float) -> NDArray[np.float64]:
    """Fractional protected bits of each tensor that minimise sum(sizes * scores * 4**-k) within the budget.

    Args:
        scores: a_l = (gain x full scale)**2 of each tensor, at least 0.
        sizes: weights of each tensor.
        bits: bits of a word, the most that can be protected.
        budget: protected bits of all weights together, 0 to bits x sum(sizes).

    Returns:
        k_l = clip(log4(a_l / mu), 0, bits) with the Lagrange multiplier mu that spends the budget, shape (tensors,). A
        tensor of score 0 gets bits only when all others are full.

    Raises:
        ArgumentError: if lengths differ, a score is negative, or the budget is outside its range.

    Source:
        paper A.12, equations 14 to 16; theory.md 1.5.

    Example:
        >>> water_filling([16.0, 1.0], [10, 10], bits=8, budget=20).tolist()
        [2.0, 0.0]
    """
    a, n = np.asarray(scores, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if a.shape != n.shape or a.ndim != 1 or not np.isfinite(a).all() or (a < 0).any():
        raise ArgumentError(f"scores must be one finite number of at least 0 for each size, got {list(scores)}")
    if not 0 <= budget <= bits * n.sum():
        raise ArgumentError(f"budget must lie between 0 and {bits * n.sum():.0f} bits, got {budget}")
    # Scores of 0 apart: they lower nothing, and their logarithm would be -inf.
    useful = a > 0
    k = np.zeros_like(a)
    if budget >= bits * n[useful].sum():
        k[useful] = bits
        spare = budget - bits * n[useful].sum()
        k[~useful] = spare / n[~useful].sum() if spare > 0 else 0.0
        return k
    k[useful] = _fill(np.log(a[useful]) / math.log(4), n[useful], budget, bits)
    return k


def _fill(height: NDArray[np.float64], n: NDArray[np.float64], budget: float, bits: int) -> NDArray[np.float64]:
    """Depths clip(height - level, 0, bits) whose weighted sum is the budget."""
    # Measured from the highest score, the small depths of the tensors that fill first keep their digits.
    height = height - height.max()
    # The sum is piecewise linear in the level, so interpolation between its two neighbouring corners is exact, and no
    # bisection is needed.
    corners = np.unique(np.concatenate([height, height - bits]))
    spent = np.array([(n * np.clip(height - corner, 0, bits)).sum() for corner in corners])
    level = np.interp(budget, spent[::-1], corners[::-1])
    return np.asarray(np.clip(height - level, 0, bits))
