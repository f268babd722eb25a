"""What a stored network costs: area, energies, power, and the class of its slowest decoder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Required, TypedDict

from rich.table import Table

from qtaml import _checks, _files, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml.cost.arrays import Array, array_named
from qtaml.cost.figures import Figure
from qtaml.cost.logic import LATENCIES, Latency, Logic, logic
from qtaml.cost.numbers_file import Numbers
from qtaml.errors import ArgumentError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

Decode = Literal["every_read", "start_up"]
"""When words are decoded: at every read, or once into a copy of plain words in another array."""

Quantity = Literal["area", "energy", "power"]
_UNITS: dict[Quantity, str] = {"area": "mm2", "energy": "J", "power": "W"}
_FEMTO = 1e-15


class CostTerms(TypedDict, total=False):
    """What the cost of a memory is asked for, besides its contents and its window; see `memory_cost`."""

    array: Required[str | Array]
    node: float | None
    reads_per_second: float
    decode: Decode
    copy: str | Array | None
    numbers: Numbers | None


@dataclass(frozen=True)
class Contents:
    """What a memory holds, counted.

    Args:
        cells: in units of the area of a plain cell.
        refreshes: cells x refreshes of each window, in units of a plain cell's.
        weights: number of weights.
        bits: of a plain word.
        decoders: data bits that each decoder gives when all weights are read once, by its name (`qtaml.cost.logic`).
        copies: how many of a decoder there are because their tables differ; 1 where not named.
    """

    cells: float
    refreshes: float
    weights: int
    bits: int = 8
    decoders: Mapping[str, int] = field(default_factory=dict, hash=False)
    copies: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def plain_cells(self) -> int:
        """Cells of a plain memory of so many weights."""
        return self.weights * self.bits

    @property
    def share(self) -> float:
        """Cells as a share of a plain memory's."""
        return self.cells / self.plain_cells


@dataclass(frozen=True)
class CostLine:
    """One part of the cost.

    Attributes:
        quantity: "area" (mm2), "energy" of all weights (J), or "power" (W).
        part: what it is of.
        figure: low and high end, and their source; None where no source has it.
    """

    quantity: Quantity
    part: str
    figure: Figure | None


