"""Presets: cells of several technologies, with every parameter and its source.

They are consistent illustrations of the physics, not calibrated to any product: change any field with
`dataclasses.replace`. The windows are where p of a cell passes through 0.05 to 0.1, with two exceptions.
"""

from dataclasses import dataclass

import numpy as np
from rich.table import Table

from qtaml import _checks, _tables
from qtaml.device._names import look_up
from qtaml.device.barriers import Rectangular
from qtaml.device.cell import Cell
from qtaml.device.leaks import Subthreshold
from qtaml.device.materials import INSULATORS
from qtaml.device.measured_cell import MeasuredCell
from qtaml.device.retention import RetentionCell
from qtaml.device.stacks import Layer, Stack
from qtaml.device.storage_node import StorageNode
from qtaml.device.traps import Traps
from qtaml.errors import ArgumentError

_SIO2, _HFO2, _AL2O3, _HBN = (INSULATORS[name] for name in ("sio2", "hfo2", "al2o3", "hbn"))

# Spread of thickness from cell to cell in theory.md 2.5: a fifth of an atomic layer.
_SPREAD_NM = 0.05


@dataclass(frozen=True)
class Preset:
    """A technology: a cell with all its parameters, a window of interest, and the sources.

    Args:
        name: key in `PRESETS`.
        technology: what the cell is.
        cell: all its parameters; units as in `Cell` and the barriers.
        window: s; p there is 0.05 to 0.1, but for `nand_fg_7nm` (ten years, p = 0) and `nanocrystal_1p6` (0.18).
        source: where the parameters come from.
        caution: what the model leaves out that matters here, empty if nothing is known.

    Source:
        theory.md 2.5.

    Example:
        >>> PRESETS["nand_fg_7nm"].window
        315600000.0
    """

    name: str
    technology: str
    cell: RetentionCell
    window: float
    source: str
    caution: str = ""

    def __str__(self) -> str:
        """The preset as a table."""
        return _tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def table(self) -> Table:
        """All parameters, p after the window, and the windows for p = 1e-6, 0.05 and 0.1, as a rich table."""
        cell = self.cell
        table = Table(title=f"{self.name}: {self.technology}", title_justify="left", show_header=False)
        rows = cell.parameters() | {
            "what sets p": cell.leakage(self.window).dominant,
            "window (s)": f"{self.window:.4g}",
            "p after the window": f"{cell.flip_probability(self.window):.4g}",
            "p = 1e-6, 0.05, 0.1 after (s)": ", ".join(
                f"{one:.4g}" for one in cell.window_for(np.array([1e-6, 0.05, 0.1]))
            ),
            "source": self.source,
            "caution": self.caution or "none noted",
        }
        for row in rows.items():
            table.add_row(*row)
        return table


_DEFECTS = "direct tunnelling alone: traps in a real insulator, most of all after cycling, let charge out sooner"
_TUNNELLING_ALONE = (
    "tunnelling alone: in silicon gain cells the subthreshold current of the write transistor sets retention, as in "
    "gaincell_3t_16nm"
)

