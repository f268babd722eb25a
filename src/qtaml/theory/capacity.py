"""Shannon's limits: capacity of a cell, least cells for a bit, least error of a weight."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.protections import BitProtection

Floats = NDArray[np.float64]


def binary_entropy(p: ArrayLike) -> Floats:
    """h(p) = -p log2 p - (1 - p) log2(1 - p), in bits.

    Example:
        >>> float(binary_entropy(0.5))
        1.0
    """
    p = np.asarray(p, dtype=np.float64)
    return np.asarray((special.entr(p) + special.entr(1 - p)) / np.log(2))


def capacity(p01: float, p10: float) -> float:
    """Capacity of a raw cell in bits, at the best share of stored ones.

    Args:
        p01: probability of reading 1 where 0 is stored.
        p10: probability of reading 0 where 1 is stored.

    Returns:
        Bits: 1 - h(p) where both rates are p, log2(1 + (1-p) p**(p/(1-p))) where one is 0; 0 at p01 + p10 = 1.

    Raises:
        ArgumentError: if a rate is no probability.

    Source:
        Silverman, IRE Transactions on Information Theory 1, 1955; theory.md 5.1.

    Example:
        >>> round(capacity(0.1, 0.1), 6), round(capacity(0.0, 0.1), 6)
        (0.531004, 0.762848)
    """
    a, b = _checks.probability("p01", p01), _checks.probability("p10", p10)
    seen = 1 - a - b
    if seen == 0:
        return 0.0
    spread = (1 + a - b) * (1 - a + b) / 4
    # Near p01 + p10 = 1 the entropies below are nearly equal, and their difference divided by `seen` loses digits; the
    # leading term of the series in `seen` keeps them.
    if abs(seen) < 4e-3 * spread:
        return seen**2 / (8 * float(np.log(2)) * spread)
    entropy_0, entropy_1 = float(binary_entropy(a)), float(binary_entropy(b))
    # At the best input D(read given 0 || read) = D(read given 1 || read) = C, two linear equations in -log2 of the law
    # of what is read: its two probabilities sum to 1.
    of_zero = (entropy_0 * (1 - b) - entropy_1 * a) / seen
    of_one = (entropy_1 * (1 - a) - entropy_0 * b) / seen
    return max(0.0, float(np.logaddexp2(-of_zero, -of_one)))


def uniform_capacity(p01: float, p10: float) -> float:
    """Bits that a raw cell carries if 0 and 1 are stored equally often, as by scrambled codes.

    I = h((1 - p01 + p10) / 2) - (h(p01) + h(p10)) / 2, the mutual information of the bit stored and the bit read.

    Raises:
        ArgumentError: if a rate is no probability.

    Source:
        theory.md 5.1.

    Example:
        >>> round(uniform_capacity(0.0, 0.1), 4)  # less than 0.02 bits below the capacity
        0.7583
    """
    a, b = _checks.probability("p01", p01), _checks.probability("p10", p10)
    return float(binary_entropy((1 - a + b) / 2) - (binary_entropy(a) + binary_entropy(b)) / 2)


def weak_cell_capacity(share: float, *, known: bool) -> float:
    """Bits that a cell carries if some are read the same whatever is written, as 0 and as 1 equally often.

    Gaussian weights cannot be read with more than 6.02 times as many dB for each cell.

    Args:
        share: of the cells that are weak.
        known: whether the writer knows which; the reader does not.

    Returns:
        1 - share if he knows, by whatever code (Kuznetsov and Tsybakov); 1 - h(share / 2) if not.

    Raises:
        ArgumentError: if the share is none.

    Source:
        theory.md 6.9; Gelfand and Pinsker, Problems of Control and Information Theory 9, 1980.

    Example:
        >>> round(weak_cell_capacity(0.1, known=True), 3), round(weak_cell_capacity(0.1, known=False), 3)
        (0.9, 0.714)
    """
    weak = _checks.probability("share", share)
    return 1 - weak if known else capacity(weak / 2, weak / 2)


def shannon_cells(p01: float, p10: float, residual: float = 0.0) -> float:
    """Least cells for one data bit that is read wrong with rate `residual`, in blocks of any length.

    Args:
        p01: probability that a raw cell reads 1 where 0 is stored.
        p10: probability that it reads 0 where 1 is stored.
        residual: error rate that is left, 0 to 1/2.

    Returns:
        (1 - h(residual)) / capacity; infinite where nothing can be stored.

    Raises:
        ArgumentError: if a rate is no probability, or `residual` above 1/2.

    Source:
        theory.md 5.1; rate-distortion function of fair bits.

    Example:
        >>> round(shannon_cells(0.1, 0.1), 3)
        1.883
    """
    if _checks.probability("residual", residual) > 0.5:
        raise ArgumentError(f"residual must be at most 1/2, got {residual!r}")
    # A residual of 1/2 asks for nothing, so it costs nothing even where the capacity is 0: the rate decides first.
    rate, carried = 1 - float(binary_entropy(residual)), capacity(p01, p10)
    return 0.0 if rate == 0 else rate / carried if carried > 0 else float("inf")


def efficiency(protection: BitProtection, p01: float, p10: float) -> float:
    """Shannon's least cells for the residual error rate of a protection, over the cells that it takes.

    Args:
        protection: of a data bit.
        p01: probability that a raw cell reads 1 where 0 is stored.
        p10: probability that it reads 0 where 1 is stored.

    Returns:
        (1 - h(mean residual)) / capacity / cells: at most 1 for a real code; the paper's ideal code and better cells
        may exceed it.

    Raises:
        ArgumentError: if a rate is no probability.

    Example:
        >>> from qtaml.protections import Ideal, Repetition
        >>> round(efficiency(Repetition(3), 0.1, 0.1), 3), round(efficiency(Ideal(), 0.1, 0.1), 3)
        (0.512, 0.942)
    """
    # Bounds of the residual may exceed 1/2, where h would fall again.
    left = min(sum(protection.residual(p01, p10)) / 2, 0.5)
    return shannon_cells(p01, p10, left) / protection.cells


def least_distortion(p01: float, p10: float, cells: float) -> float:
    """Least mean squared error of a Gaussian weight of variance 1 in a number of cells.

    Weights of any other law of the same variance can be stored with a smaller error: the Gaussian is the hardest.

    Args:
        p01: probability that a raw cell reads 1 where 0 is stored.
        p10: probability that it reads 0 where 1 is stored.
        cells: cells of a weight.

    Returns:
        2**(-2 cells capacity).

    Raises:
        ArgumentError: if a rate is no probability, or `cells` negative.

    Source:
        theory.md 6.2 (f), the optimum that theory allows (OPTA).

    Example:
        >>> float(round(-10 * np.log10(least_distortion(0.1, 0.1, 8.0)), 2))  # dB
        25.58
    """
    return float(2.0 ** (-2 * _checks.non_negative("cells", cells) * capacity(p01, p10)))


def least_cells(p01: float, p10: float, distortion: float) -> float:
    """Least cells for a Gaussian weight of variance 1 at a mean squared error: the inverse of `least_distortion`.

    Args:
        p01: probability that a raw cell reads 1 where 0 is stored.
        p10: probability that it reads 0 where 1 is stored.
        distortion: mean squared error, above 0.

    Returns:
        max(0, -log2(distortion) / 2) / capacity cells for each weight; infinite if the capacity is 0.

    Raises:
        ArgumentError: if a rate is no probability, or `distortion` not above 0.

    Source:
        theory.md 6.2 (f).

    Example:
        >>> round(least_cells(0.1, 0.1, 0.01), 3)
        6.256
    """
    bits = max(0.0, -0.5 * float(np.log2(_checks.positive("distortion", distortion))))
    carried = capacity(p01, p10)
    return 0.0 if bits == 0 else bits / carried if carried > 0 else float("inf")
