"""Error rates that vary lognormally from one cell or region of a memory to the next."""

import numpy as np
from scipy import special

from qtaml import _checks


def lognormal_rates(p: float, sigma: float, classes: int, largest: float) -> tuple[float, ...]:
    """Error rates of classes with equally many cells each: lognormal, clipped at a largest rate, of mean exactly p.

    The rates are min(c exp(sigma z_i), largest) at the normal quantiles z_i of (i + 1/2)/classes, with c such that
    their mean is p.

    Args:
        p: mean rate, in [0, 0.5).
        sigma: standard deviation of the logarithm of the rates, at least 0.
        classes: number of rates, at least 1.
        largest: upper limit of the rates, above p.

    Returns:
        The rates, largest first.

    Raises:
        ArgumentError: if `p` or `sigma` is not as said.

    Source:
        paper, section 5.7.

    Example:
        >>> [round(rate, 3) for rate in lognormal_rates(0.1, 1.0, 4, 0.5)]
        [0.227, 0.099, 0.052, 0.023]
    """
    mean, spread = _checks.flip_probability("p", p), _checks.non_negative("sigma", sigma)
    z = special.ndtri((np.arange(classes)[::-1] + 0.5) / classes)
    # The number of clipped classes is tried from 0 up, not iterated on c: it ends exactly at mean p.
    for clipped in range(classes):
        # Measured from the largest that is not clipped, none overflows and their sum is at least 1.
        shape = np.exp(spread * (z[clipped:] - z[clipped]))
        top = (mean * classes - largest * clipped) / float(shape.sum())
        if top <= largest:
            break
    return (largest,) * clipped + tuple(map(float, top * shape))