# Windows follow from the cells: after a change of a cell its window has to be solved for again (`Cell.window_for`), or
# p is no longer 0.05 to 0.1 there.
_TABLE = (
    Preset(
        "sion_hp_gate",
        "storage node behind a 1.2 nm gate oxide of a high-performance logic process, hot",
        Cell(
            Rectangular(_SIO2.height, 1.2, _SIO2.mass),
            600,
            300,
            2e13,
            temperature=358.0,
            thickness_spread=_SPREAD_NM,
        ),
        window=17e-9,
        source=f"oxide: {_SIO2.source}; 600 electrons, nu and 358 K: theory.md 2.5",
        caution=_TUNNELLING_ALONE,
    ),
    Preset(
        "gaincell_2t_sion",
        "two-transistor gain cell with a 1.8 nm gate oxide",
        Cell(
            Rectangular(_SIO2.height, 1.8, _SIO2.mass),
            3000,
            1500,
            2e13,
            temperature=300.0,
            thickness_spread=_SPREAD_NM,
        ),
        window=20e-6,
        source=f"oxide: {_SIO2.source}; 1 fF at 0.5 V: theory.md 2.3",
        caution=_TUNNELLING_ALONE,
    ),
    Preset(
        "gaincell_hkmg_16nm",
        "gain cell with a high-k gate stack, 0.8 nm SiO2 under 1.7 nm HfO2; the SiO2 varies",
        Cell(
            Stack(
                (
                    Layer(_SIO2.height, 0.8, _SIO2.mass, _SIO2.permittivity),
                    Layer(_HFO2.height, 1.7, _HFO2.mass, _HFO2.permittivity),
                )
            ),
            1200,
            600,
            2e13,
            temperature=300.0,
            thickness_spread=_SPREAD_NM,
        ),
        window=1e-6,
        source=f"HfO2: {_HFO2.source}; SiO2: {_SIO2.source}; electrons: theory.md 2.3",
        caution=f"{_TUNNELLING_ALONE}; silicon of this node keeps its bits 77 us (Giterman et al., SSC-L 2020)",
    ),
    Preset(
        "gaincell_3t_16nm",
        "three-transistor gain cell of 16 nm silicon at 0.6 V, by the subthreshold current of its write transistor",
        StorageNode(1e-15, 0.6, 0.3, (Subthreshold(1e-7, 0.547, 0.07, threshold_spread=0.05, halving=26.0),)),
        window=17e-3,
        source="77 us at 0.6 V of 1 Mbit: Giterman et al., SSC-L 2020 (abstract); what dominates: Edri et al., TCAS-I "
        "2016 (abstract); 50 mV at 70 mV a decade, 1 fF: theory.md 2.9, 2.3; halved every 26 K: NS-Cache",
        caution="only 77 us and 0.6 V are published: 1 fF, half of the voltage as margin, the spread of the threshold, "
        "300 K, and that one bit of 2^20 has failed after 77 us, are assumptions; the threshold follows from them. "
        "With a gate oxide below 2.45 nm of SiO2 tunnelling would take over at the window",
    ),
    Preset(
        "gaincell_3t_28nm",
        "three-transistor gain cell of 28 nm as in a simulator's cell file, by subthreshold current",
        StorageNode(3e-15, 0.9, 0.2, (Subthreshold(1e-7, 0.495, 0.07, threshold_spread=0.05, halving=26.0),)),
        window=6.2e-3,
        source="3 fF, 0.2 V, 28 us, halved every 26 K: cell file and source of NS-Cache; 0.9 V: Giterman et al., JSSC "
        "2018 (abstract); spread as in gaincell_3t_16nm: theory.md 2.9",
        caution="28 us is taken as the first of 2^20 bits to fail, at 300 K; silicon of 28 nm kept its bits for less "
        "than 7.7 us (Giterman et al., SSC-L 2020: 77 us are more than ten times as long). Below 2.53 nm of SiO2 "
        "tunnelling would take over at the window",
    ),
    Preset(
        "few_electron_dt",
        "few-electron cell at the thickness where direct tunnelling gives p near 0.1 after 64 ms; no spread",
        Cell(Rectangular(_SIO2.height, 2.38, _SIO2.mass), 20, 10, 1e13, temperature=300.0),
        window=64e-3,
        source=f"oxide: {_SIO2.source}; 20 electrons: theory.md 2.3 (nano-memories, Tiwari group)",
        caution=_DEFECTS,
    ),
    Preset(
        "fg_dt_2p5",
        "floating gate over a 2.5 nm oxide, direct tunnelling",
        Cell(
            Rectangular(_SIO2.height, 2.5, _SIO2.mass),
            200,
            100,
            1e13,
            temperature=300.0,
            thickness_spread=_SPREAD_NM,
        ),
        window=0.15,
        source=f"oxide: {_SIO2.source}; 200 electrons: theory.md 2.3",
        caution=_DEFECTS,
    ),
    Preset(
        "fg_dt_3p0",
        "floating gate over a 3.0 nm oxide, direct tunnelling",
        Cell(
            Rectangular(_SIO2.height, 3.0, _SIO2.mass),
            200,
            100,
            1e13,
            temperature=300.0,
            thickness_spread=_SPREAD_NM,
        ),
        window=60.0,
        source=f"oxide: {_SIO2.source}; 200 electrons: theory.md 2.3",
        caution=_DEFECTS,
    ),
    Preset(
        "al2o3_4p0",
        "floating gate over 4.0 nm Al2O3",
        Cell(
            Rectangular(_AL2O3.height, 4.0, _AL2O3.mass),
            200,
            100,
            1e13,
            temperature=300.0,
            thickness_spread=_SPREAD_NM,
        ),
        window=6.0,
        source=f"Al2O3: {_AL2O3.source}; 200 electrons: theory.md 2.3",
        caution=_DEFECTS,
    ),
    Preset(
        "hbn_fg_15L",
        "floating gate over 15 layers of hexagonal boron nitride (5.0 nm)",
        Cell(
            Rectangular(_HBN.height, 5.0, _HBN.mass),
            100,
            50,
            1e13,
            temperature=300.0,
            thickness_spread=_SPREAD_NM,
        ),
        window=2.16e6,
        source=f"h-BN: {_HBN.source}; layers: Britnell et al., Nano Lett. 2012; electrons: theory.md 2.5",
        caution="fractions of a layer do not exist: a real spread comes in steps of 0.33 nm",
    ),
    Preset(
        "nand_fg_7nm",
        "planar NAND floating gate over a 7 nm oxide, direct tunnelling alone",
        Cell(Rectangular(_SIO2.height, 7.0, _SIO2.mass), 60, 18, 1e13, temperature=300.0),
        window=3.156e8,
        source=f"oxide: {_SIO2.source}; electrons: Monzio Compagnoni et al., EDL 2015 (counts from memory)",
        caution="direct tunnelling would take 1e14 years: real loss goes through traps, see nand_fg_7nm_trap",
    ),
    Preset(
        "nand_fg_7nm_trap",
        "planar NAND floating gate over a 7 nm oxide with an effective trap in about every fifth cell",
        Cell(
            Rectangular(_SIO2.height, 7.0, _SIO2.mass),
            60,
            18,
            1e13,
            temperature=300.0,
            traps=Traps(expected=0.2),
        ),
        window=1.5e6,
        source=f"oxide: {_SIO2.source}; two-step rate: theory.md 4 and Larcher/Ielmini-type statistical models",
        caution="the number of traps is an illustration, and lattice relaxation (0.3 to 1 eV) is left out",
    ),
    Preset(
        "nanocrystal_1p6",
        "single-electron silicon nanocrystal of 5 nm over a 1.6 nm oxide",
        Cell(Rectangular(_SIO2.height, 1.6, _SIO2.mass), 1, 0, 2.8e13, temperature=300.0),
        window=1e-6,
        source=f"oxide: {_SIO2.source}; nu of a 5 nm dot: theory.md 2.2; device: Tiwari et al., IEDM 1995",
        caution="real devices hold charge far longer than the few us given here: their final states lie in the "
        "silicon gap or the electrons sit in deep states, so free escape is wrong by many decades",
    ),
)

