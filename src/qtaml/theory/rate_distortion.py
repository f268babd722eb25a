"""What Shannon allows: the fewest bits that weights need for a given error."""

from collections.abc import Sequence

import numpy as np

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.theory.linear_response import tensor_values

_HALVINGS = 200


def least_bits(importances: Sequence[float], sizes: Sequence[int], error: float) -> float:
    """Fewest bits in which tensors of Gaussian weights can be stored for a given output error.

    Reverse water filling: every weight gets the same share of the error, unless it is left out altogether. No weights
    of the same mean square need more bits than Gaussian ones.

    Args:
        importances: output error of each tensor if none of it is stored: gamma_l**2 n_l times its mean square.
        sizes: weights of each tensor.
        error: wanted mean squared output error, above 0.

    Returns:
        Bits of all tensors together; over the capacity of a cell, the fewest cells.

    Raises:
        ArgumentError: if lengths differ, a number is negative or not finite, or `error` is not above 0.

    Source:
        theory.md 6.2 (f); Cover and Thomas, Elements of Information Theory, 10.3.3.

    Example:
        >>> least_bits([10.0, 10.0], [10, 10], error=5.0)
        20.0
        >>> least_bits([10.0, 0.1], [10, 10], error=10.1)
        0.0
    """
    total, n = tensor_values(importances=importances, sizes=sizes)
    error = _checks.positive("error", error)
    if not n.all():
        raise ArgumentError(f"sizes must be above 0, got {list(sizes)}")
    if error >= total.sum():
        return 0.0
    each = total / n
    low, high = 0.0, float(each.max())
    for _ in range(_HALVINGS):
        level = (low + high) / 2
        low, high = (level, high) if float((n * np.minimum(each, level)).sum()) < error else (low, level)
    stored = each > high
    return float((n[stored] * np.log2(each[stored] / high)).sum() / 2)
