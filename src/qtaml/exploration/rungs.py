"""The memories that plans are made for: a ladder of flip probabilities, with the better cells that devices offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qtaml import _checks
from qtaml.device import RetentionCell
from qtaml.errors import ArgumentError
from qtaml.exploration.device_points import DevicePoint
from qtaml.planning.hardened_cells import Hardening, Price, hardened_cells
from qtaml.protections import HardenedCell

LADDER = (1e-6, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 4e-2, 7e-2, 0.1, 0.15, 0.2, 0.3)
"""Flip probabilities for which plans are made: of a device point, the next above its own."""


@dataclass(frozen=True)
class Rung:
    """A memory for which plans are made, and which errs at least as often as that of each of its device points.

    Attributes:
        p: flip probability of its plain cells.
        hardening: what a bit may have of its own.
        hardened: the better cells, each as bad and as dear as at the worst of the device points.
    """

    p: float
    hardening: tuple[Hardening, ...] = ()
    hardened: tuple[HardenedCell, ...] = ()

    @property
    def price(self) -> Price:
        """What a budget counts: refreshes where a bit may have more of them, which take no area."""
        return "refreshes" if {"thicker", "refresh"} & {*self.hardening} else "cells"


def next_above(points: Sequence[DevicePoint], ladder: Sequence[float]) -> list[float | None]:
    """For each device point the next flip probability of the ladder above its own; None beyond the last.

    Raises:
        ArgumentError: if the ladder holds what is no flip probability, or no device point is below its last.
    """
    rungs = sorted({_checks.flip_probability("ladder", p) for p in ladder})
    found = [min((p for p in rungs if p >= one.p), default=None) for one in points]
    if not any(found):
        raise ArgumentError(
            f"no device point has a flip probability up to {max(rungs, default=0.0):g}, the largest of the ladder: "
            f"the least is {min(one.p for one in points):.3g}; shorten the windows, or thicken the barrier"
        )
    return found


def rungs(
    points: Sequence[DevicePoint], planned: Sequence[float | None], hardenings: Sequence[Sequence[Hardening]]
) -> list[Rung]:
    """The memories of some device points.

    Args:
        points: the device points.
        planned: flip probability of each that is planned for; None for none.
        hardenings: sets of what a bit may have of its own; an empty one for plain cells.

    Raises:
        ArgumentError: if there is no set, or cells cannot be hardened so.

    Source:
        theory.md 10.3.
    """
    if not hardenings:
        raise ArgumentError("hardenings must hold at least one set of names, such as () for plain cells, got none")
    found = []
    for kinds in map(tuple, hardenings):
        for p in sorted({one for one in planned if one is not None}):
            own = [point for point, its in zip(points, planned, strict=True) if its == p]
            found.append(Rung(p, kinds, _worst([_better(point, kinds) for point in own]) if kinds else ()))
    return found


def _better(point: DevicePoint, kinds: Sequence[Hardening]) -> dict[tuple[str, float, float], HardenedCell]:
    """Better cells of a device point by what they are: a thicker barrier by its number, as its cost differs."""
    if not isinstance(point.cell, RetentionCell):
        raise ArgumentError(f"hardenings need a cell of qtaml.device, got {point.cell!r}")
    return {
        (kind, one.area, float(place) if kind == "thicker" else one.refreshes): one
        for kind in kinds
        for place, one in enumerate(hardened_cells(point.cell, point.window, [kind]))
    }


def _worst(cells: Sequence[Mapping[tuple[str, float, float], HardenedCell]]) -> tuple[HardenedCell, ...]:
    """Each better cell that all device points have, at its worst."""
    shared = [key for key in cells[0] if all(key in other for other in cells)]
    columns = ([other[key] for other in cells] for key in shared)
    return tuple(
        HardenedCell(
            column[0].area,
            max(one.p01 for one in column),
            max(one.p10 for one in column),
            max(one.refreshes for one in column),
        )
        for column in columns
    )
