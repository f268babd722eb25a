"""The law of measured retention times: lognormal with an optional tail, its median moved by the temperature."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.constants import e, k

from qtaml.device._arrays import Array

Law = Literal["none", "arrhenius", "exponential"]

# Of the parameters: the free ones, in their order.
BASE, SLOPE, TAIL = ("log_median", "log_sigma"), ("slope",), ("logit_weight", "log_shift", "log_tail_sigma")


class Mixture(NamedTuple):
    """Laws of ln t: normal, with probability `weight` from a second normal whose median is earlier.

    Attributes:
        median: ln of s at the reference temperature.
        sigma: standard deviation of ln t.
        slope: eV (Arrhenius), or fall of ln t for each K (exponential).
        weight: share of cells in the tail.
        shift: by how much ln t of the tail is less.
        tail_sigma: its standard deviation.
    """

    median: float
    sigma: float
    slope: float
    weight: float
    shift: float
    tail_sigma: float


def names(law: Law, tail: bool) -> tuple[str, ...]:
    """Names of the free parameters, which may take any value."""
    return BASE + (SLOPE if law != "none" else ()) + (TAIL if tail else ())


def mixture(values: ArrayLike, law: Law, tail: bool) -> Mixture:
    """The law of free parameters in the order of `names`."""
    free = dict(zip(names(law, tail), np.asarray(values, dtype=np.float64).tolist(), strict=True))
    return Mixture(
        free["log_median"],
        float(np.exp(free["log_sigma"])),
        free.get("slope", 0.0),
        float(special.expit(free.get("logit_weight", -np.inf))),
        float(np.exp(free.get("log_shift", 0.0))),
        float(np.exp(free.get("log_tail_sigma", 0.0))),
    )


def acceleration(law: Law, slope: float, temperature: ArrayLike, reference: float) -> Array:
    """By how much ln t is more than at the reference temperature."""
    kelvin = np.asarray(temperature, dtype=np.float64)
    if law == "arrhenius":
        return np.asarray(slope * e / k * (1 / kelvin - 1 / reference))
    return np.asarray(slope * (reference - kelvin))


def log_share(of: Mixture, log_time: ArrayLike) -> Array:
    """Logarithm of the share of cells that fail by exp(log_time), which is reduced to the reference temperature."""
    scores, tail = _scores(of, log_time)
    return _mixed(of, special.log_ndtr(scores), special.log_ndtr(tail))


def log_share_left(of: Mixture, log_time: ArrayLike) -> Array:
    """Logarithm of the share that has not failed by then."""
    scores, tail = _scores(of, log_time)
    return _mixed(of, special.log_ndtr(-scores), special.log_ndtr(-tail))


def log_share_between(of: Mixture, low: Array, high: Array) -> Array:
    """Logarithm of the share that fails between two times."""
    (one, tail), (other, other_tail) = _scores(of, low), _scores(of, high)
    return _mixed(of, _log_normal_between(one, other), _log_normal_between(tail, other_tail))


def log_density(of: Mixture, log_time: Array) -> Array:
    """Logarithm of the density of ln t."""
    scores, tail = _scores(of, log_time)
    normal = -np.log(2 * np.pi) / 2
    return _mixed(of, normal - scores**2 / 2 - np.log(of.sigma), normal - tail**2 / 2 - np.log(of.tail_sigma))


def _scores(of: Mixture, log_time: ArrayLike) -> tuple[Array, Array]:
    reduced = np.asarray(log_time, dtype=np.float64) - of.median
    return np.asarray(reduced / of.sigma), np.asarray((reduced + of.shift) / of.tail_sigma)


def _mixed(of: Mixture, bulk: Array, tail: Array) -> Array:
    if of.weight == 0.0:
        return bulk
    return np.asarray(np.logaddexp(np.log1p(-of.weight) + bulk, np.log(of.weight) + tail))


def _log_normal_between(low: Array, high: Array) -> Array:
    """ln(Phi(high) - Phi(low)), from the side on which both are small."""
    upper = low > 0
    near, far = np.where(upper, -high, low), np.where(upper, -low, high)
    below, above = special.log_ndtr(near), special.log_ndtr(far)
    with np.errstate(divide="ignore"):
        return np.asarray(above + np.log(-np.expm1(np.minimum(below - above, 0.0))))
