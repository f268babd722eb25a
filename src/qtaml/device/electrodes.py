"""Electrodes on both sides of an insulator: work functions give both barrier heights, and the rates in both directions.

Energies are those of electrons. The level of a node is its Fermi level above that of the gate, in eV: above 0 it is
charged with electrons, below 0 it lacks them.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml._figures import Curve, Panel, panels_figure
from qtaml.device._arrays import Array
from qtaml.device._names import look_up
from qtaml.device.barriers import energies_below, linear_action, linear_action_slope
from qtaml.device.materials import Insulator
from qtaml.device.thermal import log_thermal_factor, thermal_energy
from qtaml.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# matprop.ru/Si_basic. Barrier heights of `INSULATORS` are counted from silicon's conduction band.
SILICON_AFFINITY = 4.05

# eV and source by name. Work functions of a metal on an insulator differ from those in vacuum by a few tenths of an eV.
_VACUUM = (
    "polycrystalline metal in vacuum: Michaelson, J. Appl. Phys. 48, 4729 (1977), as public tables quote it; other "
    "measurements are up to 0.4 eV lower"
)
WORK_FUNCTIONS = {
    "n+ Si": (SILICON_AFFINITY, "affinity of silicon (matprop.ru/Si_basic), Fermi level at the conduction band"),
    "p+ Si": (
        5.17,
        "affinity of silicon (matprop.ru/Si_basic), and its gap of 1.12 eV (fizyka.pk.edu.pl/tabele/Polprzew.htm)",
    ),
    "Al": (4.28, _VACUUM),
    "W": (4.55, _VACUUM),
    "Ta": (4.25, _VACUUM),
    "Ti": (4.33, _VACUUM),
    "Ni": (5.15, _VACUUM),
    "Au": (5.1, _VACUUM),
    "Pt": (5.65, _VACUUM),
    "TiAl": (4.2, "chipfoundryservices.com, metal gate work function: effective, about 4.2 eV"),
    "TiN": (4.7, "chipfoundryservices.com, metal gate work function: effective, 4.6 to 4.8 eV by process"),
}


@dataclass(frozen=True)
class Electrode:
    """A conductor beside an insulator.

    Args:
        material: a key of `WORK_FUNCTIONS`, or the work function in eV.

    Raises:
        ArgumentError: if the name is unknown or the number not above 0.

    Source:
        theory.md 2.8; the table names the source of each value.

    Example:
        >>> Electrode("TiN").work_function, Electrode(4.9).work_function
        (4.7, 4.9)
    """

    material: str | float

    def __post_init__(self) -> None:
        if isinstance(self.material, str):
            look_up("material", self.material, WORK_FUNCTIONS)
        else:
            _checks.positive("material", self.material)

    @property
    def work_function(self) -> float:
        """Energy from the Fermi level to the vacuum, eV."""
        return WORK_FUNCTIONS[self.material][0] if isinstance(self.material, str) else float(self.material)

    @property
    def source(self) -> str:
        """Where the value comes from."""
        return WORK_FUNCTIONS[self.material][1] if isinstance(self.material, str) else "given as a number"


@dataclass(frozen=True)
class Trapezoid:
    """A barrier with fixed heights at both ends, as between two electrodes: thicker, it has less field.

    Args:
        entry: height above the electron's energy where it enters, eV; above 0.
        exit: height above its energy where it leaves, eV; below 0 the electron leaves through a triangle.
        thickness: nm.
        mass: effective tunnelling mass, free-electron masses.

    Raises:
        ArgumentError: if a length or mass is not above 0, or neither end is.

    Source:
        theory.md 2.2, 2.8.

    Example:
        >>> from qtaml.device import Rectangular
        >>> tilted = Trapezoid(3.15, 2.15, 2.0, 0.42)
        >>> bool(abs(tilted.actions() - Rectangular(3.15, 2.0, 0.42, field=0.5).actions()) < 1e-12)
        True
    """

    entry: float
    exit: float
    thickness: float
    mass: float

    def __post_init__(self) -> None:
        _checks.real("exit", self.exit)
        for name in ("entry", "thickness", "mass"):
            _checks.positive(name, getattr(self, name))

    def actions(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0, share: float = 1.0) -> Array:
        """-ln T, broadcast over energies (eV) and extra thicknesses (nm), through the first `share` of the barrier."""
        thickness = share * self._thicknesses(extra)
        inner = self.entry + share * (self.exit - self.entry)
        # An action is the same from either side: it is counted from the higher one, from which the potential falls.
        high, fall = max(self.entry, inner), abs(self.entry - inner)
        return linear_action(high - energies_below(high, energy), fall, thickness, self.mass)

    def action_slopes(self, energy: ArrayLike = 0.0, extra: ArrayLike = 0.0) -> Array:
        """Fall of -ln T for each eV of electron energy, in 1/eV."""
        high, fall = max(self.entry, self.exit), abs(self.entry - self.exit)
        return linear_action_slope(high - energies_below(high, energy), fall, self._thicknesses(extra), self.mass)

    def thickened(self, extra: float) -> Self:
        """The same barrier, `extra` nm thicker."""
        return replace(self, thickness=self.thickness + extra)

    def _thicknesses(self, extra: ArrayLike) -> Array:
        return np.asarray(np.maximum(self.thickness + np.asarray(extra, dtype=np.float64), 0.0))


@dataclass(frozen=True)
class TunnelJunction:
    """An insulator between the node that keeps the charge and a gate.

    The barrier is W1 - chi high at the node and W2 - chi at the gate, above the Fermi level of either; its top falls
    from the node to the gate by W1 - W2 plus the node's level. chi is the affinity of silicon less the insulator's
    height above silicon's conduction band.

    Args:
        node: electrode of the stored charge.
        gate: electrode on the other side.
        insulator: as from `insulator("sio2")`.
        thickness: nm.

    Raises:
        ArgumentError: if the thickness is not above 0, or a work function not above the affinity.

    Source:
        theory.md 2.8.

    Example:
        >>> from qtaml.device import insulator
        >>> junction = TunnelJunction(Electrode("n+ Si"), Electrode("TiN"), insulator("sio2"), 2.0)
        >>> [round(height, 2) for height in junction.heights], round(junction.field(0.5), 3)
        ([3.15, 3.8], -0.075)
    """

    node: Electrode
    gate: Electrode
    insulator: Insulator
    thickness: float

    def __post_init__(self) -> None:
        _checks.positive("thickness", self.thickness)
        for name, height in zip(("node", "gate"), self.heights, strict=True):
            if height <= 0:
                raise ArgumentError(
                    f"{name} must have a work function above the affinity of {self.insulator.name}, "
                    f"{SILICON_AFFINITY - self.insulator.height:.2f} eV, got {getattr(self, name).work_function:g} eV"
                )

    @property
    def heights(self) -> tuple[float, float]:
        """Barrier heights at the node and at the gate, each above the Fermi level there, eV."""
        affinity = SILICON_AFFINITY - self.insulator.height
        return self.node.work_function - affinity, self.gate.work_function - affinity

    @property
    def neutral_level(self) -> float:
        """Level of a node without charge above the gate, eV: W2 - W1, where the insulator is free of field."""
        at_node, at_gate = self.heights
        return at_gate - at_node

    def field(self, level: float) -> float:
        """Field in the insulator that pulls electrons from the node to the gate, V/nm; below 0 it pushes them back.

        Args:
            level: of the node above the gate, eV.
        """
        return (_checks.real("level", level) - self.neutral_level) / self.thickness

    def barrier(self, level: float) -> Trapezoid:
        """The barrier as seen by an electron at the higher of both Fermi levels, which is where most come from.

        Args:
            level: of the node above the gate, eV.

        Raises:
            ArgumentError: if the level lies above the barrier: the electron would pass over it.
        """
        at_node, at_gate = self.heights
        upper = max(_checks.real("level", level), 0.0)
        ends = (level + at_node - upper, at_gate - upper)
        # Electrons start at the end whose Fermi level is the upper one.
        entry, leave = ends if level >= 0 else ends[::-1]
        return Trapezoid(entry, leave, self.thickness, self.insulator.mass)

    def log_transmissions(self, level: ArrayLike, temperature: float, extra: ArrayLike = 0.0) -> Array:
        """Logarithm of T at the higher Fermi level, with the thermal factor, over levels and extra thicknesses (nm).

        Raises:
            ArgumentError: if the temperature is negative, or too high for the closed form.
        """
        levels, (at_node, at_gate) = np.asarray(level, dtype=np.float64), self.heights
        upper = np.maximum(levels, 0.0)
        node, gate = levels + at_node - upper, at_gate - upper
        shape = np.maximum(node, gate), np.abs(node - gate)
        thickness = np.maximum(self.thickness + np.asarray(extra, dtype=np.float64), 0.0)
        slopes = linear_action_slope(*shape, thickness, self.insulator.mass)
        factor = log_thermal_factor(slopes, temperature)
        # The thermal factor is a leading term: for a vanishing barrier it would lift T above 1.
        return np.asarray(np.minimum(factor - linear_action(*shape, thickness, self.insulator.mass), 0.0))

    def log_rates(
        self, level: float, temperature: float, frequency: float, extra: ArrayLike = 0.0
    ) -> tuple[Array, Array]:
        """Logarithms of the rates of one electron out of the node, and of one into an empty place in it.

        nu T of the barrier at the upper Fermi level, down; times exp(-|level|/kT), up. So both obey detailed balance,
        in/out = exp(-level/kT), and are equal for level 0.

        Args:
            level: of the node above the gate, eV.
            temperature: K; above 0.
            frequency: attempts per second, Hz.
            extra: nm on top of the thickness.

        Returns:
            (out, in): ln of 1/s, of the shape of `extra`.

        Raises:
            ArgumentError: if the temperature or the frequency is not above 0.

        Source:
            theory.md 2.8.

        Example:
            >>> from qtaml.device import insulator
            >>> same = TunnelJunction(Electrode("TiN"), Electrode("TiN"), insulator("sio2"), 2.0)
            >>> out, into = same.log_rates(0.0, 300.0, 1e13)
            >>> bool(out == into)
            True
        """
        kt = thermal_energy(_checks.positive("temperature", temperature))
        passed = self.log_transmissions(level, temperature, extra)
        down = np.asarray(np.log(_checks.positive("frequency", frequency)) + passed)
        return down + min(level / kt, 0.0), down - max(level / kt, 0.0)


def asymmetry_figure(
    junction: TunnelJunction, charged: float, empty: float, temperature: float = 300.0, points: int = 61
) -> "Figure":
    """Picture of injection over escape along the difference of the work functions (needs `qtaml[plot]`).

    At held levels both rates see nearly the same barrier, and the ratio hardly moves. A floating node keeps its charge:
    its levels move with `neutral_level`, and the rate against them dies out as exp(-level/kT).

    Args:
        junction: its gate's work function is varied by 1 eV to either side of the node's.
        charged: level of a charged node above the gate, eV; of a floating one where the work functions are equal.
        empty: level of an empty one, eV, likewise.
        temperature: K.
        points: of each curve.

    Raises:
        ArgumentError: as in `TunnelJunction.log_rates`.
        QtamlError: if matplotlib is not installed.

    Source:
        theory.md 2.8.
    """
    differences = np.linspace(-1.0, 1.0, _checks.integer("points", points, 2)).tolist()
    varied = [replace(junction, gate=Electrode(junction.node.work_function + one)) for one in differences]
    held = [log_asymmetry(one, charged, empty, temperature) for one in varied]
    # A floating node keeps its charge, not its level, where the gate's work function changes.
    floating = [
        log_asymmetry(one, charged + one.neutral_level, empty + one.neutral_level, temperature) for one in varied
    ]
    panel = Panel(
        [
            Curve("levels held", differences, (np.array(held) / np.log(10)).tolist()),
            Curve("floating: charges held", differences, (np.array(floating) / np.log(10)).tolist()),
        ],
        f"injection over escape, {junction.thickness:g} nm of {junction.insulator.name}",
        "work function of the gate less that of the node (eV)",
        "decades of the ratio",
        reference=("equal rates", 0.0),
        legend="best",
    )
    return panels_figure([panel])


def log_asymmetry(junction: TunnelJunction, charged: float, empty: float, temperature: float = 300.0) -> float:
    """Logarithm of the rate of injection into an empty node over that of escape from a charged one.

    Args:
        junction: both electrodes and the insulator.
        charged: level of a charged node above the gate, eV.
        empty: level of an empty one, eV.
        temperature: K.

    Returns:
        The natural logarithm, 0 for equal electrodes and opposite levels.

    Raises:
        ArgumentError: as in `TunnelJunction.log_rates`.

    Source:
        theory.md 2.8.

    Example:
        >>> from qtaml.device import insulator
        >>> junction = TunnelJunction(Electrode(4.7), Electrode(4.7), insulator("sio2"), 2.0)
        >>> abs(log_asymmetry(junction, 0.5, -0.5)) < 1e-12
        True
    """
    escape = junction.log_rates(charged, temperature, 1.0)[0]
    return float(junction.log_rates(empty, temperature, 1.0)[1] - escape)
