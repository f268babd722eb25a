"""Evenly spaced levels fitted to weights: two side values in place of a table, which small tensors cannot pay for."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats.transitions import central_moments
from qtaml.search.histogram import Histogram

Floats = NDArray[np.float64]

# Figures below: Gaussian, Laplacian and Student (3 degrees) weights, 1 to 10 bits, p = 0.1 to 1e-4 and Z-channels.
# Steps of the first scan: 10 missed the best of a tensor of 144 weights, and SmallCNN in 0.40 cells erred 14% more.
_COARSE = 25
# Changes of the logarithm of the reach, and of the middle in units of the reach. Half of the first loses up to 0.4 dB
# on single cases (8 bits, p = 1e-4), 0.02 for the second 0.1 dB on the Z-channel, where the middle has far to go.
_CHANGES, _FINEST, _MOST_ROUNDS = (0.1, 0.05), 0.02, 100
# Rounds of a fixed point for the first value; 6 gain nothing.
_CENTERINGS = 3


def fit_even(histogram: Histogram, law: WordLaw) -> tuple[float, float]:
    """Evenly spaced levels, fitted to the least mean squared error by search over first value and step.

    Each weight w is stored as the label u of least expected squared error E[(first + step x v - w)**2 | u].

    Args:
        histogram: the weights.
        law: law of the word read, of at least one bit.

    Returns:
        (first, step): label v is read as first + step x v.

    Raises:
        ArgumentError: if the law has no bits.

    Source:
        theory.md 6.1, with the table restricted to a straight line.

    Example:
        >>> weights = Histogram(np.array([-1.0, 1.0]), np.array([1.0, 1.0]))
        >>> first, step = fit_even(weights, WordLaw.of_bits((0.1,), (0.1,)))
        >>> round(first, 1), round(step, 1)
        (-0.8, 1.6)
    """
    if not law.bits:
        raise ArgumentError("law must have at least one bit, got none")
    deviation = histogram.variance**0.5
    if deviation == 0:
        return histogram.mean, 0.0
    # Here, since Numba, with which loops are compiled, takes long to import.
    from qtaml.search import loops

    levels = 2**law.bits
    steps = 2 / levels * _reaches(histogram)
    # Moments of a straight readout are those of the labels, moved and stretched: no sum over the law in the search.
    moments = _moments_of_labels(law)
    return loops.straight_readout(
        histogram.points,
        histogram.weights.cumulated,
        *moments,
        steps,
        _CENTERINGS,
        _CHANGES,
        _FINEST / levels,
        _MOST_ROUNDS,
    )


# The weights of a tensor are fitted under many laws.
@lru_cache(maxsize=16)
def _reaches(histogram: Histogram) -> Floats:
    """Distances of the outermost level from the middle that are tried."""
    deviation = histogram.variance**0.5
    widest = max(float(np.abs(histogram.points - histogram.mean).max()), deviation)
    return np.geomspace(deviation, 2 * widest, _COARSE)


@lru_cache(maxsize=1024)
def _moments_of_labels(law: WordLaw) -> tuple[Floats, Floats]:
    """Mean and mean square of the label read, for each label stored."""
    mean, variance, *_ = central_moments(np.arange(2**law.bits, dtype=np.float64), law)
    return mean, variance + mean**2
