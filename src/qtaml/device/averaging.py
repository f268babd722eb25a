"""Averages over a normally distributed device parameter, exact also where p is nearly a step.

With hundreds of electrons the lost-bit probability of a cell jumps from 0 to 1 within a small part of the spread.
Gauss-Hermite nodes then sample a staircase: with 61 nodes and 3000 electrons the time for p = 0.1 comes out 3 % wrong
and jumps about with the number of nodes. So Gauss-Legendre panels are graded towards the step.
"""

from collections.abc import Callable

import numpy as np
from scipy import special

from qtaml.device._arrays import Array
from qtaml.device.inverse import bisect

# Standard deviations covered, from thin to thick; exp(-40^2/2) is below every float.
_LOWEST, _HIGHEST = -40.0, 10.0

_COARSE_EDGES = np.linspace(_LOWEST, _HIGHEST, 26)
_STEP_EDGES = np.array([-16.0, -8.0, -4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0])
# Left of a step far out the density rises within 1/|z|, so there are panels of these lengths on both sides, too.
_TAIL_EDGES = np.array([-1.0, -0.3, -0.1, -0.03, 0.03, 0.1, 0.3, 1.0])
# Of each panel. Measured on the gain cell with 3000 electrons: 24 nodes change ln p by 1e-13 at p = 0.1 and by 1e-10
# in the far tail (a window of 1 us).
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)

# They place the step to 1e-6 of a standard deviation: the panels need a tenth of its width.
_HALVINGS = 25

# Standard normal deviate of 0.9: from p = 1/2 to p = 0.1 a normal step falls by this many of its widths.
_DECILE = 1.2815515655446004


def log_normal_average(
    log_probability: Callable[[Array], Array],
    shape: tuple[int, ...],
    step_like: Callable[[Array], Array] | None = None,
) -> Array:
    """Logarithm of E[P(Z)], the integral of P(z) exp(-z^2/2)/sqrt(2 pi), for a probability P that falls with z.

    Args:
        log_probability: takes deviates of shape (*shape, n) and returns ln P of the same shape.
        shape: shape of the result.
        step_like: another such function that steps where P does, if P does step; P itself if not given.

    Returns:
        Natural logarithms of the averages.

    Source:
        theory.md 2.4.

    Example:
        >>> step = lambda z: np.where(z < -2.0, 0.0, -np.inf)
        >>> round(float(np.exp(log_normal_average(step, ()))), 5)
        0.02275
    """
    centre, width = _locate_step(step_like or log_probability, shape)
    around_step = np.concatenate([width[..., None] * _STEP_EDGES, _spread_out(_TAIL_EDGES, shape)], axis=-1)
    edges = np.concatenate([centre[..., None] + around_step, _spread_out(_COARSE_EDGES, shape)], axis=-1)
    # Clipped edges coincide at an end: their panels have no width and add nothing.
    edges = np.sort(np.clip(edges, _LOWEST, _HIGHEST), axis=-1)
    half = np.diff(edges) / 2
    deviates = (edges[..., :-1] + half)[..., None] + half[..., None] * _NODES
    weights = half[..., None] * _WEIGHTS
    # Not -1, which has no meaning where there are no elements.
    flat = (*shape, deviates.shape[-2] * deviates.shape[-1])
    deviates, weights = deviates.reshape(flat), weights.reshape(flat)
    log_density = -(deviates**2) / 2 - np.log(2 * np.pi) / 2
    terms = log_probability(deviates) + log_density
    # The weights sum to 1 only to rounding, so where P is 1 throughout the sum may exceed it.
    return np.asarray(np.minimum(special.logsumexp(terms, axis=-1, b=weights), 0.0))


def _spread_out(edges: Array, shape: tuple[int, ...]) -> Array:
    """The edges, broadcast to every element."""
    return np.broadcast_to(edges, (*shape, edges.size))


def _locate_step(log_probability: Callable[[Array], Array], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Deviate at which P is 1/2, and the standard deviation of the normal step through P = 1/2 and P = 0.1."""
    levels = np.log([0.5, 0.1])
    low = np.full((*shape, 2), _LOWEST)
    crossings = bisect(lambda z: levels - log_probability(z), low, np.full((*shape, 2), _HIGHEST), halvings=_HALVINGS)
    # Not below what the halvings resolve: a width of 0 would leave no panels around the step.
    width = np.maximum((crossings[..., 1] - crossings[..., 0]) / _DECILE, 1e-6)
    return crossings[..., 0], width
