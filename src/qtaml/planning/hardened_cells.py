"""Better cells that a device offers: larger ones, thicker barriers, more and less frequent refresh."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from qtaml.device import Cell, MeasuredCell, RetentionCell, TwoWayCell, faster_refresh, larger_cells, thicker_barriers
from qtaml.device import Hardening as Option
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


def hardened_cells(cell: RetentionCell, window: float, kinds: Sequence[Hardening]) -> tuple[HardenedCell, ...]:
    """Cells of some kinds of hardening.

    A larger cell takes charge in proportion to its area. A thicker barrier takes no area; written at the same field E
    it takes the energy of a capacitor, permittivity x E**2 x area x thickness / 2: in proportion to its thickness.

    Args:
        cell: the plain cell. Better ones that fail in half of the windows or more are left out. Of a measured one
            larger cells were not measured, and there are none; refresh rates are those whose windows its data reach,
            each with the upper end of its band of 95%.
        window: s between its refreshes.
        kinds: of hardening.

    Raises:
        ArgumentError: if the cell cannot be hardened so.

    Source:
        theory.md 2.7, 10.2.

    Example:
        >>> from qtaml.device import preset
        >>> [one.refreshes for one in hardened_cells(preset("gaincell_2t_sion"), 20e-6, ["refresh"])][:3]
        [0.5, 2.0, 4.0]
    """
    found = list[HardenedCell]()
    if "thicker" in kinds and not isinstance(cell, Cell):
        raise ArgumentError(
            f"hardening must not hold 'thicker' for a cell without a single barrier, got a {type(cell).__name__}"
        )
    if "larger" in kinds and not isinstance(cell, MeasuredCell):
        found += [_hardened(one, area=one.cost) for one in larger_cells(cell, window, _AREAS)]
    if "thicker" in kinds and isinstance(cell, Cell):
        thickness = cell.barrier.thickness
        more = thicker_barriers(cell, window, _EXTRAS)
        found += [_hardened(one, refreshes=1 + one.cost / thickness) for one in more]
    if "refresh" in kinds:
        found += _refreshed(cell, window)
    # Beyond 1/2 the symmetric p means nothing: a bit that is always read wrong would pass for a right one.
    return tuple(one for one in found if max(one.p01, one.p10) < 0.5)


def _refreshed(cell: RetentionCell, window: float) -> list[HardenedCell]:
    if not isinstance(cell, MeasuredCell):
        return [_hardened(one, refreshes=one.cost) for one in faster_refresh(cell, window, _RATES)]
    rates = np.array([rate for rate in _RATES if not cell.extrapolation(window / rate)])
    if not rates.size:
        return []
    upper = cell.band_at(window / rates)[1]
    return [HardenedCell(1.0, p, p, rate) for p, rate in zip(upper.tolist(), rates.tolist(), strict=True)]


def priced(cell: HardenedCell) -> HardenedCell:
    """A cell whose area is what its refreshes cost, in those of a plain cell: for a search that counts these."""
    return replace(cell, area=cell.area * cell.refreshes, refreshes=1.0)


def _hardened(option: Option, *, area: float = 1.0, refreshes: float = 1.0) -> HardenedCell:
    if isinstance(option.cell, TwoWayCell):
        p01, p10 = option.cell.rates(option.window)
        return HardenedCell(area, float(p01), float(p10), refreshes)
    return HardenedCell(area, option.p, option.p, refreshes)
