"""Physical alternatives to error-correcting codes, each as (cost, residual p).

Larger cells, thicker barriers, more frequent refresh, and their allocation to the bits of a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from qtaml import _checks, _tables
from qtaml.device._arrays import Array
from qtaml.device.cell import Cell
from qtaml.device.retention import RetentionCell
from qtaml.device.spread import action_per_nm


@dataclass(frozen=True)
class Hardening:
    """A physical protection of a bit: its cost, and the residual flip probability of its `cell` at its `window`.

    Args:
        cost: in `unit`.
        p: residual flip probability.
        unit: "cells" (area of plain cells), "nm" (extra thickness) or "refreshes" (for each plain one).
        cell: the cell as hardened.
        window: time between refreshes, s.

    Source:
        theory.md 2.7.

    Example:
        >>> from qtaml.device import preset
        >>> (voted,) = larger_cells(preset("few_electron_dt"), 64e-3, [3])
        >>> voted.cost, voted.unit, voted.cell.electrons
        (3.0, 'cells', 60)
    """

    cost: float
    p: float
    unit: str
    cell: RetentionCell
    window: float


class Hardenings(tuple[Hardening, ...]):
    """Tuple of `Hardening` that prints as a table."""

    def __str__(self) -> str:
        """A row for each."""
        table = Table(*dict.fromkeys(f"cost ({one.unit})" for one in self), "p", "window (s)")
        for one in self:
            table.add_row(f"{one.cost:.4g}", f"{one.p:.3g}", f"{one.window:.3g}")
        return _tables.as_text(table)


def larger_cells(cell: RetentionCell, window: float, factors: Sequence[float]) -> Hardenings:
    """Cells of more area: so many times the electrons, at the same threshold share and the same escape probability.

    Their spread is smaller by the square root of the area (Pelgrom). Without spread
    p = P(Binomial(a N_e, p_e) > a n_th) for an area of a cells, about exp(-a N_e KL(n_th/N_e || p_e)): it falls with
    a only for p_e below the threshold share.

    Args:
        cell: the plain cell.
        window: s.
        factors: areas in plain cells, at least 1; electrons and threshold are rounded.

    Returns:
        A `Hardening` for each factor, its cost in cells.

    Raises:
        ArgumentError: if a factor is below 1 or the window not above 0.

    Source:
        theory.md 2.7.

    Example:
        >>> from qtaml.device import Rectangular
        >>> cell = Cell(Rectangular(3.15, 2.0, 0.42), 100, 50, 1e13)
        >>> [round(h.p, 3) for h in larger_cells(cell, cell.window_for(0.1), [1, 2, 3])]
        [0.1, 0.041, 0.018]
    """
    return Hardenings(
        _hardening(factor, "cells", cell.enlarged(_checks.at_least("factors", factor, 1.0)), window)
        for factor in factors
    )


def thicker_barriers(cell: Cell, window: float, extras: Sequence[float]) -> Hardenings:
    """Cells with thicker barriers: p falls as exp(-2 kappa (n_th + 1) extra) in the rare regime.

    Args:
        cell: the plain cell.
        window: s.
        extras: extra thicknesses, nm.

    Returns:
        A `Hardening` for each extra, its cost in nm.

    Raises:
        ArgumentError: if a barrier would vanish or the window is not above 0.

    Source:
        theory.md 2.7.

    Example:
        >>> from qtaml.device import preset
        >>> [f"{h.p:.1e}" for h in thicker_barriers(preset("fg_dt_3p0"), 60.0, [0.0, 0.2])]
        ['8.7e-02', '5.7e-08']
    """
    return Hardenings(_hardening(extra, "nm", cell.thickened(extra), window) for extra in extras)


def faster_refresh(cell: RetentionCell, window: float, rates: Sequence[float]) -> Hardenings:
    """The same cell, refreshed more often: p(window/rate), which falls as rate^-(n_th + 1) in the rare regime.

    Args:
        cell: the plain cell.
        window: s between plain refreshes.
        rates: refreshes for each plain one.

    Returns:
        A `Hardening` for each rate, its cost in refreshes.

    Raises:
        ArgumentError: if a rate or the window is not above 0.

    Source:
        theory.md 2.7.

    Example:
        >>> from qtaml.device import preset
        >>> [f"{h.p:.1e}" for h in faster_refresh(preset("fg_dt_3p0"), 60.0, [1, 4])]
        ['8.7e-02', '1.1e-04']
    """
    interval = _checks.positive("window", window)
    windows = [interval / _checks.positive("rates", rate) for rate in rates]
    # All at once: ten windows take hardly longer than one.
    found = cell.flip_probability(np.array(windows)).tolist()
    steps = zip(rates, windows, found, strict=True)
    return Hardenings(Hardening(float(rate), p, "refreshes", cell, one) for rate, one, p in steps)


def graded_barriers(cell: Cell, window: float, bits: int) -> Hardenings:
    """A thickness for each bit i of a word so that all bits add the same variance: 4^i p_i = p_0.

    Args:
        cell: of the least significant bit.
        window: s.
        bits: in a word.

    Returns:
        A `Hardening` for each bit, least significant first, its cost in nm.

    Raises:
        ArgumentError: if there is no bit, or no thickness gives the p of a bit.

    Source:
        theory.md 2.7.

    Example:
        >>> from qtaml.device import Rectangular
        >>> single_electron = Cell(Rectangular(3.15, 2.0, 0.42), 1, 0, 1e13)
        >>> graded = graded_barriers(single_electron, single_electron.window_for(1e-6), 3)
        >>> [round(h.cost, 3) for h in graded]
        [0.0, 0.118, 0.235]
    """
    p = cell.flip_probability(float(window))
    wanted: Array = p * 0.25 ** np.arange(1, _checks.integer("bits", bits, 1), dtype=np.float64)
    extras = cell.thickness_for(wanted, window) - cell.barrier.thickness
    # Bit 0 is the plain cell itself: a root would give its thickness only to rounding.
    return thicker_barriers(cell, window, [0.0, *extras.tolist()])


def rare_thickness_step(cell: Cell) -> float:
    """Extra thickness for each more significant bit in the rare regime: ln 4/(2 kappa (n_th + 1)).

    Args:
        cell: any cell.

    Returns:
        nm for each bit.

    Source:
        theory.md 2.7.

    Example:
        >>> from qtaml.device import Rectangular
        >>> round(rare_thickness_step(Cell(Rectangular(3.15, 2.0, 0.42), 1, 0, 1e13)), 3)
        0.118
    """
    return float(np.log(4) / (action_per_nm(cell) * (cell.threshold + 1)))


def refresh_intervals(window: float, bits: int, threshold: int) -> Array:
    """Refresh interval of each bit that minimises the variance for the same number of refreshes.

    In the rare regime p_i ~ tau_i^(n_th + 1); minimising sum 4^i p_i at fixed sum 1/tau_i gives
    tau_i ~ 4^(-i/(n_th + 2)).

    Args:
        window: the common interval that takes as many refreshes, s.
        bits: in a word.
        threshold: n_th of the cells.

    Returns:
        s, of shape (bits,), least significant first; the mean of 1/tau is 1/window.

    Raises:
        ArgumentError: if an argument is out of its range.

    Source:
        theory.md 2.7.

    Example:
        >>> refresh_intervals(1.0, 3, 0).round(3)
        array([2.333, 1.167, 0.583])
    """
    plain, order = _checks.positive("window", window), _checks.integer("threshold", threshold, 0) + 2
    shape = 4.0 ** (-np.arange(_checks.integer("bits", bits, 1)) / order)
    return np.asarray(plain * shape * np.mean(1 / shape))


def graded_refresh(cell: Cell, window: float, bits: int) -> Hardenings:
    """Refresh allocated to the bits of a word: intervals tau_i ~ 4^(-i/(n_th + 2)) at the same mean of 1/tau_i.

    Args:
        cell: of every bit.
        window: the common interval that takes as many refreshes, s.
        bits: in a word.

    Returns:
        A `Hardening` for each bit, least significant first, its cost in refreshes; the costs average 1.

    Raises:
        ArgumentError: if the window is not above 0 or there is no bit.

    Source:
        theory.md 2.7; see `refresh_intervals`.

    Example:
        >>> from qtaml.device import preset
        >>> [round(h.cost, 3) for h in graded_refresh(preset("few_electron_dt"), 20e-3, 3)]
        [0.887, 0.996, 1.117]
    """
    return faster_refresh(cell, window, (window / refresh_intervals(window, bits, cell.threshold)).tolist())


def _hardening(cost: float, unit: str, cell: RetentionCell, window: float) -> Hardening:
    """The record, with the residual p of the cell at the window."""
    return Hardening(float(cost), cell.flip_probability(float(window)), unit, cell, float(window))
