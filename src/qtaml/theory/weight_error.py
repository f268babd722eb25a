"""The exact law of the error of one weight, read minus stored, for any format and fault model.

All values are in units of the scale of the tensor, row or group. Memory grows with 2**bits: there is no matrix over all
stored and read labels.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qtaml import _checks
from qtaml.faults import FaultModel, WordLaw
from qtaml.formats import Format, read_moments

Floats = NDArray[np.float64]


def error_distribution(fmt: Format, fault: FaultModel, stored: int) -> tuple[Floats, Floats]:
    """Exact distribution of the error of a weight that is stored as a given label: P(error = e given stored).

    Args:
        fmt: how the weight is stored.
        fault: how the memory fails.
        stored: the label, 0 to 2**bits - 1.

    Returns:
        (values, probabilities): the errors that can occur, ascending and each once, in units of the full scale; and
        their probabilities, which sum to 1. An error whose probability is below the smallest float is left out.

    Raises:
        ArgumentError: if the label is out of range, or the fault model has another number of bits.

    Source:
        paper, equation 1 and theorem 3.1.

    Example:
        >>> from qtaml.faults import Uniform
        >>> from qtaml.formats import EvenLevels
        >>> values, probabilities = error_distribution(Format(EvenLevels(2, grid="integer")), Uniform(0.25), stored=0)
        >>> values.tolist(), probabilities.tolist()
        ([0.0, 0.5, 1.0, 1.5], [0.5625, 0.1875, 0.1875, 0.0625])
    """
    law = fmt.window_law(fault)
    return distribution_of(fmt.readout(), law, _checks.integer("stored", stored, 0, 2**law.bits - 1))


def characteristic_function(
    fmt: Format, fault: FaultModel, stored: int, frequencies: ArrayLike
) -> NDArray[np.complex128]:
    """E[exp(i t error)] of a weight that is stored as a given label, exact for any format.

    Args:
        fmt: how the weight is stored.
        fault: how the memory fails.
        stored: the label, 0 to 2**bits - 1.
        frequencies: t, in units of one over the full scale, any shape.

    Returns:
        Complex array of the shape of `frequencies`.

    Raises:
        ArgumentError: if the label is out of range, or the fault model has another number of bits.

    Source:
        paper, theorem 3.1; its product form is `closed_forms.characteristic_function`.

    Example:
        >>> from qtaml.faults import Uniform
        >>> characteristic_function(Format(), Uniform(0.1), 200, [0.0]).round(12).tolist()
        [(1+0j)]
    """
    values, probabilities = error_distribution(fmt, fault, stored)
    t = np.asarray(frequencies, dtype=np.float64)
    # One frequency at a time: all of them at once would take 2**bits numbers for each.
    result = [complex(probabilities @ np.exp(1j * frequency * values)) for frequency in t.reshape(-1)]
    return np.array(result, dtype=np.complex128).reshape(t.shape)


def skewness(fmt: Format, fault: FaultModel) -> Floats:
    """Exact skewness E[(v - mean)**3] / variance**(3/2) of the value read v, for each stored label.

    Args:
        fmt: how the weight is stored.
        fault: how the memory fails.

    Returns:
        Array of shape (2**bits,); 0 where the variance is 0: the value read is then always the same.

    Raises:
        ArgumentError: if the fault model has another number of bits.

    Source:
        paper, theorem A.13 (offset binary); here for any format.

    Example:
        >>> from qtaml.faults import Uniform
        >>> round(float(skewness(Format(), Uniform(0.1))[0]), 4)
        1.9795
    """
    _, variance, third, _ = read_moments(fmt, fault)
    return standardised(third, variance, 3)


def excess_kurtosis(fmt: Format, fault: FaultModel) -> Floats:
    """Exact excess kurtosis E[(v - mean)**4] / variance**2 - 3 of the value read v, for each stored label.

    Args:
        fmt: how the weight is stored.
        fault: how the memory fails.

    Returns:
        Array of shape (2**bits,); 0 where the variance is 0, infinite where it is beyond the largest float.

    Raises:
        ArgumentError: if the fault model has another number of bits.

    Source:
        paper, theorem A.14 (offset binary); here for any format.

    Example:
        >>> from qtaml.faults import Uniform
        >>> round(float(excess_kurtosis(Format(), Uniform(0.1))[0]), 4)
        3.0668
    """
    _, variance, _, fourth = read_moments(fmt, fault)
    return excess(fourth, variance)


def distribution_of(table: Floats, law: WordLaw, stored: int) -> tuple[Floats, Floats]:
    """The errors that can occur and their probabilities, from the value of each word and the law of the word read."""
    # Words of equal values, such as zero and minus zero, make one error; their probabilities are summed.
    values, place = np.unique(table - table[stored], return_inverse=True)
    probabilities: Floats = np.bincount(place, _read_probabilities(law, stored)).astype(np.float64)
    possible = probabilities > 0
    return values[possible], probabilities[possible]


def _read_probabilities(law: WordLaw, stored: int) -> Floats:
    """Probability of reading each word: the Kronecker product of one row of each group."""
    # One row of each group: 2**bits numbers where the whole matrix has 4**bits. The right factor varies fastest, so the
    # less significant bits stand there.
    row = np.ones(1)
    for group in law.groups:
        stored, part = divmod(stored, len(group))
        row = np.kron(group[part], row)
    return row


def standardised(moment: Floats, variance: Floats, order: int) -> Floats:
    """A central moment without unit: moment / variance**(order / 2); 0 where the variance is."""
    safe = np.where(variance > 0, variance, 1.0)
    # Of an infinite variance there is no ratio: NaN.
    with np.errstate(over="ignore", invalid="ignore"):
        # Two divisions: for very rare errors variance**(order / 2) underflows to 0 while the quotient is finite.
        ratio = moment / safe / safe ** (order / 2 - 1)
    return np.where(variance > 0, ratio, 0.0)


def excess(fourth: Floats, variance: Floats) -> Floats:
    """Excess kurtosis from the fourth central moment; 0 where the variance is."""
    return np.where(variance > 0, standardised(fourth, variance, 4) - 3, 0.0)
