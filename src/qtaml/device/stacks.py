"""Stacks of insulators in closed form: high-k gate stacks, oxide-nitride-oxide, graded barriers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.barriers import energies_below, linear_action, linear_action_slope
from qtaml.errors import ArgumentError


@dataclass(frozen=True)
class Layer:
    """An insulator of a stack.

    Args:
        height: barrier height above the electron's ground level, eV.
        thickness: nm.
        mass: effective tunnelling mass, free-electron masses.
        permittivity: relative permittivity; it matters only under a field.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.1, 4.

    Example:
        >>> Layer(height=1.5, thickness=1.7, mass=0.17).permittivity
        3.9
    """

    height: float
    thickness: float
    mass: float
    permittivity: float = 3.9

    def __post_init__(self) -> None:
        for name in ("height", "thickness", "mass", "permittivity"):
            _checks.positive(name, getattr(self, name))


@dataclass(frozen=True)
class Stack:
    """Insulators one behind the other, in closed form: the sum of the layers' actions.

    S = sum_i linear_action(height_i - sum_{j<i} drop_j, drop_i, d_i) with drop_i = displacement d_i/permittivity_i.
    Resonances in wells between the layers are ignored.

    Args:
        layers: from the side of the stored charge outwards.
        displacement: electric displacement over the vacuum permittivity, V/nm.
        varied: index of the layer whose thickness varies (spread, hardening, inverse questions).

    Raises:
        ArgumentError: if there is no layer, the displacement is negative, or `varied` names no layer.

    Source:
        theory.md 4.

    Example:
        >>> ono = Stack((Layer(3.15, 3, 0.42), Layer(2.1, 6, 0.4, 7.5), Layer(3.15, 4, 0.42)), displacement=1.5)
        >>> round(ono.action(), 3)
        59.944
    """

    layers: tuple[Layer, ...]
    displacement: float = 0.0
    varied: int = 0

    def __post_init__(self) -> None:
        if not self.layers:
            raise ArgumentError(f"layers must hold at least one Layer, got {self.layers!r}")
        _checks.non_negative("displacement", self.displacement)
        _checks.integer("varied", self.varied, 0, len(self.layers) - 1)

    @property
    def thickness(self) -> float:
        """Thickness of the layer that varies, nm."""
        return self.layers[self.varied].thickness

    def action(self, energy: float = 0.0) -> float:
        """-ln T of an electron `energy` eV above its ground level."""
        return float(self.actions(energy))

    def actions(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0, share: float = 1.0) -> Array:
        """-ln T, broadcast over energies (eV) and extra thicknesses (nm), through the first `share` of the stack."""
        return self._sum(linear_action, energy, extra, share)

    def action_slopes(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0) -> Array:
        """Fall of -ln T for each eV of electron energy, in 1/eV."""
        return self._sum(linear_action_slope, energy, extra, 1.0)

    def thickened(self, extra: float) -> Self:
        """The same stack, its varied layer `extra` nm thicker."""
        thicker = replace(self.layers[self.varied], thickness=self.thickness + extra)
        return replace(self, layers=(*self.layers[: self.varied], thicker, *self.layers[self.varied + 1 :]))

    def _sum(self, closed: Callable[..., Array], energy: ArrayLike, extra: ArrayLike, share: float) -> Array:
        """Sum of a closed form over the layers, each cut at the depth where `share` of the stack ends."""
        # Below the highest layer is enough: lower ones that the electron passes above have an action of 0.
        energies = energies_below(max(layer.height for layer in self.layers), energy)
        thicknesses = self._thicknesses(extra)
        left = share * np.asarray(sum(thicknesses))
        total, fallen = np.zeros_like(left + energies), np.zeros_like(left)
        for layer, thickness in zip(self.layers, thicknesses, strict=True):
            inside = np.clip(left, 0.0, thickness)
            drop = self.displacement / layer.permittivity * inside
            total = total + closed(layer.height - fallen - energies, drop, inside, layer.mass)
            fallen, left = fallen + drop, left - inside
        return total

    def _thicknesses(self, extra: ArrayLike) -> list[Array]:
        """Thickness of each layer in nm, with the extra of the varied one, never below 0."""
        nominal = [np.asarray(layer.thickness, dtype=np.float64) for layer in self.layers]
        nominal[self.varied] = np.maximum(nominal[self.varied] + np.asarray(extra, dtype=np.float64), 0.0)
        return nominal
