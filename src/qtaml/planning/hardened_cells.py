"""Better cells that a device offers: larger ones, thicker barriers, more and less frequent refresh."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from qtaml.device import Cell, MeasuredCell, Preset, faster_refresh, larger_cells, thicker_barriers
from qtaml.errors import ArgumentError
from qtaml.protections import HardenedCell

Hardening = Literal["larger", "thicker", "refresh"]
"""What a bit may have of its own: a larger cell, a thicker barrier, a refresh rate."""
HARDENINGS: tuple[Hardening, ...] = ("larger", "thicker", "refresh")

Price = Literal["cells", "refreshes"]
"""What a budget counts: area, in plain cells, or refreshes, in those of a plain memory."""

_AREAS = (1.5, 2.0, 3.0, 4.0)
"""Sizes of larger cells, in plain cells."""
_RATES = (0.25, 0.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Refreshes for each one of a plain cell."""
_EXTRAS = (0.05, 0.1, 0.2, 0.4)
"""Extra thicknesses, nm."""


def hardened_cells(device: Preset, kinds: Sequence[Hardening]) -> tuple[HardenedCell, ...]:
    """Cells of some kinds of hardening, at the window of a preset.

    A larger cell takes charge in proportion to its area. A thicker barrier takes no area; written at the same field E
    it takes the energy of a capacitor, permittivity x E**2 x area x thickness / 2: in proportion to its thickness.

    Args:
        device: the plain cell and its window.
        kinds: of hardening.

    Raises:
        ArgumentError: if its cell cannot be hardened so.

    Source:
        theory.md 2.7, 10.2.

    Example:
        >>> from qtaml.device import preset_record
        >>> [one.refreshes for one in hardened_cells(preset_record("gaincell_2t_sion"), ["refresh"])][:3]
        [0.25, 0.5, 2.0]
    """
    cell, window, found = device.cell, device.window, list[HardenedCell]()
    if "thicker" in kinds and not isinstance(cell, Cell):
        raise ArgumentError(f"hardening must not hold 'thicker' for {device.name!r}, whose cell has no single barrier")
    # What larger ones would do was not measured of a measured cell.
    if "larger" in kinds and not isinstance(cell, MeasuredCell):
        found += [_hardened(one.p, area=one.cost) for one in larger_cells(cell, window, _AREAS)]
    if "thicker" in kinds and isinstance(cell, Cell):
        thickness = cell.barrier.thickness
        more = thicker_barriers(cell, window, _EXTRAS)
        found += [_hardened(one.p, refreshes=1 + one.cost / thickness) for one in more]
    if "refresh" in kinds:
        found += [_hardened(one.p, refreshes=one.cost) for one in faster_refresh(cell, window, _RATES)]
    return tuple(found)


def priced(cell: HardenedCell) -> HardenedCell:
    """A cell whose area is what its refreshes cost, in those of a plain cell: for a search that counts these."""
    return replace(cell, area=cell.area * cell.refreshes, refreshes=1.0)


def _hardened(p: float, *, area: float = 1.0, refreshes: float = 1.0) -> HardenedCell:
    return HardenedCell(area, p, p, refreshes)
