"""Barriers and their WKB action -ln T: the protocol of all barriers, and the rectangular one with its tilted forms.

Every barrier has the four members of the protocol `Barrier`; a cell uses nothing else. All formulas work with the
action, never with the transmission T, so that nothing underflows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import e, hbar, m_e

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.image_force import ImageForce
from qtaml.device.quadrature import profile_integral
from qtaml.errors import ArgumentError

# 2 sqrt(2 m_e * 1 eV) / hbar in 1/nm: twice the decay constant of a free electron 1 eV below the barrier.
TWICE_DECAY_CONSTANT = 2 * np.sqrt(2 * m_e * e) / hbar * 1e-9


@runtime_checkable
class Barrier(Protocol):
    """Protocol of barriers: action -ln T, its fall with energy, and a thicker copy.

    `thickness` is the thickness in nm that varies: of the whole barrier, or of one layer of a stack.
    """

    @property
    def thickness(self) -> float:
        """Thickness that varies, in nm."""

    def actions(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0, share: float = 1.0) -> Array:
        """-ln T for electron energies (eV) and extra thicknesses (nm), through the first `share` of the barrier."""

    def action_slopes(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0) -> Array:
        """Fall of -ln T for each eV of electron energy, in 1/eV."""

    def thickened(self, extra: float) -> Self:
        """The same barrier, `extra` nm thicker."""


def linear_action(top: ArrayLike, drop: ArrayLike, thickness: ArrayLike, mass: float) -> Array:
    """-ln T of a layer whose potential falls linearly: one formula for rectangle, trapezoid and triangle.

    S = (2 sqrt(2 m)/hbar) d_eff (2/3) (a + sqrt(ab) + b)/(sqrt a + sqrt b) with a = top, b = max(top - drop, 0) and
    d_eff = d min(1, top/drop) the part of the thickness d where the potential lies above the electron. It has no
    cancellation as drop -> 0.

    Args:
        top: potential at the entry above the electron's energy, eV; at or below 0 there is no barrier.
        drop: fall of the potential over the layer, eV, at least 0.
        thickness: nm, at least 0.
        mass: effective mass, free-electron masses.

    Returns:
        The action, of the broadcast shape.

    Source:
        theory.md 2.2; paper Lemma A.7 for drop = 0.

    Example:
        >>> round(float(linear_action(3.15, 0.0, 1.0, 0.42)), 2)
        11.79
    """
    a, b, effective = _classically_forbidden(top, drop, thickness)
    roots = np.sqrt(a) + np.sqrt(b)
    # Not the textbook (a^1.5 - b^1.5)/field: that is a difference of equal numbers, over 0, for a small field.
    mean_root = (2 / 3) * (a + np.sqrt(a * b) + b) / np.where(roots > 0, roots, 1.0)
    return np.asarray(TWICE_DECAY_CONSTANT * np.sqrt(mass) * effective * mean_root)


def linear_action_slope(top: ArrayLike, drop: ArrayLike, thickness: ArrayLike, mass: float) -> Array:
    """Fall of `linear_action` for each eV of electron energy: (2 sqrt(2 m)/hbar) d_eff/(sqrt a + sqrt b).

    a, b and d_eff are those of `linear_action`; for a rectangle of height phi it is S/(2 phi).

    Args:
        top: potential at the entry above the electron's energy, eV.
        drop: fall of the potential over the layer, eV, at least 0.
        thickness: nm, at least 0.
        mass: effective mass, free-electron masses.

    Returns:
        d ln T/dE in 1/eV, of the broadcast shape.

    Source:
        Derivative of the closed form of theory.md 2.2.

    Example:
        >>> round(float(linear_action_slope(3.15, 0.0, 1.0, 0.42) * 2 * 3.15), 2)
        11.79
    """
    a, b, effective = _classically_forbidden(top, drop, thickness)
    roots = np.sqrt(a) + np.sqrt(b)
    # Without a barrier (both roots 0) the slope is 0, not 0/0.
    return np.asarray(TWICE_DECAY_CONSTANT * np.sqrt(mass) * effective / np.where(roots > 0, roots, np.inf))


def fowler_nordheim_slope(height: float, mass: float) -> float:
    """Fowler-Nordheim slope B in MV/cm: the action of a triangular barrier is B divided by the field.

    Args:
        height: barrier height, eV.
        mass: effective mass, free-electron masses.

    Returns:
        4 sqrt(2 m) height^1.5 / (3 hbar q) in MV/cm.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.2 (Lenzlinger and Snow 1969).

    Example:
        >>> round(fowler_nordheim_slope(3.15, 0.5), 1)
        270.0
    """
    height, mass = _checks.positive("height", height), _checks.positive("mass", mass)
    volt_per_nm = (2 / 3) * TWICE_DECAY_CONSTANT * np.sqrt(mass) * height**1.5
    return float(volt_per_nm * 10)


@dataclass(frozen=True)
class Rectangular:
    """One insulator of constant height, tilted by a field: rectangular, trapezoidal or Fowler-Nordheim.

    Without a field the barrier is the paper's rectangle, S = 10.246 sqrt(mass height) thickness; with
    `field * thickness < height` a trapezoid (direct tunnelling); with more it is the triangle of Fowler and Nordheim.
    The action is `linear_action`, or with an image force the integral over the rounded barrier.

    Args:
        height: barrier height above the electron's ground level, eV.
        thickness: nm.
        mass: effective tunnelling mass, free-electron masses.
        field: field in the insulator that pulls the electron out, V/nm.
        image_force: rounding of the corners by image charges, off unless given (fitted masses already absorb it).

    Raises:
        ArgumentError: if a length, height or mass is not above 0, or the field is negative.

    Source:
        paper Lemma A.7; theory.md 2.2.

    Example:
        >>> round(Rectangular(height=3.15, thickness=1.8, mass=0.42).action(), 2)
        21.21
    """

    height: float
    thickness: float
    mass: float
    field: float = 0.0
    image_force: ImageForce | None = None

    def __post_init__(self) -> None:
        _checks.positive("height", self.height)
        _checks.positive("thickness", self.thickness)
        _checks.positive("mass", self.mass)
        _checks.non_negative("field", self.field)

    def action(self, energy: float = 0.0) -> float:
        """-ln T of an electron `energy` eV above its ground level."""
        return float(self.actions(energy))

    def actions(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0, share: float = 1.0) -> Array:
        """-ln T, broadcast over energies (eV) and extra thicknesses (nm), through the first `share` of the barrier."""
        return self._evaluate(energy, extra, share, linear_action, 0.5)

    def action_slopes(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0) -> Array:
        """Fall of -ln T for each eV of electron energy, in 1/eV."""
        return self._evaluate(energy, extra, 1.0, linear_action_slope, -0.5)

    def thickened(self, extra: float) -> Self:
        """The same barrier, `extra` nm thicker."""
        return replace(self, thickness=self.thickness + extra)

    def _evaluate(
        self, energy: ArrayLike, extra: ArrayLike, share: float, closed: Callable[..., Array], power: float
    ) -> Array:
        """The closed form, or with image charges the integral of (V - E)^power."""
        top = self.height - energies_below(self.height, energy)
        # The thin tail of a spread reaches below 0: such a cell has no barrier.
        thickness = np.maximum(self.thickness + np.asarray(extra, dtype=np.float64), 0.0)
        if self.image_force is None:
            return closed(top, self.field * share * thickness, share * thickness, self.mass)
        integral = np.vectorize(self._integral, otypes=[float])(top, thickness, share, power)
        return np.asarray(integral_factor(power) * integral)

    def _integral(self, top: float, thickness: float, share: float, power: float) -> float:
        """Integral of sqrt(mass) (V - E)^power over the rounded barrier, in nm."""
        force = self.image_force
        assert force is not None
        return profile_integral(
            lambda x: top - self.field * x + force.potential(x, thickness),
            lambda x: np.full_like(x, self.mass),
            thickness,
            share=share,
            power=power,
        )


def _classically_forbidden(top: ArrayLike, drop: ArrayLike, thickness: ArrayLike) -> tuple[Array, Array, Array]:
    """Heights at both ends (eV) and length (nm) of the part of a linear layer that lies above the electron."""
    tops, drops = np.asarray(top, dtype=np.float64), np.asarray(drop, dtype=np.float64)
    a, b = np.maximum(tops, 0.0), np.maximum(tops - drops, 0.0)
    # The inner `where` keeps 0/0 out of the branch that is not taken: NumPy evaluates both.
    part = np.where(drops > a, a / np.where(drops > a, drops, 1.0), 1.0)
    return a, b, np.asarray(part * np.asarray(thickness, dtype=np.float64))


def integral_factor(power: float) -> float:
    """Factor of the integral of sqrt(mass) (V - E)^power: gives S for power 1/2, its fall with energy for -1/2."""
    return float(TWICE_DECAY_CONSTANT if power > 0 else TWICE_DECAY_CONSTANT / 2)


def energies_below(height: float, energy: ArrayLike) -> Array:
    """The energies as an array, all below the barrier's height."""
    energies = np.asarray(energy, dtype=np.float64)
    # Negated, so that NaN is refused too.
    wrong = ~(energies < height)
    if wrong.any():
        raise ArgumentError(
            f"energy must be below the barrier height of {height} eV, got {float(energies[wrong][0])!r}"
        )
    return energies
