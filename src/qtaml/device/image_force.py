"""Image charges in the electrodes: they round the corners of a barrier and lower it."""

from dataclasses import dataclass

import numpy as np
from scipy.constants import e, epsilon_0
from scipy.special import digamma

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.errors import ArgumentError

# q^2 / (16 pi epsilon_0) in eV nm: the image potential at 1 nm from an ideal metal in vacuum is minus this.
IMAGE_CONSTANT = e / (16 * np.pi * epsilon_0) * 1e9


@dataclass(frozen=True)
class ImageForce:
    """Image force between two plane electrodes, all reflections summed in closed form.

    The sum -(q^2/8 pi eps)[1/(2x) + sum_n (n d/((n d)^2 - x^2) - 1/(n d))] equals
    (q^2/16 pi eps d)(psi(x/d) + psi(1 - x/d) + 2 gamma) with the digamma function psi.

    Args:
        permittivity: relative permittivity of the insulator at optical frequencies (2.13 for SiO2).
        reflection: image charge over true charge: 1 for metals, (eps_s - eps_i)/(eps_s + eps_i) for semiconductors
            (about 0.5 for silicon on SiO2).

    Raises:
        ArgumentError: if the permittivity is not above 0 or the reflection not in [0, 1].

    Source:
        theory.md 2.2; Simmons, J. Appl. Phys. 34, 1793 (1963), whose often copied prefactor is twice too large.

    Example:
        >>> round(float(ImageForce().potential(np.array(0.75), 1.5)), 3)
        -0.312
    """

    permittivity: float = 2.13
    reflection: float = 1.0

    def __post_init__(self) -> None:
        _checks.positive("permittivity", self.permittivity)
        if not 0 <= _checks.real("reflection", self.reflection) <= 1:
            raise ArgumentError(f"reflection must be in [0, 1], got {self.reflection!r}")

    def potential(self, position: Array, thickness: float) -> Array:
        """Image potential, negative, in eV.

        Args:
            position: nm from the first electrode, strictly inside the insulator.
            thickness: nm between the electrodes.

        Returns:
            The potential at each position.
        """
        share = position / _checks.positive("thickness", thickness)
        # Not the series over reflections, whose terms fall only as 1/n^3.
        shape = digamma(share) + digamma(1 - share) + 2 * np.euler_gamma
        return np.asarray(self.reflection * IMAGE_CONSTANT / (self.permittivity * thickness) * shape)


def simmons_potential(position: Array, thickness: float, permittivity: float = 2.13) -> Array:
    """Simmons' approximation of the image potential between metals, -1.15 ln 2 q^2 d/(16 pi eps x (d - x)), in eV.

    Args:
        position: nm from the first electrode, strictly inside the insulator.
        thickness: nm between the electrodes.
        permittivity: relative permittivity at optical frequencies.

    Returns:
        The potential at each position.

    Source:
        theory.md 2.2; Simmons 1963 with the prefactor corrected to 16 pi.

    Example:
        >>> round(float(simmons_potential(np.array(0.75), 1.5)), 3)
        -0.359
    """
    lowering = 1.15 * np.log(2) * IMAGE_CONSTANT / permittivity
    return np.asarray(-lowering * thickness / (position * (thickness - position)))
