"""Slow references: the value of a word bit by bit, the law of words by enumeration, and moments by direct sums."""

import numpy as np
from numpy.typing import NDArray

from qtaml.faults import WordLaw
from qtaml.formats import Encoding, Grid
from tests.reference.enumeration import enumerated_transitions

Floats = NDArray[np.float64]


def value_of(word: int, bits: int, encoding: Encoding, grid: Grid) -> float:
    """Value of one word in units of the full scale, from its bits as a textbook has it."""
    digits = [word >> i & 1 for i in range(bits)]
    half = 0.5 if grid == "half_step" else 0.0
    step = 2 / (2**bits - 1) if grid == "half_step" else 2 / 2**bits
    if encoding == "sign_magnitude":
        magnitude = sum(2**i * digit for i, digit in enumerate(digits[:-1])) + half
        return step * magnitude * (-1) ** digits[-1]
    if encoding == "twos_complement":
        return step * (sum(2**i * digit for i, digit in enumerate(digits[:-1])) - 2 ** (bits - 1) * digits[-1] + half)
    if encoding == "gray":
        # Each binary digit is the parity of the Gray digits from there up.
        digits = [sum(digits[i:]) % 2 for i in range(bits)]
    return step * (sum(2**i * digit for i, digit in enumerate(digits)) - 2 ** (bits - 1) + half)


def values_of(bits: int, encoding: Encoding, grid: Grid) -> Floats:
    """Value of every word."""
    return np.array([value_of(word, bits, encoding, grid) for word in range(2**bits)])


def transitions_of(law: WordLaw) -> Floats:
    """Probability of each read word (columns) given each stored word (rows), entry by entry."""
    if all(len(group) == 2 for group in law.groups):
        return enumerated_transitions([g[0, 1] for g in law.groups], [g[1, 0] for g in law.groups])
    matrix = np.ones((2**law.bits, 2**law.bits))
    for stored in range(2**law.bits):
        for read in range(2**law.bits):
            start = 0
            for group in law.groups:
                part = len(group) - 1
                matrix[stored, read] *= group[stored >> start & part, read >> start & part]
                start += part.bit_length()
    return matrix


def central_moment(matrix: Floats, values: Floats, order: int) -> Floats:
    """Central moment of the value read, for each stored word, by a direct sum over the words read."""
    mean = matrix @ values
    return (matrix * (values[np.newaxis] - mean[:, np.newaxis]) ** order).sum(1)


def share_of_bit(matrix: Floats, values: Floats, bit: int) -> Floats:
    """Var(E[value | bit as read]) / Var(value) for each stored word, by direct sums."""
    mean, explained = matrix @ values, np.zeros(len(values))
    for state in (0, 1):
        read_so = (np.arange(len(values)) >> bit & 1) == state
        chance = matrix[:, read_so].sum(1)
        partial = matrix[:, read_so] @ values[read_so]
        possible = chance > 0
        explained[possible] += chance[possible] * (partial[possible] / chance[possible] - mean[possible]) ** 2
    variance = central_moment(matrix, values, 2)
    return explained / np.where(variance > 0, variance, 1.0)
