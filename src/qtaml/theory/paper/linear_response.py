"""Output error of weight errors, to first order.

A tensor l has n_l weights (sizes), a squared gain gamma_l**2 (mean squared output error for each unit of the summed
squared weight error), a full scale ||W_l||_inf, and the score a_l = gamma_l**2 ||W_l||_inf**2.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.formats import Grid
from qtaml.theory.paper.closed_forms import variance
from qtaml.theory.scores import Floats, tensor_values


def output_error(squared_gains: Sequence[float], sizes: Sequence[int], variances: Sequence[float]) -> Floats:
    """Mean squared output error of each tensor, gamma_l**2 n_l variance_l, from the variance of its weights.

    It is exact to first order for errors of mean zero that are independent of each other.

    Args:
        squared_gains: gamma_l**2 of each tensor.
        sizes: weights of each tensor.
        variances: mean variance of the weights of each tensor, in squared units of the weights.

    Returns:
        gamma_l**2 n_l variance_l, shape (tensors,); their sum is the output error.

    Raises:
        ArgumentError: if lengths differ, or a number is negative or not finite.

    Source:
        paper, lemma 4.3.

    Example:
        >>> output_error([4.0, 1.0], [10, 20], [0.01, 0.02]).tolist()
        [0.4, 0.4]
    """
    gains, n, spread = tensor_values(squared_gains=squared_gains, sizes=sizes, variances=variances)
    return gains * n * spread


def predicted_error(
    scores: Sequence[float],
    sizes: Sequence[int],
    depths: Sequence[float],
    *,
    p: float,
    bits: int = 8,
    grid: Grid = "half_step",
) -> float:
    """Mean squared output error in offset binary when each tensor has its own number of protected bits.

    sum(n_l a_l Var(k_l)), with the variance p (1 - p) D**2 (4**(bits - k_l) - 1) / 3 of a weight of full scale 1.

    Args:
        scores: a_l of each tensor.
        sizes: weights of each tensor.
        depths: protected bits k_l of each tensor, 0 to `bits`; fractions are allowed.
        p: flip probability.
        bits: bits of a word.
        grid: "half_step", or "integer" for the paper's (4 p (1 - p) / 3) sum(n_l a_l (4**-k_l - 4**-bits)).

    Returns:
        The sum over the tensors.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, theorem 4.4, equation 5; theory.md 1.5.

    Example:
        >>> round(predicted_error([1.0, 4.0], [100, 50], [0, 1], p=0.1, grid="integer"), 3)
        17.999
    """
    a, n, k = tensor_values(scores=scores, sizes=sizes, depths=depths)
    return float((n * a * variance(p, bits, protected=k, grid=grid)).sum())


def uniform_error(
    scores: Sequence[float], sizes: Sequence[int], kappa: ArrayLike, *, p: float, bits: int | None = None
) -> Floats:
    """Mean squared output error when every tensor has the same number of protected bits, on the integer grid.

    Args:
        scores: a_l of each tensor.
        sizes: weights of each tensor.
        kappa: protected bits of every weight, any shape.
        p: flip probability.
        bits: bits of a word, for the exact (4 p (1 - p) / 3) N A (4**-kappa - 4**-bits); None for leading order.

    Returns:
        Array of the shape of `kappa`; N is the number of weights and A the mean score of a weight.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper, equation 7; theory.md 1.5.

    Example:
        >>> uniform_error([16.0, 1.0], [10, 10], [0, 1], p=0.5 - 1e-12).round(3).tolist()
        [56.667, 14.167]
    """
    a, n = tensor_values(scores=scores, sizes=sizes)
    # On the integer grid alone: there the step is 2 * 2**-bits, and the leading order does not depend on the bits.
    k = np.asarray(kappa, dtype=np.float64)
    if bits is not None:
        return np.asarray((n * a).sum() * variance(p, bits, protected=k, grid="integer"))
    p = _checks.flip_probability("p", p)
    return np.asarray((n * a).sum() * 4 / 3 * p * (1 - p) * 4.0**-k)
