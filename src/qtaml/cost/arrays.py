"""Arrays of cells that a cost can be computed for: area and energies of a bit, each with its node and source."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qtaml import _checks
from qtaml.cost.figures import Figure
from qtaml.errors import ArgumentError

_FILES = "simulators' cell files [R]"
_TOOLS = "simulators' output, at the array [M]"
_PERIPHERY = Figure(0.64, "simulators' output [M]", 0.96)
"""Share of area in cells. Small arrays with a wide port lie far below (CACTI: 0.03 for 1 MiB of DRAM)."""
_CACTI = "CACTI 7.0.3DD, 1 MiB, 64 bytes a read, at its port (cacti_1MiB.csv)"
_NVSIM = "NVSim through NVMExplorer, 1 MiB, 8 bytes a read, at its port (nvmexplorer_sram.csv)"


@dataclass(frozen=True)
class Array:
    """One kind of cell at one node.

    Args:
        name: of the kind of cell.
        node: technology node, nm.
        cell_area: of one cell, um2.
        efficiency: share of the array's area that is cells, in (0, 1].
        read_energy: of a bit, fJ; None where no source has it.
        write_energy: of a bit, fJ.
        standby: leakage of a bit, its share of the periphery included, pW.
        refreshed: whether cells lose their charge and are refreshed each window.

    Raises:
        ArgumentError: if the node or the area is not above 0, or the efficiency no share.

    Example:
        >>> array_named("gain_cell_3t", 28).cell_area.value
        0.16
    """

    name: str
    node: float
    cell_area: Figure
    efficiency: Figure = _PERIPHERY
    read_energy: Figure | None = None
    write_energy: Figure | None = None
    standby: Figure | None = None
    refreshed: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "node", _checks.positive("node", self.node))
        _checks.positive("cell_area", self.cell_area.value)
        _checks.positive("efficiency", self.efficiency.value)
        if self.efficiency.top > 1:
            raise ArgumentError(f"efficiency must be a share of at most 1, got {self.efficiency}")

    def area(self, cells: float) -> Figure:
        """Area of so many cells with their periphery, mm2: cells x cell area / efficiency."""
        um2 = self.cell_area.times(cells)
        source = f"{self.cell_area.source}; efficiency: {self.efficiency.source}"
        return Figure(um2.value / self.efficiency.top / 1e6, source, um2.top / self.efficiency.value / 1e6)


def _gain_cell(node: float, area: float, read: float, write: float) -> Array:
    return Array(
        "gain_cell_3t",
        node,
        Figure(area, _FILES),
        read_energy=Figure(read, _TOOLS),
        write_energy=Figure(write, _TOOLS),
    )


def _macro(
    name: str,
    node: float,
    area: float,
    share: float,
    energies: tuple[float, float],
    leakage: float,
    *,
    width: int,
    source: str,
) -> Array:
    """An array of 1 MiB as a simulator prints it: mm2, share of cells, pJ of a read and a write, mW."""
    bits = 2**23
    read, write = (Figure(1e3 * energy / width, source) for energy in energies)
    cell, efficiency, standby = (
        Figure(value, source) for value in (1e6 * area * share / bits, share, 1e9 * leakage / bits)
    )
    return Array(name, node, cell, efficiency, read, write, standby, refreshed="dram" in name)


ARRAYS: tuple[Array, ...] = (
    _gain_cell(28.0, 0.160, 2.1, 138.0),
    _gain_cell(16.0, 0.061, 1.1, 43.0),
    _gain_cell(7.0, 0.041, 0.5, 23.0),
    Array("gain_cell_3t_monolithic", 7.0, Figure(0.019, _FILES)),
    Array("edram_1t1c", 22.0, Figure(0.029, _FILES)),
    Array("sram_6t", 22.0, Figure(0.092, _FILES), refreshed=False),
    Array("sram_6t", 14.0, Figure(0.064, _FILES), refreshed=False),
    Array("sram_6t", 7.0, Figure(0.027, _FILES), refreshed=False),
    _macro("cacti_sram_low_standby", 22.0, 1.11396, 0.53213, (116.452, 119.599), 0.605746, width=512, source=_CACTI),
    _macro("cacti_sram_low_standby", 32.0, 1.99983, 0.627118, (243.829, 271.991), 0.209437, width=512, source=_CACTI),
    _macro("cacti_edram", 32.0, 0.878952, 0.299296, (151.886, 5469.16), 20.3872, width=512, source=_CACTI),
    _macro("cacti_dram", 22.0, 0.601439, 0.0270025, (100.834, 3297.17), 13.7981, width=512, source=_CACTI),
    _macro("nvsim_sram", 22.0, 0.654296934, 0.90597, (1.031, 16.919), 28.173, width=64, source=_NVSIM),
)
"""Named arrays. What no source has is None, and stays out of every sum."""


def array_named(name: str, node: float | None = None, own: Sequence[Array] = (), *, argument: str = "array") -> Array:
    """The array of a name at a node.

    Args:
        name: of the kind of cell.
        node: nm; not needed where there is one only.
        own: the user's arrays, which come before the built-in ones.
        argument: what errors call it.

    Raises:
        ArgumentError: if there is no such name, or no figures for the node.

    Example:
        >>> array_named("gain_cell_3t", 22)
        Traceback (most recent call last):
        qtaml.errors.ArgumentError: node must be one of 28, 16, 7 nm for 'gain_cell_3t', got 22
    """
    known = [*own, *ARRAYS]
    nodes = {one.node: one for one in reversed(known) if one.name == _checks.one_of(argument, name, _names(known))}
    if node is None and len(nodes) == 1:
        return next(iter(nodes.values()))
    if node not in nodes:
        told = ", ".join(f"{one:g}" for one in sorted(nodes, reverse=True))
        raise ArgumentError(f"node must be one of {told} nm for {name!r}, got {node}")
    return nodes[node]


def _names(arrays: Iterable[Array]) -> list[str]:
    return list(dict.fromkeys(one.name for one in arrays))
