"""Variance share of each bit of a weight, and how near the sum of bits is to a Gaussian, for any format."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel, WordLaw
from qtaml.formats import Format, read_moments
from qtaml.theory.weight_error import Floats, standardised


def variance_shares(fmt: Format, fault: FaultModel) -> Floats:
    """Share of each bit in the variance of the value read, for each stored label.

    The share of bit i is its first-order Sobol index Var(E[value read | bit i as read]) / Var(value read). If the value
    is a sum over the bits (`bit_weights`) that fail independently, it is the variance of the term of bit i, and the
    shares sum to 1. In sign-magnitude and Gray labels bits interact, and the rest to 1 belongs to several bits at once;
    with bits that fail together shares overlap, and may sum to more than 1.

    Args:
        fmt: how the weight is stored.
        fault: how the memory fails.

    Returns:
        Array of shape (2**bits, bits), bit 0 (least significant) first; 0 where the variance is 0.

    Raises:
        ArgumentError: if the fault model has another number of bits, or weights are entropy-coded.

    Source:
        paper, proposition A.12 (offset binary); here for any format.

    Example:
        >>> from qtaml.faults import Uniform
        >>> from qtaml.formats import EvenLevels
        >>> variance_shares(Format(EvenLevels(4)), Uniform(0.1))[0].round(5).tolist()
        [0.01176, 0.04706, 0.18824, 0.75294]
    """
    law, values = fmt.window_law_of(fmt.law(fault)), fmt.readout()
    variance = read_moments(fmt, fault)[1][:, np.newaxis]
    explained = np.stack(_explained_variances(values, law), axis=1)
    return np.where(variance > 0, explained / np.where(variance > 0, variance, 1.0), 0.0)


def bit_weights(fmt: Format) -> Floats:
    """Bit weights beta_i of formats whose value is a sum over the bits, w = constant + sum beta_i b_i.

    Args:
        fmt: how a weight is stored.

    Returns:
        Array of shape (bits,), bit 0 (least significant) first, in units of the full scale.

    Raises:
        ArgumentError: if the value is no sum over the bits, as in sign-magnitude and Gray labels.

    Source:
        theory.md 3: w = constant + sum of beta_i b_i.

    Example:
        >>> from qtaml.formats import EvenLevels
        >>> bit_weights(Format(EvenLevels(3, "twos_complement", "integer"))).tolist()
        [0.25, 0.5, -1.0]
    """
    table = fmt.readout()
    weights = table[1 << np.arange(fmt.bits)] - table[0]
    # Absolute, in units of a full scale of 1: relative to values near 0 the tolerance would vanish.
    if not np.allclose(table, table[0] + _bits_of(np.arange(len(table)), fmt.bits) @ weights, rtol=0, atol=1e-12):
        raise ArgumentError(
            f"the value must be a sum over the bits, as in offset_binary and twos_complement, got {fmt.levels}"
        )
    return np.asarray(weights)


def lyapunov_ratio(fmt: Format, fault: FaultModel) -> Floats:
    """Lyapunov ratio of the value read as a sum of its bits; by Berry and Esseen it bounds the distance to a Gaussian.

    sum_g E|X_g - E X_g|**3 / (sum_g Var X_g)**(3/2) over the independent terms X_g of the value: single bits, or groups
    of bits that fail together.

    Args:
        fmt: how the weight is stored; its value must be a sum over the bits.
        fault: how the memory fails.

    Returns:
        Array of shape (2**bits,), for each stored label; 0 where the variance is 0.

    Raises:
        ArgumentError: if the value is no sum over the bits, or the fault model has another number of bits.

    Source:
        paper, theorem 3.4 and A.5.

    Example:
        >>> from qtaml.faults import Uniform
        >>> round(float(lyapunov_ratio(Format(), Uniform(0.1))[0]), 4)
        2.029
    """
    law, weights = fmt.law(fault), bit_weights(fmt)
    label, start = np.arange(2**fmt.bits), 0
    third = np.zeros(2**fmt.bits)
    for group in law.groups:
        count = len(group).bit_length() - 1
        parts = _bits_of(np.arange(len(group)), count) @ weights[start : start + count]
        distance = np.abs(parts - (group @ parts)[:, np.newaxis])
        third += (group * distance**3).sum(1)[label >> start & len(group) - 1]
        start += count
    return standardised(third, read_moments(fmt, fault)[1], 3)


def _explained_variances(values: Floats, law: WordLaw) -> list[Floats]:
    """Var(E[value | bit as read]) for each bit, each of shape (2**bits,)."""
    label, explained, start = np.arange(len(values)), [], 0
    for number, group in enumerate(law.groups):
        for position in range(len(group).bit_length() - 1):
            one = np.arange(len(group)) >> position & 1
            means, chances = [], []
            for read in (group * (1 - one), group * one):
                chance = read.sum(1)
                # If a bit is never read so, there is no conditional mean; any will do, since it is weighted by 0 below.
                given = read / np.where(chance > 0, chance, 1.0)[:, np.newaxis]
                means.append(_expectation(values, [*law.groups[:number], given, *law.groups[number + 1 :]]))
                chances.append(chance[label >> start & len(group) - 1])
            # Variance of a variable of two values, q (1 - q) (a - b)**2; E[x**2] - E[x]**2 cancels for rare errors.
            explained.append(chances[0] * chances[1] * (means[1] - means[0]) ** 2)
        start += len(group).bit_length() - 1
    return explained


def _expectation(values: Floats, groups: Sequence[Floats]) -> Floats:
    """Expected value read for each stored word, one group of bits after the other."""
    below = 1
    for group in groups:
        values = (group @ values.reshape(-1, len(group), below)).reshape(-1)
        below *= len(group)
    return values


def _bits_of(words: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    return words[:, np.newaxis] >> np.arange(bits) & 1
