"""Escape through traps in the insulator: the second channel, which dominates wherever the barrier is thick."""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy import special

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.barriers import Barrier
from qtaml.device.thermal import log_arrhenius
from qtaml.errors import ArgumentError

# The Poisson law of the number of traps is cut where its upper tail is this small, and scaled to sum to 1 again. It
# bounds the error of p, so it has to lie below every p of interest that traps cause.
_NEGLECTED_SHARE = 1e-9


def log_two_step_rate(action_in: ArrayLike, action_out: ArrayLike, frequency: float) -> Array:
    """Logarithm of the escape rate of an electron through a trap, nu T1 T2/(T1 + T2).

    Args:
        action_in: -ln T1, from the well to the trap.
        action_out: -ln T2, from the trap outwards.
        frequency: attempts per second, Hz.

    Returns:
        ln of events per second, of the broadcast shape.

    Source:
        theory.md 4.

    Example:
        >>> round(float(np.exp(log_two_step_rate(29.46, 29.46, 1e13))), 1)
        0.8
    """
    first, second = -np.asarray(action_in, dtype=np.float64), -np.asarray(action_out, dtype=np.float64)
    return np.asarray(np.log(frequency) + first + second - np.logaddexp(first, second))


def log_chain_rate(action: ArrayLike, traps: int, frequency: float) -> Array:
    """Logarithm of the escape rate through a chain of evenly placed traps, nu T^(1/(n+1))/(n+1).

    Args:
        action: -ln T of the whole barrier.
        traps: n, at least 0; none is direct tunnelling.
        frequency: attempts per second, Hz.

    Returns:
        ln of events per second, of the shape of `action`.

    Raises:
        ArgumentError: if `traps` is not a whole number of at least 0.

    Source:
        theory.md 4.

    Example:
        >>> round(float(log_chain_rate(60.0, 1, 1.0)), 3)
        -30.693
    """
    steps = _checks.integer("traps", traps, 0) + 1
    return np.asarray(np.log(frequency) - np.asarray(action, dtype=np.float64) / steps - np.log(steps))


def emptied_depth(window: ArrayLike, action_per_nm: float, oxide_action: float, frequency: float) -> Array:
    """Depth to which the traps of a charge-trapping layer have emptied: the retention front.

    Charge at depth x leaves after exp(oxide_action + action_per_nm x)/nu, so the front is at
    x(t) = max(0, (ln(nu t) - oxide_action)/action_per_nm). It moves by ln(10)/action_per_nm for each decade of time,
    and the threshold voltage falls logarithmically.

    Args:
        window: time since programming, s.
        action_per_nm: 2 kappa inside the trapping layer, 1/nm.
        oxide_action: -ln T of the tunnel oxide in front of it.
        frequency: attempts per second, Hz.

    Returns:
        nm, 0 before the first charge leaves.

    Raises:
        ArgumentError: if a time, a rate or the decay constant is not above 0.

    Source:
        theory.md 4 (SONOS).

    Example:
        >>> year, decade = emptied_depth(np.array([3.15e7, 3.15e8]), 7.39, 23.6, 1e13)
        >>> round(float(decade - year), 2)
        0.31
    """
    times = _checks.positive_array("window", window)
    rate = np.log(_checks.positive("frequency", frequency))
    depth = (np.log(times) + rate - oxide_action) / _checks.positive("action_per_nm", action_per_nm)
    return np.asarray(np.maximum(depth, 0.0))


@dataclass(frozen=True)
class Traps:
    """Traps of one kind in the cells' insulator, their number in each cell Poisson distributed.

    Electrons pass a trap one at a time, so mean waiting times for capture and emission add:
    R = N nu T1 nu_t T2/(N nu T1 + nu_t T2), times exp(-E_a/kT).

    Args:
        expected: mean number of effective traps in a cell.
        position: depth as a share of the barrier; in the middle the rate is largest.
        activation_energy: of the lattice relaxation, eV (0.3 to 1 in fits).
        emission_frequency: attempts per second of a trapped electron, Hz; the cell's own unless given.

    Raises:
        ArgumentError: if a number is negative, or the position not strictly inside the barrier.

    Source:
        theory.md 4.

    Example:
        >>> Traps(expected=0.1).counts()[0]
        (0, 1, 2, 3, 4, 5, 6)
    """

    expected: float
    position: float = 0.5
    activation_energy: float = 0.0
    emission_frequency: float | None = None

    def __post_init__(self) -> None:
        _checks.non_negative("expected", self.expected)
        _checks.non_negative("activation_energy", self.activation_energy)
        if self.emission_frequency is not None:
            _checks.positive("emission_frequency", self.emission_frequency)
        if not 0 < _checks.real("position", self.position) < 1:
            raise ArgumentError(f"position must be above 0 and below 1, got {self.position!r}")

    def counts(self) -> tuple[tuple[int, ...], Array]:
        """Numbers of traps in a cell, and the ln of the share of cells with each (truncated Poisson law)."""
        if self.expected == 0:
            return (0,), np.zeros(1)
        most = int(scipy.stats.poisson.isf(_NEGLECTED_SHARE, self.expected))
        numbers = np.arange(most + 1)
        logs = special.xlogy(numbers, self.expected) - self.expected - special.gammaln(numbers + 1)
        return tuple(range(most + 1)), np.asarray(logs - special.logsumexp(logs))

    def log_rate(
        self, barrier: Barrier, electrons: int, frequency: float, temperature: float, extra: ArrayLike = 0.0
    ) -> Array:
        """Logarithm of R, the rate of the class docstring: electrons per second that a trap lets out of a full cell.

        Args:
            barrier: the insulator.
            electrons: N_e, competing for the trap.
            frequency: of the electrons in the well, Hz.
            temperature: K.
            extra: extra thicknesses, nm.

        Returns:
            Natural logarithms, of the shape of `extra`.

        Raises:
            ArgumentError: if there is an activation energy but no temperature.
        """
        whole, before = barrier.actions(0.0, extra), barrier.actions(0.0, extra, self.position)
        # -ln T2 as a difference: the action is additive along the barrier, and every barrier can be cut from its entry.
        capture = np.log(electrons * frequency) - before
        emission = np.log(self.emission_frequency or frequency) - (whole - before)
        two_steps = capture + emission - np.logaddexp(capture, emission)
        return np.asarray(two_steps + log_arrhenius(self.activation_energy, temperature))