PRESETS = {entry.name: entry for entry in _TABLE}


def preset(name: str) -> RetentionCell:
    """The cell of a technology.

    Args:
        name: a key of `PRESETS`.

    Returns:
        The cell, its spread from cell to cell included.

    Raises:
        ArgumentError: if the name is unknown; the message suggests near ones and lists all.

    Source:
        theory.md 2.5.

    Example:
        >>> round(preset("gaincell_2t_sion").flip_probability(window=20e-6), 3)
        0.053
    """
    return preset_record(name).cell


def preset_record(name: str) -> Preset:
    """The preset of that name with its description, source and cautions.

    Args:
        name: a key of `PRESETS`.

    Returns:
        The record.

    Raises:
        ArgumentError: if the name is unknown; the message suggests near ones and lists all.

    Source:
        theory.md 2.5.

    Example:
        >>> preset_record("hbn_fg_15L").cell.barrier.thickness
        5.0
    """
    return look_up("preset", name, PRESETS)


def cell_and_window(device: Preset | RetentionCell | str, window: float | None = None) -> tuple[RetentionCell, float]:
    """The cell that a device is, and the window that is asked of it.

    Args:
        device: a cell, a preset or its name, or the file (.json) of a measured cell.
        window: s between refreshes; that of the preset if not given.

    Returns:
        The cell, and its window in s.

    Raises:
        ArgumentError: if there is no such preset, or a cell, which has no window of its own, comes without one.
        StoredFileError: if the file cannot be read, or holds no measured cell.

    Source:
        theory.md 2.5, 2.10.

    Example:
        >>> cell_and_window("fg_dt_3p0")[1], cell_and_window("fg_dt_3p0", 1e-3)[1]
        (60.0, 0.001)
    """
    if isinstance(device, str):
        device = MeasuredCell.load(device) if device.endswith(".json") else preset_record(device)
    if isinstance(device, Preset):
        window = device.window if window is None else window
        device = device.cell
    if window is None:
        reach = device.reach if isinstance(device, MeasuredCell) else None
        data = "" if reach is None else f"; its data reach from {reach[0]:.3g} to {reach[1]:.3g} s"
        raise ArgumentError(f"window must be given for a cell, which has none of its own{data}")
    return device, _checks.positive("window", window)
