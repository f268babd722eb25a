"""Codes of up to 15 bits by enumeration: every error pattern through a syndrome decoder that looks for light errors."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np


def enumerated_residual(columns: Sequence[int], data: Sequence[int], corrects: int, p: float) -> float:
    """Mean error rate of the data bits after correction of up to `corrects` errors; other patterns stay as read.

    Args:
        columns: the syndrome of an error in each stored bit.
        data: positions of the data bits.
        corrects: the decoder knows the patterns of so many errors and no others.
        p: error rate of the stored bits.
    """
    n = len(columns)
    patterns = np.arange(1 << n)
    bits = patterns[:, np.newaxis] >> np.arange(n) & 1
    syndromes = np.bitwise_xor.reduce(bits * np.array(columns), axis=1)
    correction = np.zeros(max(int(syndromes.max()), max(columns)) + 1, dtype=np.int64)
    for count in range(1, corrects + 1):
        for positions in combinations(range(n), count):
            syndrome = np.bitwise_xor.reduce([columns[i] for i in positions])
            correction[syndrome] = sum(1 << i for i in positions)
    left = (patterns ^ correction[syndromes])[:, np.newaxis] >> np.array(data) & 1
    weights = bits.sum(1)
    return float((left.mean(1) * p**weights * (1 - p) ** (n - weights)).sum())


def cyclic_columns(generator: int, n: int) -> list[int]:
    """The syndrome x**i modulo the generator polynomial, for each bit i of a cyclic code."""
    degree, columns = generator.bit_length() - 1, [1]
    for _ in range(n - 1):
        power = columns[-1] << 1
        columns.append(power ^ generator if power >> degree else power)
    return columns
