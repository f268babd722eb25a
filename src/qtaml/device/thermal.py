"""Temperature: the thermal spread of the emission energies, and the Arrhenius law of traps."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import e, k

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.errors import ArgumentError

# The closed form is the leading term for kT d ln T/dE well below 1; at 1 it diverges (thermionic-field emission).
_LARGEST_SHARE = 0.9


def thermal_energy(temperature: float) -> float:
    """Boltzmann's constant times a temperature.

    Args:
        temperature: K, at least 0.

    Returns:
        kT in eV.

    Raises:
        ArgumentError: if the temperature is negative.

    Example:
        >>> round(thermal_energy(300), 6)
        0.025852
    """
    return _checks.non_negative("temperature", temperature) * k / e


def log_thermal_factor(action_slope: ArrayLike, temperature: float) -> Array:
    """Logarithm of <T>/T(0) = 1/(1 - kT d ln T/dE), the gain in transmission by the thermal spread of energies.

    Pure tunnelling depends little on temperature; a strong Arrhenius law means traps.

    Args:
        action_slope: d ln T/dE in 1/eV.
        temperature: K; 0 leaves the transmission as it is.

    Returns:
        Natural logarithms, of the shape of `action_slope`.

    Raises:
        ArgumentError: if the temperature is negative, or so high that most electrons pass near the barrier's top.

    Source:
        theory.md 2.2.

    Example:
        >>> from qtaml.device import Rectangular
        >>> barrier = Rectangular(height=3.15, thickness=3.0, mass=0.42)
        >>> round(float(np.exp(log_thermal_factor(barrier.action_slopes(), 300.0))), 2)
        1.17
    """
    slope = np.asarray(action_slope, dtype=np.float64)
    share = thermal_energy(temperature) * slope
    if (share > _LARGEST_SHARE).any():
        limit = _LARGEST_SHARE * e / k / float(slope.max())
        raise ArgumentError(f"temperature must be at most {limit:.0f} K for so thick a barrier, got {temperature!r}")
    return np.asarray(-np.log1p(-share))


def log_arrhenius(activation_energy: float, temperature: float) -> float:
    """Logarithm of exp(-E_a/kT).

    Args:
        activation_energy: eV, at least 0.
        temperature: K; it must be above 0 unless the activation energy is 0.

    Returns:
        The natural logarithm, at most 0.

    Raises:
        ArgumentError: if an argument is negative, or a barrier of energy is to be climbed at 0 K.

    Source:
        theory.md 4.

    Example:
        >>> round(log_arrhenius(0.5, 300.0), 2)
        -19.34
    """
    # First, since 0 K is allowed then: 0/0 has no value.
    if _checks.non_negative("activation_energy", activation_energy) == 0:
        return 0.0
    if thermal_energy(temperature) == 0:
        raise ArgumentError(f"temperature must be above 0 K with an activation energy, got {temperature!r}")
    return -activation_energy / thermal_energy(temperature)