@dataclass(frozen=True)
class MemoryCost:
    """Cost of a stored network; `print(cost)` shows it with its sources.

    Attributes:
        array: name and node of the array.
        decode: when words are decoded.
        latency: class of the slowest decoder between the array and its reader.
        lines: the parts. Those of area and power add up; energies are of one read, write or refresh of all weights.
        window: s between refreshes; None where cells are not refreshed.
        reads_per_second: reads of all weights.
    """

    array: str
    decode: Decode
    latency: Latency
    lines: tuple[CostLine, ...]
    window: float | None
    reads_per_second: float

    def known(self, quantity: Literal["area", "power"]) -> Figure:
        """Sum of the parts that have a source, in mm2 or W; `missing` names the others."""
        found = [one.figure for one in self.lines if one.quantity == quantity and one.figure is not None]
        return _sum(found, "sum")

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts of area and power without a source: they are in no sum."""
        return tuple(
            f"{one.quantity} of {one.part}" for one in self.lines if one.figure is None and one.quantity != "energy"
        )

    def figure(self, quantity: Quantity, part: str) -> Figure | None:
        """One part, None where no source has it.

        Raises:
            ArgumentError: if there is no such part.
        """
        parts = {one.part: one.figure for one in self.lines if one.quantity == quantity}
        return parts[_checks.one_of("part", part, parts)]

    def to_json(self) -> str:
        """The cost as JSON."""
        return _files.to_json(self)

    def __str__(self) -> str:
        return _tables.as_text(self.table())

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def plot(self) -> "Picture":
        """Area, energies and power, part by part and in sum, each with its range (needs `qtaml[plot]`).

        Raises:
            QtamlError: if matplotlib is not installed.
        """
        caption = f"{self.array}. Sums are of the parts of area and power that have a source."
        if self.missing:
            caption += f" Not drawn, since no source has it: {', '.join(self.missing)}."
        drawn = [panel for quantity, unit in _UNITS.items() if (panel := self._panel(quantity, unit))]
        return panels_figure(drawn, caption=caption)

    def _panel(self, quantity: Quantity, unit: str) -> Panel | None:
        """The parts of a quantity that are above 0; None if there are none."""
        found = {one.part: one.figure for one in self.lines if one.quantity == quantity and one.figure is not None}
        if quantity != "energy":
            found["sum"] = self.known(quantity)
        shown = {part: figure for part, figure in found.items() if figure.value > 0}
        if not shown:
            return None
        low, high = ([getattr(one, end) for one in shown.values()] for end in ("value", "top"))
        parts = Curve("", range(len(shown)), low, low, high, points=True)
        limits = (min(low) / 3, max(high) * 3)
        return Panel([parts], quantity, "", f"{quantity} ({unit})", log_y=limits, legend="none", x_names=list(shown))

    def table(self) -> Table:
        """A row for each part, with its source."""
        refresh = "not refreshed" if self.window is None else f"each bit read and written back every {self.window:g} s"
        caption = f"{self.array}, {refresh}; {self.reads_per_second:g} reads of all weights a second, "
        caption += f"decoded at {self.decode.replace('_', ' ')}; decoders: {self.latency}"
        if self.missing:
            caption += f"\nNo source, in no sum: {', '.join(self.missing)}."
        table = _tables.captioned_table("cost", caption)
        for column in ("quantity", "part", "value", "source"):
            table.add_column(column, overflow="fold")
        for one in self.lines:
            source = "none" if one.figure is None else one.figure.source
            table.add_row(f"{one.quantity} ({_UNITS[one.quantity]})", one.part, str(one.figure or "-"), source)
        table.add_section()
        for quantity in ("area", "power"):
            total = str(self.known(quantity))
            table.add_row(f"{quantity} ({_UNITS[quantity]})", "all that is known", total, "sum")
        return table


def memory_cost(
    contents: Contents,
    *,
    array: str | Array,
    window: float | None = None,
    node: float | None = None,
    reads_per_second: float = 0.0,
    decode: Decode = "every_read",
    copy: str | Array | None = None,
    numbers: Numbers | None = None,
) -> MemoryCost:
    """Cost of what a memory holds.

    Args:
        contents: of the memory.
        array: its cells, by name (`qtaml.cost.ARRAYS`) or as a record.
        window: s between refreshes of a plain cell; not where cells are not refreshed.
        node: nm, where the array has figures for several.
        reads_per_second: reads of all weights.
        decode: at "every_read", or once at "start_up" into a copy of plain words.
        copy: array of that copy, at the same node. Where it is refreshed, nothing says how often: the power of that is
            named as missing, and in no sum.
        numbers: the user's own figures.

    Returns:
        The cost. A refresh reads each bit and writes it back: both halves are charged, each on its line.

    Raises:
        ArgumentError: if an argument is out of its range, an array has no figures for the node, or a window or a copy
            is missing or not needed.

    Source:
        theory.md 10.1.

    Example:
        >>> cost = memory_cost(Contents(8e6, 8e6, 10**6), array="gain_cell_3t", node=28, window=1e-3)
        >>> print(cost.known("area"))
        1.333 to 2
        >>> round(cost.known("power").value, 6)  # 8e6 x (2.1 + 138) fJ / 1 ms
        0.001121
    """
    cells = _array("array", array, node, numbers)
    if (window is not None) != cells.refreshed:
        rule = "be given" if cells.refreshed else "not be given: its cells are not refreshed"
        raise ArgumentError(f"window must {rule} for the array {cells.name!r}, got {window}")
    if (copy is not None) != (_checks.one_of("decode", decode, ("every_read", "start_up")) == "start_up"):
        raise ArgumentError(f"copy must be given with decode='start_up', and only then, got {copy!r} and {decode!r}")
    plain = None if copy is None else _array("copy", copy, cells.node, numbers)
    interval = None if window is None else _checks.positive("window", window)
    reads = _checks.non_negative("reads_per_second", reads_per_second)
    decoders = {name: logic(name, numbers.decoders if numbers else ()) for name in contents.decoders}
    lines = [
        *_areas(cells, plain, contents, decoders),
        *_energies(cells, plain, contents, decoders),
        *_standby(cells, plain, contents),
    ]
    lines += _activity(lines, interval, reads, plain is not None)
    slowest: Latency = max((one.latency for one in decoders.values()), key=LATENCIES.index, default="none")
    named = f"{cells.name}, {cells.node:g} nm"
    return MemoryCost(named, decode, slowest, tuple(lines), interval, reads)


def _array(argument: str, named: str | Array, node: float | None, numbers: Numbers | None) -> Array:
    if isinstance(named, str):
        return array_named(named, node, numbers.arrays if numbers else (), argument=argument)
    if node is not None and node != named.node:
        raise ArgumentError(f"node must be that of {argument}, {named.node:g} nm, got {node:g}")
    return named


def _areas(cells: Array, plain: Array | None, contents: Contents, decoders: Mapping[str, Logic]) -> list[CostLine]:
    lines = [CostLine("area", "array", cells.area(contents.cells))]
    for name, decoder in decoders.items():
        count, each = contents.copies.get(name, 1), decoder.area_at(cells.node)
        part = f"decoder {name}" + (f" x {count}" if count > 1 else "")
        lines.append(CostLine("area", part, None if each is None else each.times(count * 1e-6)))
    if plain is not None:
        lines.append(CostLine("area", f"copy in {plain.name}", plain.area(contents.plain_cells)))
    return lines


def _energies(cells: Array, plain: Array | None, contents: Contents, decoders: Mapping[str, Logic]) -> list[CostLine]:
    def of(each: Figure | None, bits: float) -> Figure | None:
        return None if each is None else each.times(bits * _FEMTO)

    lines = [
        CostLine("energy", "read", of(cells.read_energy, contents.cells)),
        CostLine("energy", "write", of(cells.write_energy, contents.cells)),
    ]
    lines += [
        CostLine("energy", f"decoder {name}", of(one.energy_at(cells.node), contents.decoders[name]))
        for name, one in decoders.items()
    ]
    if cells.refreshed:
        lines += [
            CostLine("energy", "refresh, read", of(cells.read_energy, contents.refreshes)),
            CostLine("energy", "refresh, write-back", of(cells.write_energy, contents.refreshes)),
        ]
    if plain is not None:
        lines.append(CostLine("energy", "read of the copy", of(plain.read_energy, contents.plain_cells)))
    return lines


def _standby(cells: Array, plain: Array | None, contents: Contents) -> list[CostLine]:
    held = [("standby", cells, contents.cells)]
    if plain is not None:
        held.append(("standby of the copy", plain, contents.plain_cells))
    lines = [
        CostLine("power", part, None if one.standby is None else one.standby.times(bits * 1e-12))
        for part, one, bits in held
    ]
    if plain is not None and plain.refreshed:
        # The window is that of the stored words; the copy, whose bits are plain, may not lose any.
        lines.append(CostLine("power", "refresh of the copy", None))
    return lines


def _activity(lines: list[CostLine], window: float | None, reads: float, copied: bool) -> list[CostLine]:
    """Power of refreshes and reads, from the energy of each; decoding at start-up takes none."""
    rates: dict[str, float] = {}
    if window is not None:
        rates |= {"refresh, read": 1 / window, "refresh, write-back": 1 / window}
    if reads and copied:
        rates["read of the copy"] = reads
    elif reads:
        rates |= {
            one.part: reads for one in lines if one.quantity == "energy" and one.part.startswith(("read", "decoder"))
        }
    return [
        CostLine("power", one.part, None if one.figure is None else one.figure.times(rates[one.part]))
        for one in lines
        if one.quantity == "energy" and one.part in rates
    ]


def _sum(found: list[Figure], source: str) -> Figure:
    return Figure(sum(one.value for one in found), source, sum(one.top for one in found))
