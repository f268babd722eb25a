"""Barriers of any shape, their action by quadrature."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.barriers import integral_factor
from qtaml.device.quadrature import profile_integral


@dataclass(frozen=True)
class Profile:
    """A barrier of any shape: S(E) = (2/hbar) integral of sqrt(2 m(x) max(V(x) - E, 0)) dx between turning points.

    Thickening stretches the shape. The potential is evaluated strictly inside the barrier: it may diverge at an edge.

    Args:
        potential: potential in eV at positions in nm (array in, array of the same shape out).
        thickness: nm.
        mass: effective mass in free-electron masses, or a function of the position in nm like `potential`.
        breakpoints: positions in nm where the potential or the mass jumps or has a kink.

    Raises:
        ArgumentError: if the thickness is not above 0, or the mass is a number that is not.

    Source:
        theory.md 4.

    Example:
        >>> parabola = Profile(lambda x: 3.0 * x * (2.0 - x), thickness=2.0, mass=0.5)
        >>> round(parabola.action(), 6)
        19.712152
    """

    potential: Callable[[Array], Array]
    thickness: float
    mass: float | Callable[[Array], Array]
    breakpoints: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _checks.positive("thickness", self.thickness)
        if not callable(self.mass):
            _checks.positive("mass", self.mass)

    def action(self, energy: float = 0.0) -> float:
        """-ln T of an electron of `energy` eV on the scale of the potential; 0 where the electron passes above."""
        return float(self.actions(energy))

    def actions(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0, share: float = 1.0) -> Array:
        """-ln T, broadcast over energies (eV) and extra thicknesses (nm), through the first `share` of the barrier."""
        return self._stretched(energy, extra, share, 0.5)

    def action_slopes(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0) -> Array:
        """Fall of -ln T for each eV of electron energy, in 1/eV."""
        return self._stretched(energy, extra, 1.0, -0.5)

    def thickened(self, extra: float) -> Self:
        """The same shape, stretched to `extra` nm more."""
        thickness = self.thickness + extra
        potential, mass, shrink = self.potential, self.mass, self.thickness / thickness
        return replace(
            self,
            potential=lambda x: potential(x * shrink),
            mass=(lambda x: mass(x * shrink)) if callable(mass) else mass,
            thickness=thickness,
            breakpoints=tuple(x / shrink for x in self.breakpoints),
        )

    def _stretched(self, energy: ArrayLike, extra: ArrayLike, share: float, power: float) -> Array:
        """The action or its slope, broadcast over energies and extra thicknesses."""
        # Stretching x scales the integral, so that many thicknesses need one quadrature for each energy.
        stretch = np.maximum(1 + np.asarray(extra, dtype=np.float64) / self.thickness, 0.0)
        integral = np.vectorize(self._integral, otypes=[float])(energy, share, power)
        return np.asarray(integral_factor(power) * stretch * integral)

    def _integral(self, energy: float, share: float, power: float) -> float:
        """Integral of sqrt(mass) (V - E)^power over the first `share` of the nominal barrier, in nm."""
        mass = self.mass
        return profile_integral(
            lambda x: self.potential(x) - energy,
            mass if callable(mass) else lambda x: np.full_like(x, mass),
            self.thickness,
            share=share,
            power=power,
            breakpoints=self.breakpoints,
        )
