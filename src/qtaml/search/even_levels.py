"""Evenly spaced levels fitted to weights: two side values in place of a table, which small tensors cannot pay for."""

import numpy as np
import scipy
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats.transitions import central_moments
from qtaml.search.histogram import Histogram

Floats = NDArray[np.float64]

# Figures below: Gaussian, Laplacian and Student (3 degrees) weights, 3 to 8 bits, p = 0.1 to 0.01 and a Z-channel.
# Steps of the first scan; 7 and 100 end within 0.001 dB of 25, but 10 missed the best of a tensor of 144 weights:
# SmallCNN in 0.40 cells erred 14% more. Tolerance of the simplex search, in steps over the whole reach: 1 loses up to
# 0.008 dB, 0.01 gains nothing.
_COARSE, _FINE = 25, 0.1
# Of the logarithm of the reach, and of the middle in units of the reach: the scan leaves a tenth of the reach open, the
# middle is near its place unless the errors are asymmetric.
_SIMPLEX = np.array([(0.0, 0.0), (-0.1, 0.0), (0.0, 0.01)])
# 40 evaluations lose 0.02 dB and 20 lose 0.46 dB on the Z-channel, where the middle has far to go; 400 gain nothing.
_EVALUATIONS = 80
# Rounds of a fixed point for the first value. The simplex search has made up for fewer of them in all cases above.
_ROUNDS = 3


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
    labels = np.arange(2**law.bits, dtype=np.float64)
    mean, variance, *_ = central_moments(labels, law)
    lines = _Lines(histogram, mean, variance + mean**2)
    deviation = histogram.variance**0.5
    if deviation == 0:
        return histogram.mean, 0.0
    widest = max(float(np.abs(histogram.points - histogram.mean).max()), deviation)
    steps = 2 / len(labels) * np.geomspace(deviation, 2 * widest, _COARSE)
    step = min(steps, key=lambda step: lines.centered(step)[0])
    first = lines.centered(step)[1]
    # Searched as reach and middle of the levels: in first value and step the same change would move the outermost level
    # the farther the more levels there are, and the two would have to change together.
    reach, middle = step * len(labels), first + step * labels.mean()

    def line(change: Floats) -> tuple[float, float]:
        wider = float(reach * np.exp(change[0]) / len(labels))
        return float(middle + reach * change[1] - wider * labels.mean()), wider

    found = scipy.optimize.minimize(  # type: ignore[call-overload]  # its options are not all known to the stubs
        lambda change: lines.error(*line(change)),
        np.zeros(2),
        method="Nelder-Mead",
        options={"initial_simplex": _SIMPLEX, "maxfev": _EVALUATIONS, "xatol": _FINE / len(labels), "fatol": np.inf},
    )
    return line(found.x)


class _Lines:
    """Errors of straight readouts first + step x v of one law, on the weights of a histogram."""

    def __init__(self, histogram: Histogram, mean: Floats, square: Floats) -> None:
        shares = histogram.counts / histogram.counts.sum()
        self.points, self.center = histogram.points, histogram.mean
        self.cumulated = np.pad(np.cumsum([shares, shares * self.points], axis=1), ((0, 0), (1, 0)))
        self.mean, self.square = mean, square

    def centered(self, step: float) -> tuple[float, float]:
        """(error, first value) of the readout of a step whose mean value read is near the mean of the weights."""
        first = self.center - step * (len(self.mean) - 1) / 2
        for _ in range(_ROUNDS):
            first = self.center - step * self._assessed(first, step)[1]
        return self.error(first, step), first

    def error(self, first: float, step: float) -> float:
        """Mean squared error of a readout, less the mean square of the weights, which all readouts share."""
        return self._assessed(first, step)[0]

    def _assessed(self, first: float, step: float) -> tuple[float, float]:
        # Here, since Numba, with which loops are compiled, takes long to import.
        from qtaml.search import loops

        # Moments of a straight readout are those of the labels, moved and stretched: no sum over the law in the search.
        return loops.straight_error(self.points, self.cumulated, self.mean, self.square, first, step)
