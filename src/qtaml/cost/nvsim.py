"""Files of the NVSim family: cells and configurations written, text output read back.

Formats: NVSim (github.com/SEAL-UCSB/NVSim, commit 4bc8fbb), which DESTINY, NVMExplorer, MemSysExplorer and NS-Cache
extend; the cell "gcDRAM" and its retention time are NS-Cache's (commit adc2cc9).
"""

import math
import re
from pathlib import Path
from typing import Literal

from qtaml import _checks, _files
from qtaml.cost.arrays import Array
from qtaml.cost.figures import Figure
from qtaml.errors import StoredFileError

MemoryCell = Literal["gcDRAM", "eDRAM", "DRAM"]
_CELLS: tuple[MemoryCell, ...] = ("gcDRAM", "eDRAM", "DRAM")
_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "K": 1e3, "M": 1e6, "G": 1e9}
_BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}
_NUMBER = r"([\d.]+(?:e[+-]?\d+)?)"


def nvsim_cell(
    array: Array,
    kind: MemoryCell,
    *,
    capacitance: float,
    sense_voltage: float,
    aspect_ratio: float = 1.0,
    retention: float | None = None,
    temperature: float | None = None,
) -> str:
    """The text of a `.cell` file.

    Args:
        array: whose cell it is.
        kind: "gcDRAM" (gain cells, NS-Cache), "eDRAM" or "DRAM".
        capacitance: of the storage node, F.
        sense_voltage: least voltage that the sense amplifier tells, V.
        aspect_ratio: of the cell, height over width.
        retention: s between refreshes; NS-Cache.
        temperature: of that retention, K; NS-Cache.

    Raises:
        ArgumentError: if a number is not above 0, or the kind unknown.

    Example:
        >>> from qtaml.cost import array_named
        >>> text = nvsim_cell(array_named("gain_cell_3t", 28), "gcDRAM", capacitance=3e-15, sense_voltage=0.05)
        >>> text.splitlines()[1]
        '-CellArea (F^2): 204.082'
    """
    squares = array.cell_area.value * 1e6 / array.node**2
    lines = [
        f"-MemCellType: {_checks.one_of('kind', kind, _CELLS)}",
        f"-CellArea (F^2): {squares:g}",
        f"-CellAspectRatio: {_checks.positive('aspect_ratio', aspect_ratio):g}",
        "-ReadMode: voltage",
        "-AccessType: CMOS",
        f"-DRAMCellCapacitance (F): {_checks.positive('capacitance', capacitance):g}",
        "-ResetVoltage (V): vdd",
        "-SetVoltage (V): vdd",
        f"-MinSenseVoltage (mV): {1e3 * _checks.positive('sense_voltage', sense_voltage):g}",
    ]
    if retention is not None:
        lines.append(f"-RetentionTime (us): {1e6 * _checks.positive('retention', retention):g}")
    if temperature is not None:
        lines.append(f"-Temperature (K): {_checks.positive('temperature', temperature):g}")
    return "\n".join(lines) + "\n"


def nvsim_config(array: Array, cells: float, cell_file: str, *, word_bits: int = 64, temperature: float = 350.0) -> str:
    """The text of a `.cfg` file for a memory of so many cells, in whole kilobytes.

    Args:
        array: whose node it is.
        cells: of the memory; the capacity is the next power of two of kilobytes, as in its samples.
        cell_file: name of the `.cell` file.
        word_bits: bits of a read.
        temperature: K.

    Raises:
        ArgumentError: if a number is not above 0.

    Example:
        >>> from qtaml.cost import array_named
        >>> nvsim_config(array_named("gain_cell_3t", 28), 3e5, "gain.cell").splitlines()[2]
        '-Capacity (KB): 64'
    """
    kilobytes = 2 ** max(math.ceil(math.log2(_checks.positive("cells", cells) / 8 / 2**10)), 0)
    lines = [
        "-DesignTarget: RAM",
        f"-ProcessNode: {array.node:g}",
        f"-Capacity (KB): {kilobytes}",
        f"-WordWidth (bit): {_checks.integer('word_bits', word_bits, 1)}",
        "-DeviceRoadmap: LOP",
        *(
            f"-{wire}Wire{what}"
            for wire in ("Local", "Global")
            for what in (f"Type: {wire}Aggressive", "RepeaterType: RepeatedNone", "UseLowSwing: No")
        ),
        "-Routing: H-tree",
        "-InternalSensing: true",
        f"-MemoryCellInputFile: {cell_file}",
        f"-Temperature (K): {_checks.positive('temperature', temperature):g}",
        "-BufferDesignOptimization: balance",
        "-OptimizationTarget: ReadEDP",
        "-EnablePruning: Yes",
    ]
    return "\n".join(lines) + "\n"


