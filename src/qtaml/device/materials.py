"""Insulators: barrier heights against silicon and tunnelling masses, as fitted pairs with their sources.

Only mass * height enters the exponent of a rectangular barrier, so a mass belongs to the height it was fitted with.
"""

from dataclasses import dataclass

from qtaml.device._names import look_up
from qtaml.device.barriers import TWICE_DECAY_CONSTANT


@dataclass(frozen=True)
class Insulator:
    """An insulator: S = 2 kappa d with 2 kappa = (2 sqrt(2)/hbar) sqrt(mass height), 10.246/nm at 1 eV and mass 1.

    Args:
        name: short name.
        height: barrier height for electrons from silicon, eV.
        mass: effective tunnelling mass, free-electron masses.
        permittivity: relative static permittivity (textbook values).
        sureness: "high", "medium" or "low".
        source: where height and mass come from.

    Source:
        theory.md 2.1.

    Example:
        >>> round(insulator("sio2").nm_per_decade, 3)
        0.195
    """

    name: str
    height: float
    mass: float
    permittivity: float
    sureness: str
    source: str

    @property
    def action_per_nm(self) -> float:
        """2 kappa in 1/nm."""
        return float(TWICE_DECAY_CONSTANT * (self.mass * self.height) ** 0.5)

    @property
    def nm_per_decade(self) -> float:
        """Thickness in nm for each decade of leakage: ln 10/(2 kappa)."""
        return 2.302585092994046 / self.action_per_nm


_TABLE = (
    Insulator(
        "sio2",
        3.15,
        0.42,
        3.9,
        "high",
        "mass: Chanana, IOSR-JAP 2014; Lenzlinger and Snow 1969; height: 3.1 to 3.2 eV",
    ),
    Insulator("sio2_franz", 3.15, 0.273, 3.9, "medium", "two-band mass 0.42 (1 - 3.15/9), derived in theory.md 2.1"),
    Insulator("si3n4", 2.1, 0.40, 7.5, "medium", "ranges 1.9 to 2.4 eV and 0.3 to 0.5, from memory in theory.md 2.1"),
    Insulator("al2o3", 2.8, 0.23, 9.0, "medium", "atomic-layer deposited; from memory in theory.md 2.1"),
    Insulator(
        "hfo2",
        1.5,
        0.17,
        25.0,
        "low",
        "offset: Robertson (from memory); mass: Yeo, King, Hu, APL 2002 (value from memory)",
    ),
    Insulator("zro2", 1.4, 0.20, 25.0, "low", "range 1.2 to 1.4 eV, mass from memory, theory.md 2.1"),
    Insulator(
        "hbn",
        3.07,
        0.26,
        4.0,
        "medium",
        "Lee et al., APL 2011 (from memory); Hattori 2018 finds holes as F-N carriers",
    ),
)

INSULATORS = {entry.name: entry for entry in _TABLE}


def insulator(name: str) -> Insulator:
    """The insulator of that name.

    Args:
        name: a key of `INSULATORS`.

    Returns:
        The insulator.

    Raises:
        ArgumentError: if the name is unknown; the message suggests near ones and lists all.

    Source:
        theory.md 2.1.

    Example:
        >>> insulator("hbn").height
        3.07
    """
    return look_up("insulator", name, INSULATORS)
