"""Cell-to-cell spread: static weak cells, their failure times, and the lognormal law.

A spread of thickness gives each cell its own lifetime. The failing cells are then the same in every read until the next
chip, so one draw of `static_flip_probabilities` describes one chip.
"""

import numpy as np
from scipy import special

from qtaml import _checks
from qtaml.device._arrays import Array, Quantity, like
from qtaml.device.cell import Cell
from qtaml.errors import ArgumentError

# Step in nm of the central difference of the action. Measured on a tilted barrier at 300 K: 1e-4 and 1e-6 agree to
# 6e-10; 1e-2 is 3e-6 off by curvature, 1e-8 loses 2e-8 to cancellation.
_THICKNESS_STEP = 1e-4


def sample_thickness(cell: Cell, size: int | tuple[int, ...], generator: np.random.Generator) -> Array:
    """Thicknesses of cells of one chip: max(d + sigma_d z, 0) with standard normal z.

    Args:
        cell: its barrier's thickness is the mean, its `thickness_spread` the standard deviation.
        size: number or shape of the cells.
        generator: source of randomness.

    Returns:
        nm, of shape `size`; never below 0.

    Source:
        theory.md 2.4.

    Example:
        >>> from qtaml.device import preset
        >>> sample_thickness(preset("fg_dt_3p0"), 3, np.random.default_rng(0)).round(3)
        array([3.006, 2.993, 3.032])
    """
    for number in (size,) if isinstance(size, int) else size:
        _checks.integer("size", number, 0)
    nominal = cell.barrier.thickness
    return np.maximum(nominal + cell.thickness_spread * generator.standard_normal(size), 0.0)


def static_flip_probabilities(
    cell: Cell, window: float, size: int | tuple[int, ...], generator: np.random.Generator
) -> Array:
    """Lost-bit probability of each cell of one chip: P(X + Y > n_th) given its own thickness and number of traps.

    X counts the electrons that tunnel, Y those through traps (`Cell.log_lost_probabilities`). The mean over many cells
    is `cell.flip_probability(window)`; with many electrons most values are nearly 0 or 1.

    Args:
        cell: with its spread of thickness and its traps.
        window: s.
        size: number or shape of the cells.
        generator: source of randomness.

    Returns:
        p of each cell, of shape `size`.

    Raises:
        ArgumentError: if the window is not above 0.

    Source:
        theory.md 2.4, 4.

    Example:
        >>> from qtaml.device import preset
        >>> p = static_flip_probabilities(preset("gaincell_2t_sion"), 20e-6, 20_000, np.random.default_rng(0))
        >>> round(float(p.mean()), 2), round(float(((p > 0.01) & (p < 0.99)).mean()), 2)
        (0.05, 0.02)
    """
    log_window = np.log(_checks.positive("window", window))
    extra = sample_thickness(cell, size, generator) - cell.barrier.thickness
    expected = cell.traps.expected if cell.traps is not None else 0.0
    traps = generator.poisson(expected, size=extra.shape)
    p = np.empty(extra.shape)
    # Grouped by number of traps: the sum over their Poisson law is needed only where there are any.
    for count in np.unique(traps):
        chosen = traps == count
        p[chosen] = np.exp(cell.log_lost_probabilities(log_window, extra[chosen], int(count)))
    return p


def sample_failure_times(cell: Cell, size: int | tuple[int, ...], generator: np.random.Generator) -> Array:
    """Times at which cells lose their bit: the (n_th + 1)-th escape from cells of random thickness.

    t = ln(1 - B)/(nu ln(1 - T)) with B ~ Beta(n_th + 1, N_e - n_th), the (n_th + 1)-th of N_e uniform numbers.

    Args:
        cell: without traps.
        size: number or shape of the cells.
        generator: source of randomness.

    Returns:
        s, of shape `size`; the share below t tends to `cell.flip_probability(t)`.

    Raises:
        ArgumentError: if the cell has traps.

    Source:
        theory.md 1.1, 2.4.

    Example:
        >>> from qtaml.device import preset
        >>> times = sample_failure_times(preset("fg_dt_3p0"), 1000, np.random.default_rng(0))
        >>> bool(abs((times < 51.0).mean() - 0.05) < 0.02)
        True
    """
    if cell.traps is not None:
        raise ArgumentError(f"cell must be without traps to sample its failure times, got {cell.traps!r}")
    extra = sample_thickness(cell, size, generator) - cell.barrier.thickness
    escaped = generator.beta(cell.threshold + 1, cell.electrons - cell.threshold, size=extra.shape)
    log_rate = np.log(cell.attempt_frequency) + np.log(-np.log1p(-np.exp(cell.log_transmission(extra))))
    return np.asarray(np.exp(np.log(-np.log1p(-escaped)) - log_rate))


def action_per_nm(cell: Cell) -> float:
    """d(-ln T)/d(thickness) of a cell's barrier, thermal factor included: 2 kappa for a rectangle at 0 K.

    Args:
        cell: any cell.

    Returns:
        1/nm, at the nominal thickness.

    Source:
        theory.md 1.1.

    Example:
        >>> from qtaml.device import Cell, Rectangular
        >>> round(action_per_nm(Cell(Rectangular(3.15, 2.0, 0.42), 200, 100, 1e13)), 2)
        11.79
    """
    thin, thick = cell.log_transmission(np.array([-_THICKNESS_STEP, _THICKNESS_STEP]))
    return float(thin - thick) / (2 * _THICKNESS_STEP)


def lognormal_sigma(cell: Cell) -> float:
    """Standard deviation of ln(failure time) that a cell's spread of thickness causes: 2 kappa sigma_d.

    Args:
        cell: with its spread.

    Returns:
        Dimensionless (natural logarithms): 0.59 for 0.05 nm of SiO2.

    Source:
        theory.md 2.4.

    Example:
        >>> from qtaml.device import Cell, Rectangular
        >>> cell = Cell(Rectangular(3.15, 2.0, 0.42), 200, 100, 1e13, thickness_spread=0.05)
        >>> round(lognormal_sigma(cell), 2)
        0.59
    """
    return action_per_nm(cell) * cell.thickness_spread


def lognormal_flip_probability(window: Quantity, median: float, sigma: float) -> Quantity:
    """Closed form for many electrons: failure times are lognormal, p = Phi((ln t - ln t50)/sigma).

    It leaves out the randomness of the escapes: with N_e = 100 it gives 0.169 where the exact average is 0.177.

    Args:
        window: s, a float or an array.
        median: window at which half of the cells have failed, s.
        sigma: standard deviation of ln(failure time), as from `lognormal_sigma`.

    Returns:
        p, a float for a float.

    Raises:
        ArgumentError: if an argument is not above 0.

    Source:
        theory.md 2.4.

    Example:
        >>> lognormal_flip_probability(50e-6, median=50e-6, sigma=0.59)
        0.5
    """
    times = _checks.positive_array("window", window)
    scores = (np.log(times) - np.log(_checks.positive("median", median))) / _checks.positive("sigma", sigma)
    return like(window, np.asarray(special.ndtr(scores)))
