"""The score of each tensor: its output error for each unprotected weight, but for a factor that all tensors share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError

Floats = NDArray[np.float64]


def tensor_scores(squared_gains: Sequence[float], full_scales: Sequence[float]) -> Floats:
    """Score a_l = gamma_l**2 ||W_l||_inf**2 of each tensor.

    An unprotected weight makes an output error of a_l times the variance of a weight of full scale 1.

    Args:
        squared_gains: gamma_l**2 = ||J_l||_F**2 / n_l of each tensor, as `Gain.squared`.
        full_scales: largest magnitude ||W_l||_inf of each tensor.

    Returns:
        a_l = gamma_l**2 ||W_l||_inf**2, shape (tensors,).

    Raises:
        ArgumentError: if lengths differ, or a number is negative or not finite.

    Source:
        paper, theorem 4.5 and section 4.5; theory.md 1.5.

    Example:
        >>> tensor_scores([4.0, 1.0], [0.5, 2.0]).tolist()
        [1.0, 4.0]
    """
    gains, scales = tensor_values(squared_gains=squared_gains, full_scales=full_scales)
    return gains * scales**2


def tensor_values(**values: Sequence[float]) -> tuple[Floats, ...]:
    """Arrays of one finite number of at least 0 for each tensor."""
    arrays = tuple(np.asarray(value, dtype=np.float64) for value in values.values())
    for name, array in zip(values, arrays, strict=True):
        if array.ndim != 1 or array.shape != arrays[0].shape:
            raise ArgumentError(
                f"{name} must be one number for each tensor, as {next(iter(values))}, got {array.shape} "
                f"and {arrays[0].shape}"
            )
        if not array.size or not np.isfinite(array).all() or (array < 0).any():
            raise ArgumentError(f"{name} must be finite and at least 0, got {list(values[name])}")
    return arrays
