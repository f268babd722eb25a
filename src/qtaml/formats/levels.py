"""Which values a word of B bits can stand for, and which label each value carries.

Levels are in units of the full scale (the largest magnitude of the tensor or row). Bit 0 is the least significant.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qtaml import _checks

Encoding = Literal["offset_binary", "twos_complement", "sign_magnitude", "gray"]
Grid = Literal["half_step", "integer"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
GRIDS: tuple[Grid, ...] = get_args(Grid)
_EVEN = 1e-9


def levels(bits: int, encoding: Encoding, grid: Grid) -> NDArray[np.float64]:
    """The 2**bits values in ascending order, in units of the full scale.

    The half-step grid is symmetric, from -1 to 1 with step 2/(2**bits - 1); its mean under symmetric errors has no
    offset. The integer grid is the paper's, with step 2/2**bits, from -1 to 1 - step; in sign-magnitude it holds zero
    twice, from -(1 - step) to 1 - step.

    Args:
        bits: number of bits B.
        encoding: matters only on the integer grid of sign-magnitude.
        grid: "half_step" or "integer".

    Returns:
        Array of shape (2**bits,).

    Source:
        theory.md 1.3.

    Example:
        >>> levels(2, "offset_binary", "half_step").round(3).tolist()
        [-1.0, -0.333, 0.333, 1.0]
        >>> levels(2, "offset_binary", "integer").tolist()
        [-1.0, -0.5, 0.0, 0.5]
    """
    index, half = np.arange(2**bits), 2 ** (bits - 1)
    if grid == "half_step":
        values = (2.0 * index - (2**bits - 1)) / (2**bits - 1)
    elif encoding == "sign_magnitude":
        values = np.where(index < half, index - half + 1, index - half) / half
    else:
        values = (index - half) / half
    return np.asarray(values, dtype=np.float64)


def labels(bits: int, encoding: Encoding) -> NDArray[np.int64]:
    """The label (stored word) of each level, in ascending order of the levels.

    Args:
        bits: number of bits B.
        encoding: "offset_binary", "twos_complement", "sign_magnitude" (sign bit on top) or "gray".

    Returns:
        A permutation of 0 .. 2**bits - 1, shape (2**bits,).

    Source:
        theory.md 1.3; paper A.8.

    Example:
        >>> labels(2, "twos_complement").tolist(), labels(2, "sign_magnitude").tolist(), labels(2, "gray").tolist()
        ([2, 3, 0, 1], [3, 2, 0, 1], [0, 1, 3, 2])
    """
    index, half = np.arange(2**bits), 2 ** (bits - 1)
    words = {
        "offset_binary": index,
        "twos_complement": index ^ half,
        "sign_magnitude": np.where(index < half, 2**bits - 1 - index, index - half),
        "gray": index ^ (index >> 1),
    }
    return np.asarray(words[encoding], dtype=np.int64)


def quantisation_step(bits: int, grid: Grid = "half_step") -> float:
    """Distance D between neighbouring levels.

    Args:
        bits: bits of a word B, 2 to 16.
        grid: "half_step" or the paper's "integer".

    Returns:
        2 / (2**B - 1) on the half-step grid, 2 / 2**B on the integer grid.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        theory.md 1.3; paper, assumption A.5.

    Example:
        >>> quantisation_step(8, "integer")
        0.0078125
    """
    _checks.integer("bits", bits, 2, 16)
    _checks.one_of("grid", grid, GRIDS)
    return 2 / ((1 << bits) - (1 if grid == "half_step" else 0))


def evenly_spaced(table: Sequence[float]) -> bool:
    """Whether neighbouring labels are read as values at equal distances, so that two numbers tell the whole table."""
    return len(table) > 1 and bool(np.ptp(np.diff(table)) <= _EVEN * np.abs(table).max())