def read_nvsim(path: str | Path, *, refreshed: bool) -> Array:
    """The array that a text output of NVSim, or of a program of its family, describes.

    The node is not printed; it follows from capacity, cell area, total area and area efficiency. Of a cache it is the
    array of the data.

    Args:
        path: of the output.
        refreshed: whether its cells lose their charge and are refreshed.

    Raises:
        StoredFileError: if the file cannot be read, or lacks a line; the message names it.
    """
    try:
        text = _files.read_bytes(Path(path)).decode()
    except UnicodeDecodeError as error:
        raise StoredFileError(f"{path} is no output of NVSim: it is not text") from error
    found = _Output(text, str(path))
    capacity = found.number(r"Capacity\s*: (\d+)([KMG]?B)", _BYTES) * 8
    # A cache has no data width; what is read at once is a line.
    line = r"Cache Line Size: (\d+)(Bytes)", {"Bytes": 8}
    width = found.number(*(line if "Design Target: Cache" in text else (r"Data Width : (\d+)(Bits)", {"Bits": 1})))
    area = found.number(rf" - Total Area = .* = {_NUMBER}([munp]?)m\^2", _squared)
    efficiency = found.number(rf" - Area Efficiency = {_NUMBER}(%)", {"%": 0.01})
    squares = found.number(rf"Cell Area \(F\^2\)\s*: {_NUMBER}( )", {" ": 1})
    writes = [
        found.number(rf" - {name} Dynamic Energy = {_NUMBER}([munpf]?)J", _PREFIXES)
        for name in ("RESET", "SET", "Write")
        if f" - {name} Dynamic Energy" in text
    ]
    if not writes:
        raise StoredFileError(f"{path} is no output of NVSim: it has no line of the energy of a write")
    read = found.number(rf" -  Read Dynamic Energy = {_NUMBER}([munpf]?)J", _PREFIXES)
    leakage = found.number(rf" - Leakage Power = {_NUMBER}([munpf]?)W", _PREFIXES)
    cell = area * efficiency / capacity
    source = f"output of NVSim: {Path(path).name}"
    per_bit = 1e15 / width
    return Array(
        Path(path).stem,
        float(f"{math.sqrt(cell / squares) * 1e9:.3g}"),
        Figure(cell * 1e12, source),
        Figure(efficiency, source),
        Figure(read * per_bit, source),
        Figure(min(writes) * per_bit, source, max(writes) * per_bit),
        Figure(leakage * 1e12 / capacity, source),
        refreshed,
    )


_squared = {prefix: factor**2 for prefix, factor in _PREFIXES.items()}


class _Output:
    """Numbers with units in a text."""

    def __init__(self, text: str, path: str) -> None:
        self._text, self._path = text, path

    def number(self, pattern: str, units: dict[str, float] | dict[str, int]) -> float:
        found = re.search(pattern, self._text)
        if found is None:
            line = re.sub(r"\\.|[(\[].*", " ", pattern).split("=")[0].strip(" -:")
            raise StoredFileError(f"{self._path} is no output of NVSim: it has no line {line!r} with its unit")
        value = float(found[1]) * units[found[2]]
        if not value > 0:
            raise StoredFileError(f"{self._path} is no output of NVSim: {found[0].strip()!r} is not above 0")
        return value
