"""The well that holds the electrons: how many there are, how often each tries to leave, and the prefactor."""

import numpy as np
from scipy.constants import e, hbar, m_e

from qtaml import _checks

# Masses of silicon: along the channel normal (inversion layer) and the conductivity mass of electrons.
SILICON_NORMAL_MASS = 0.916
SILICON_CONDUCTIVITY_MASS = 0.26


def stored_electrons(capacitance: float, swing: float) -> int:
    """Number of electrons that charge a storage node: C V/q, rounded.

    Args:
        capacitance: F.
        swing: V.

    Returns:
        N_e.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.3.

    Example:
        >>> stored_electrons(10e-15, 0.5)
        31208
    """
    return round(_checks.positive("capacitance", capacitance) * _checks.positive("swing", swing) / e)


def default_threshold(electrons: int, share: float = 0.5) -> int:
    """Threshold at which the read window is lost: floor(share N_e).

    Args:
        electrons: N_e.
        share: part of the charge that may escape; 0.5 for one bit a cell, 0.2 to 0.3 for multi-level margins.

    Returns:
        n_th: the bit is lost when more electrons than this escape.

    Raises:
        ArgumentError: if there is no electron or the share is not a probability.

    Source:
        theory.md 2.3.

    Example:
        >>> default_threshold(3000)
        1500
    """
    number = _checks.integer("electrons", electrons, 1)
    # More than all electrons cannot escape: with a share of 1 the bit would never be lost.
    return min(int(_checks.probability("share", share) * number), number - 1)


def triangular_well_frequency(surface_field: float, mass: float = SILICON_NORMAL_MASS) -> float:
    """Attempt frequency of an electron bouncing in the triangular well of an inversion layer.

    nu = q F/(2 sqrt(2 m E_0)) with E_0 = (hbar^2/2m)^(1/3) (9 pi q F/8)^(2/3).

    Args:
        surface_field: field in the semiconductor, V/nm (1 MV/cm is 0.1 V/nm).
        mass: mass normal to the surface, free-electron masses.

    Returns:
        Hz.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.2.

    Example:
        >>> f"{triangular_well_frequency(0.05):.1e}"
        '2.3e+13'
    """
    force = e * _checks.positive("surface_field", surface_field) * 1e9
    kilogram = _checks.positive("mass", mass) * m_e
    level = (hbar**2 / (2 * kilogram)) ** (1 / 3) * (9 * np.pi * force / 8) ** (2 / 3)
    return float(force / (2 * np.sqrt(2 * kilogram * level)))


def dot_frequency(width: float, mass: float = SILICON_CONDUCTIVITY_MASS) -> float:
    """Attempt frequency v/2L of an electron in the ground state of a dot, with v = hbar pi/(m L).

    Args:
        width: of the dot, nm.
        mass: free-electron masses.

    Returns:
        Hz.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.2.

    Example:
        >>> f"{dot_frequency(5.0):.1e}"
        '2.8e+13'
    """
    metre, kilogram = _checks.positive("width", width) * 1e-9, _checks.positive("mass", mass) * m_e
    return float(hbar * np.pi / (2 * kilogram * metre**2))


def mass_mismatch_prefactor(
    height: float, barrier_mass: float, energy: float, well_mass: float = SILICON_CONDUCTIVITY_MASS
) -> float:
    """Prefactor 16/(r + 1/r)^2 of exp(-S) for an opaque square barrier when the mass changes at its faces.

    r = (kappa/m_barrier)/(k/m_well) = sqrt((height/m_barrier)/(energy/m_well)). Multiply the attempt frequency by it.

    Args:
        height: barrier height above the electron, eV.
        barrier_mass: free-electron masses.
        energy: kinetic energy of the electron in the well, eV.
        well_mass: free-electron masses.

    Returns:
        The factor, between 0 and 4.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.2; Forbes, J. Appl. Phys. (2008).

    Example:
        >>> round(mass_mismatch_prefactor(3.15, 0.42, 0.1), 2)
        0.74
    """
    outside = np.sqrt(_checks.positive("height", height) / _checks.positive("barrier_mass", barrier_mass))
    inside = np.sqrt(_checks.positive("energy", energy) / _checks.positive("well_mass", well_mass))
    ratio = outside / inside
    return float(16 / (ratio + 1 / ratio) ** 2)


def two_band_mass(mass: float, height: float, gap: float) -> float:
    """Effective mass m (1 - height/gap) of Franz's two-band dispersion, at a depth of `height` below the band edge.

    Args:
        mass: at the insulator's conduction band edge, free-electron masses.
        height: of the barrier, eV.
        gap: of the insulator, eV.

    Returns:
        The mass, in free-electron masses.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.1.

    Example:
        >>> round(two_band_mass(0.42, 3.15, 9.0), 3)
        0.273
    """
    share = _checks.positive("height", height) / _checks.positive("gap", gap)
    return _checks.positive("mass", mass) * (1 - share)
