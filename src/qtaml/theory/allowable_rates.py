"""Allowable flip probabilities of classes of cells under one budget of error, at the least cost of hardening."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError


def allowable_rates(
    effects: ArrayLike, cells: ArrayLike, error: float, *, order: float, most: float = 0.5
) -> NDArray[np.float64]:
    """Flip probability of each class of cells, for the least cost of all within an error budget.

    Minimises sum_j n_j c(p_j) subject to sum_j n_j w_j p_j <= E and p_j <= p_max, for a cost that grows as
    c = (p_max/p)**(1/m) (refreshes, where p grows as window**m) or, m infinite, as c = ln(p_max/p) (thickness, or the
    area of larger cells). By Karush, Kuhn and Tucker p_j = min(p_max, C w_j**(-m/(m+1))), one C for all.

    Args:
        effects: w_j, at least 0: output error of one cell of each class that is always wrong.
        cells: n_j, above 0: cells of each class.
        error: E, above 0: allowed output error.
        order: m, above 0: how steeply p falls with the refresh rate; `math.inf` for thickness or area.
        most: p_max in (0, 1]: flip probability of a plain cell, or of what is refreshed least.

    Returns:
        p_j, of the shape of `effects`.

    Raises:
        ArgumentError: if shapes differ, or a number is out of its range.

    Source:
        theory.md 10.2.

    Example:
        >>> allowable_rates([1.0, 4.0, 16.0], [1, 1, 1], 0.3, order=math.inf).round(5).tolist()
        [0.1, 0.025, 0.00625]
        >>> allowable_rates([1.0, 4.0, 16.0], [1, 1, 1], 0.7, order=1).round(5).tolist()  # p_j ~ w_j**-1/2
        [0.1, 0.05, 0.025]
    """
    w, n = np.asarray(effects, dtype=np.float64), np.asarray(cells, dtype=np.float64)
    if w.shape != n.shape or w.ndim != 1 or not w.size:
        raise ArgumentError(f"effects and cells must be of one length, got shapes {w.shape} and {n.shape}")
    if not (np.isfinite(w) & (w >= 0) & np.isfinite(n) & (n > 0)).all():
        raise ArgumentError(f"effects must be at least 0 and cells above 0, got {w.tolist()} and {n.tolist()}")
    budget, top = _checks.positive("error", error), _checks.positive("most", _checks.probability("most", most))
    share = 1.0 if math.isinf(order) and order > 0 else 1 - 1 / (1 + _checks.positive("order", order))
    # Classes are at the most from the least effect upwards; the first number of them that fits is the solution.
    ranks = np.argsort(w)
    at_most = top * np.concatenate(([0.0], np.cumsum((n * w)[ranks])))
    # Of effects next to 0 the shape is beyond the largest number: these classes are at the most.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shape = np.where(w > 0, w**-share, np.inf)
        rest = np.concatenate((np.cumsum((n * w * np.where(w > 0, shape, 0.0))[ranks][::-1])[::-1], [0.0]))
        factors = (budget - at_most) / rest
        for number, rank in enumerate(ranks):
            if factors[number] * shape[rank] < top:
                return np.asarray(np.minimum(top, factors[number] * shape))
    return np.full(w.shape, top)
