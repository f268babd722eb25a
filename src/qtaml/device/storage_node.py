"""A storage node that leaks: retention of gain cells and DRAM, where several currents discharge a capacitor."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.constants import e

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.averaging import log_normal_average
from qtaml.device.leaks import Leak
from qtaml.device.retention import RetentionCell
from qtaml.device.tails import log_poisson_tail
from qtaml.errors import ArgumentError

# Gauss-Legendre over ln V. Measured on 0.6 V with a margin of 0.5 V and all four leaks: 12 nodes change ln t by 6e-8
# from 128.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)

# Fewer electrons make steps that a current does not describe.
_FEWEST_ELECTRONS = 10

# Currents further away from the nominal ones empty a cell at once, or never, as far as windows are floats.
_MOST_LOG = 700.0

# A third spread would take a hundred million failure times for each window.
_MOST_SPREADS = 2


@dataclass(frozen=True)
class StorageNode(RetentionCell):
    """A bit kept as the voltage of a capacitor, lost when so much of it has leaked that it is read wrong.

    A cell fails after t = integral of C dV/I(V) from V - margin to V, where I is the sum of its leaks at that voltage:
    the discharge is self-consistent. Electrons leave one by one, so the failure time of a given cell is spread as a
    gamma variable of the same mean and variance. Cells differ by the spreads of their leaks, over which p is averaged:
    with a threshold spread alone ln t is normal, with several leaks it is not.

    Args:
        capacitance: of the node, F.
        voltage: as written, V.
        margin: loss of voltage at which the bit is read wrong, V; below the voltage.
        leaks: one or more of `Subthreshold`, `JunctionLeakage`, `GateInduced`, `GateTunnelling`; at most two of them
            with a spread.
        temperature: K; above 0.

    Raises:
        ArgumentError: if a quantity is out of its range, or fewer than ten electrons make up the margin.

    Source:
        theory.md 2.9; Edri et al., TCAS-I 2016.

    Example:
        >>> from qtaml.device import Subthreshold
        >>> leak = Subthreshold(1e-7, threshold=0.62, swing=0.07, threshold_spread=0.05)
        >>> cell = StorageNode(1e-15, voltage=0.6, margin=0.3, leaks=(leak,))
        >>> times = cell.window_for(np.array([0.5, special.ndtr(-1.0)]))
        >>> round(float(np.log(times[0] / times[1])), 2)  # a standard deviation of ln t
        1.64
    """

    capacitance: float
    voltage: float
    margin: float
    leaks: tuple[Leak, ...]
    _: KW_ONLY
    temperature: float = 300.0

    def __post_init__(self) -> None:
        for name in ("capacitance", "voltage", "margin", "temperature"):
            _checks.positive(name, getattr(self, name))
        if self.margin >= self.voltage:
            raise ArgumentError(f"margin must be below the voltage of {self.voltage:g} V, got {self.margin!r}")
        if self.electrons < _FEWEST_ELECTRONS:
            raise ArgumentError(
                f"margin must be worth at least {_FEWEST_ELECTRONS} electrons, got {self.margin!r} V of "
                f"{self.capacitance:g} F, which are {self.electrons}; `Cell` counts single electrons"
            )
        self._check_leaks()

    def _check_leaks(self) -> None:
        if not self.leaks or not all(isinstance(leak, Leak) for leak in self.leaks):
            raise ArgumentError(f"leaks must be one or more leaks, got {self.leaks!r}")
        names = [leak.name for leak in self.leaks]
        if len(set(names)) < len(names):
            raise ArgumentError(f"leaks must have different names, got {names}")
        if len(self._varied) > _MOST_SPREADS:
            raise ArgumentError(f"leaks must have a spread in at most {_MOST_SPREADS} of them, got {names}")
        if not any(map(self._reaches_margin, self.leaks)):
            raise ArgumentError(f"leaks must discharge the node down to its margin, got {names}, which end before")

    @property
    def electrons(self) -> int:
        """Number that has to leak for the bit to be lost: C margin/q."""
        return int(self.capacitance * self.margin / e)

    @property
    def _varied(self) -> tuple[int, ...]:
        return tuple(place for place, leak in enumerate(self.leaks) if leak.spread > 0)

    def parameters(self) -> dict[str, str]:
        """All parameters as text, by their names with units."""
        return {
            "storage node": f"{self.capacitance * 1e15:.3g} fF, {self.voltage:g} V, margin {self.margin:g} V",
            "electrons to lose": f"{self.electrons}",
            **{f"leak: {leak.name} (A, V, K, eV, nm)": str(leak) for leak in self.leaks},
            "temperature (K)": f"{self.temperature:g}",
        }

    def log_failure_time(self, deviates: Mapping[int, ArrayLike] | None = None) -> Array:
        """Logarithm of the mean failure time of cells of given deviates: ln of the integral of C dV/I.

        Args:
            deviates: standard deviations from the nominal cell, by place in `leaks`; more deviate, more current.

        Returns:
            ln of s, of the broadcast shape.

        Source:
            theory.md 2.9.
        """
        return self._log_moments(deviates or {})[0]

    def log_flip_probabilities(self, window: ArrayLike) -> Array:
        """Logarithm of p over windows in s, averaged over the spreads of the leaks."""
        log_windows = np.log(_checks.positive_array("window", window))
        # One by one: with two spreads each window takes a hundred thousand failure times.
        return np.asarray([self._log_average(one, {}) for one in log_windows.ravel()]).reshape(log_windows.shape)

    def typical_log_window(self, p: ArrayLike) -> Array:
        """Logarithm of the failure time of the cell whose every leak has the deviate of p."""
        deviate = -special.ndtri(np.asarray(p, dtype=np.float64))
        return self.log_failure_time(dict.fromkeys(self._varied, deviate)) + 0.0 * deviate

    def enlarged(self, area: float) -> Self:
        """The same node with `area` times the capacitance and the currents, and spreads smaller by sqrt(area).

        Raises:
            ArgumentError: if the area is below 1.

        Source:
            theory.md 2.7, 2.9.
        """
        scale = _checks.at_least("area", area, 1.0)
        leaks = tuple(leak.enlarged(scale) for leak in self.leaks)
        return replace(self, capacitance=scale * self.capacitance, leaks=leaks)

    @property
    def idle(self) -> tuple[str, ...]:
        """Leaks that end before the margin is used up, as gate-induced leakage does."""
        return tuple(leak.name for leak in self.leaks if not self._reaches_margin(leak))

    def mechanisms(self) -> dict[str, RetentionCell]:
        """The node with each leak alone, but for those that are `idle`."""
        return {leak.name: replace(self, leaks=(leak,)) for leak in self.leaks if self._reaches_margin(leak)}

    def _reaches_margin(self, leak: Leak) -> bool:
        return bool(np.isfinite(leak.log_currents(self.voltage - self.margin, self.temperature)))

    def _log_average(self, log_window: float, deviates: dict[int, Array]) -> Array:
        """Ln p given some deviates, averaged over those of the other leaks."""
        left = [place for place in self._varied if place not in deviates]
        if not left:
            log_mean, log_counts = self._log_moments(deviates)
            # P(gamma of shape k and this mean < window) is the tail of a Poisson law, with a real number for its count.
            counts = np.maximum(np.exp(log_counts), 1.0)
            return log_poisson_tail(counts - 1.0, np.log(counts) + log_window - log_mean)
        shape = np.broadcast_shapes((), *(one.shape for one in deviates.values()))
        # Not broadcast: each leak is asked for its own deviates alone.
        known = {place: one[..., None] for place, one in deviates.items()}

        # The average is over what makes p fall, so over less current. Given this deviate p is a step only where the
        # other leaks' spreads hardly matter, so that it lies where it lies for their nominal cells.
        def log_p(z: Array) -> Array:
            return self._log_average(log_window, {**known, left[0]: -z})

        def of_nominal(z: Array) -> Array:
            nominal = dict.fromkeys(left[1:], np.zeros_like(z))
            return self._log_average(log_window, {**known, **nominal, left[0]: -z})

        return log_normal_average(log_p, shape, of_nominal)

    def _log_moments(self, deviates: Mapping[int, ArrayLike]) -> tuple[Array, Array]:
        """Ln of the mean failure time, and ln of the shape mean^2/variance of its gamma law."""
        low, high = np.log(self.voltage - self.margin), np.log(self.voltage)
        log_volts = (low + high) / 2 + (high - low) / 2 * _NODES
        measure = np.log((high - low) / 2 * _WEIGHTS) + log_volts + np.log(self.capacitance)
        volts = np.exp(log_volts)
        # Against the nominal cell's, so that sums need no logarithms: each leak varies along an axis of its own, and
        # exponentials of their common shape would take nearly all of the time.
        nominal = np.logaddexp.reduce([leak.log_currents(volts, self.temperature) for leak in self.leaks])
        logs = [
            leak.log_currents(volts, self.temperature, np.asarray(deviates.get(place, 0.0))[..., None])
            for place, leak in enumerate(self.leaks)
        ]
        total = sum(np.exp(np.clip(one - nominal, -_MOST_LOG, _MOST_LOG)) for one in logs)
        slowness = 1 / total
        # Of order 1, so that its square is a float.
        slowest = np.max(slowness, axis=-1, keepdims=True)
        slowness, log_slowest, weights = slowness / slowest, np.log(slowest[..., 0]), measure - nominal
        mean = _log_dot(slowness, weights) + log_slowest
        variance = _log_dot(slowness**2, weights - nominal) + 2 * log_slowest + np.log(e)
        return mean, 2 * mean - variance


def _log_dot(values: Array, log_weights: Array) -> Array:
    """Logarithm of the sum of values, last axis, times exp(log_weights)."""
    largest = float(np.max(log_weights))
    return np.asarray(np.log(values @ np.exp(log_weights - largest)) + largest)
