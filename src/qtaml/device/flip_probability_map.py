"""p of a cell over thickness and time, for tables and pictures."""

import numpy as np
from numpy.typing import ArrayLike

from qtaml import _checks
from qtaml.device._arrays import Array
from qtaml.device.cell import Cell


def sweep(cell: Cell, thickness: ArrayLike, window: ArrayLike) -> Array:
    """Matrix of ln p(d_i, tau_j) of a cell over thicknesses d_i and windows tau_j.

    Args:
        cell: its barrier's thickness is replaced.
        thickness: nm, a sequence of D values.
        window: s, a sequence of W values.

    Returns:
        Natural logarithms of shape (D, W); `numpy.exp` of them is p, 0 where it underflows.

    Raises:
        ArgumentError: if a thickness or a window is not above 0.

    Source:
        theory.md 1.1, 2.6.

    Example:
        >>> from qtaml.device import preset
        >>> sweep(preset("few_electron_dt"), [2.0, 3.0], [1e-6, 1e-3]).round(1)
        array([[ -68.8,   -1.1],
               [-197.9, -121.9]])
    """
    thicknesses = np.atleast_1d(_checks.positive_array("thickness", thickness))
    windows = np.atleast_1d(_checks.positive_array("window", window))
    return cell.log_flip_probabilities(windows[None, :], thicknesses[:, None] - cell.barrier.thickness)
