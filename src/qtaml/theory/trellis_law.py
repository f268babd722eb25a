"""How the errors of weights that share words of a trellis go together."""

import numpy as np
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel, WordLaw
from qtaml.formats import Format

Floats = NDArray[np.float64]


def neighbour_covariance(fmt: Format, fault: FaultModel, lag: int, *, first: int = 0, second: int = 0) -> Floats:
    """Exact covariance of the values read of two weights that lie `lag` words apart in the stream of a trellis.

    Beyond the words of a window it is 0: they share none.

    Args:
        fmt: of the trellis.
        fault: how the memory fails.
        lag: words from the earlier weight to the later one, 0 to window - 1.
        first: which of the weights of its word the earlier one is.
        second: which of them the later one is.

    Returns:
        For each stored value of the window + lag words that the two are read from, the later words less significant:
        shape (2**(bits x (window + lag)),), in units of the squared scale.

    Raises:
        ArgumentError: if the format is no trellis, or a number out of its range.

    Source:
        theory.md 6.8.

    Example:
        >>> from qtaml.faults import Uniform
        >>> from qtaml.formats import TrellisLevels
        >>> sums = Format(TrellisLevels(1, 2, ((1, 0.5), (2, 0.25))))
        >>> neighbour_covariance(sums, Uniform(0.25), 1).tolist()
        [0.09375, 0.09375, 0.09375, 0.09375, 0.09375, 0.09375, 0.09375, 0.09375]
    """
    levels = fmt.levels
    if levels.window < 2:
        raise ArgumentError(f"fmt must be a trellis, got {levels}")
    lag = _checks.integer("lag", lag, 0, levels.window - 1)
    which = [_checks.integer("first", first, 0, levels.weights_per_word - 1)]
    which.append(_checks.integer("second", second, 0, levels.weights_per_word - 1))
    earlier, later = fmt.readout().reshape(levels.weights_per_word, -1)[which]
    law, apart, shared = fmt.law(fault), 2 ** (fmt.bits * lag), 2 ** (fmt.bits * (levels.window - lag))
    # Given what is read of the words that both share, the two are independent: each is averaged over its own words.
    own = WordLaw(law.groups * lag)
    of_earlier = _averaged(own, earlier.reshape(apart, shared), 0)
    of_later = _averaged(own, later.reshape(shared, apart), 1)
    both = of_earlier[:, :, np.newaxis] * of_later[np.newaxis]
    common = WordLaw(law.groups * (levels.window - lag))
    means = _averaged(common, of_earlier, 1)[:, :, np.newaxis] * _averaged(common, of_later, 0)[np.newaxis]
    return np.asarray((_averaged(common, both, 1) - means).reshape(-1))


def _averaged(law: WordLaw, values: Floats, axis: int) -> Floats:
    """Expected values given what is stored, over an axis of what is read."""
    now = np.moveaxis(values, axis, -1)
    shape, below = now.shape, 1
    for group in law.groups:
        parts = now.reshape(*shape[:-1], -1, len(group), below)
        now = np.einsum("uv,...avb->...aub", group, parts).reshape(shape)
        below *= len(group)
    return np.moveaxis(now, -1, axis)
