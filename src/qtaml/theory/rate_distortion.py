"""Rate-distortion bounds: the fewest bits in which weights can be stored for a given error, and the inverse."""

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.theory.scores import tensor_values

Floats = NDArray[np.float64]

# Errors are compared in dB and as ratios, which an underflow to 0 would break.
_LEAST = 1e-300
# Vasicek's estimate sorts its weights. At this number the standard error of the entropy, sqrt(Var(ln density) / n), is
# 0.002 nats for Gaussian weights: small beside the tenths of a dB in which bounds are compared.
_MOST_SAMPLES = 2**17


def entropy_power(weights: ArrayLike) -> float:
    """Entropy power exp(2 h) / (2 pi e) of weights of differential entropy h: the variance of Gaussian weights with it.

    It is at most their mean square. In place of mean squares it turns `least_bits` into the Shannon lower bound for
    weights of any law, which is tight for small errors. h is Vasicek's estimate from the spacings of the sorted weights
    (of 131,072 of them drawn at random if there are more); for few weights it is too low, and so is the bound.

    Args:
        weights: values, any shape, at least 4.

    Returns:
        The entropy power; 0 if many weights are equal, as in a pruned tensor: equal weights need no bits.

    Raises:
        ArgumentError: if there are fewer than 4 weights, or one is not finite.

    Source:
        Cover and Thomas, Elements of Information Theory, 17.8; Vasicek, J. R. Statist. Soc. B 38, 1976.

    Example:
        >>> uniform = (np.arange(10000) + 0.5) / 10000
        >>> round(entropy_power(uniform) * 2 * np.pi * np.e, 1)  # a uniform law of width 1 has no entropy
        1.0
    """
    values = np.asarray(weights, dtype=np.float64).reshape(-1)
    if values.size < 4 or not np.isfinite(values).all():
        raise ArgumentError(f"weights must be at least 4 finite values, got {values.size}")
    if values.size > _MOST_SAMPLES:
        values = np.random.default_rng(0).choice(values, _MOST_SAMPLES, replace=False)
    # Equal neighbours have a spacing of 0: h is -inf, and the entropy power 0, which is right.
    with np.errstate(divide="ignore"):
        entropy = float(scipy.stats.differential_entropy(values, method="vasicek"))
    # Among laws of one mean square the Gaussian has the largest entropy; an estimate from samples may exceed it.
    return min(float(np.exp(2 * entropy) / (2 * np.pi * np.e)), float(np.mean(values**2)))


def least_bits(importances: Sequence[float], sizes: Sequence[int], error: float) -> float:
    """Fewest bits in which tensors of Gaussian weights can be stored for a given output error.

    Reverse water filling: bits = sum(n_l / 2 log2(e_l / level)) over the tensors with e_l above the level, e_l being
    the error that one weight makes if it is not stored; the level spends the error, sum(n_l min(e_l, level)) = error.
    No weights of the same mean square need more bits than Gaussian ones.

    Args:
        importances: n_l e_l, the output error of each tensor if none of it is stored: gamma_l**2 n_l x its mean square.
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
    each, n, total = _ascending(importances, sizes)
    error = _checks.positive("error", error)
    if error >= total.sum():
        return 0.0
    kept, stored = _kept(total), _from_here_on(n)
    # Tensors from `first` on are stored: the level is below the error of a weight of this one, not of the one before.
    first = int(np.searchsorted((kept + stored * each)[:-1], error, side="right"))
    level = (error - kept[first]) / stored[first]
    return float((n[first:] * np.log2(each[first:] / level)).sum() / 2)


def least_error(importances: Sequence[float], sizes: Sequence[int], bits: float) -> float:
    """Least mean squared output error of tensors of Gaussian weights in a number of bits: the inverse of `least_bits`.

    Args:
        importances: as for `least_bits`.
        sizes: as for `least_bits`.
        bits: of all tensors together, at least 0; cells times the capacity of a cell.

    Returns:
        The error, not below 1e-300.

    Raises:
        ArgumentError: as `least_bits`, or if `bits` is negative.

    Source:
        theory.md 6.2 (f).

    Example:
        >>> round(least_error([10.0, 10.0], [10, 10], bits=20.0), 9)
        5.0
    """
    each, n, total = _ascending(importances, sizes)
    bits = _checks.non_negative("bits", bits)
    if not bits or not total.sum():
        return float(total.sum())
    # Weights that do not matter get no bits; their logarithm would be -inf.
    important = total > 0
    each, n, total = each[important], n[important], total[important]
    # Logarithms relative to the largest, so that the sums below do not depend on the unit of the error.
    kept, stored, logs = _kept(total), _from_here_on(n), np.log2(each / each[-1])
    spent = _from_here_on(n * logs)
    # Bits where the level is the error of a weight of each tensor: fewer, the more important it is.
    first = len(n) - int(np.searchsorted(((spent - stored * logs) / 2)[::-1], bits))
    level = each[-1] * np.exp2((spent[first] - 2 * bits) / stored[first])
    return max(float(kept[first] + stored[first] * level), _LEAST)


def _ascending(importances: Sequence[float], sizes: Sequence[int]) -> tuple[Floats, Floats, Floats]:
    """Error of one weight, number of weights and error of each tensor that is not stored, ascending in the first."""
    total, n = tensor_values(importances=importances, sizes=sizes)
    if not n.all():
        raise ArgumentError(f"sizes must be above 0, got {list(sizes)}")
    order = np.argsort(total / n, kind="stable")
    return (total / n)[order], n[order], total[order]


def _kept(total: Floats) -> Floats:
    """Error of the tensors before each one: those are not stored."""
    return np.concatenate(([0.0], np.cumsum(total[:-1])))


def _from_here_on(values: Floats) -> Floats:
    """Sum of each value and those after it."""
    return np.cumsum(values[::-1])[::-1]
