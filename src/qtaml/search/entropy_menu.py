"""Entropy-coded formats for the weights of a tensor: quantisers by falling price of a bit, each behind block codes."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from qtaml.faults import FaultModel
from qtaml.formats import EntropyLevels, Format
from qtaml.formats.entropy_block import SHARE_BITS
from qtaml.protections import BlockCode, Protection
from qtaml.search.candidates import Candidate, kept_values
from qtaml.search.histogram import Histogram

Floats = NDArray[np.float64]

_PRICES = np.geomspace(1.0, 1e-5, 40)
"""Prices of a bit, in units of the mean square: quantisers of about 0.1 to 8 bits a weight."""
_STEPS, _MOST_STEPS, _ROUNDS, _SETTLED = (1.2, 2.4), 127, 60, 1e-6
"""Steps around zero of the levels that a fit begins from, over the root of the price; the most on a side."""
_FEWEST_BYTES = 250
"""Of a block: check sum and state take six."""
_MOST_LOST, _GAIN = 0.05, 0.5
"""Largest share of lost blocks, and least factor between those of two codes."""


class Quantiser(NamedTuple):
    """Values, the share of the weights that each stands for, and the mean squared error."""

    values: Floats
    shares: Floats
    error: float

    @property
    def bits(self) -> float:
        """Entropy of a label."""
        return float(-self.shares @ np.log2(self.shares))


def entropy_menu(
    weights: Histogram, protections: Sequence[Protection], fault: FaultModel, size: int
) -> list[Candidate]:
    """Entropy-coded formats for a tensor, all bits behind one code; none where it does not fill a block.

    Args:
        weights: in units of the scale.
        protections: to choose from, of which only block codes serve: a wrong bit loses a block.
        fault: how the memory fails.
        size: weights of the tensor.

    Source:
        theory.md 6.13.
    """
    codes = _codes(protections, fault)
    power = weights.mean**2 + weights.variance
    found = []
    for quantiser in quantisers(weights) if codes and power > 0 else ():
        for code in codes:
            levels = _levels(quantiser, max(code.data_bits // 8, _FEWEST_BYTES))
            if levels and levels.block_weights <= size:
                fmt = Format(levels, (code,) * levels.bits)
                lost = fmt.lost_blocks(fault)
                kept = power - quantiser.error
                error = (1 - lost) * quantiser.error + lost * power
                found.append(Candidate(fmt, error, 1 - (1 - lost) * kept / power))
    return found


def quantisers(weights: Histogram) -> list[Quantiser]:
    """Entropy-constrained quantisers, of least error + price x entropy for ever lower prices of a bit.

    By turns, as in 6.1: the label of each weight by error + price x length of its code, then values and lengths.

    Source:
        Chou, Lookabaugh, Gray 1989; theory.md 6.13.
    """
    shares = weights.counts / weights.counts.sum()
    cumulated = np.zeros((2, len(shares) + 1))
    np.cumsum(shares, out=cumulated[0, 1:])
    np.cumsum(shares * weights.points, out=cumulated[1, 1:])
    power, found = weights.mean**2 + weights.variance, list[Quantiser]()
    for price in _PRICES * power:
        tried = [_settled(weights, cumulated, power, price, step * math.sqrt(price)) for step in _STEPS]
        best = min(tried, key=lambda one: one.error + price * one.bits)
        if len(best.values) > 1 and (not found or best.error < found[-1].error):
            found.append(best)
    return found


def _settled(weights: Histogram, cumulated: Floats, power: float, price: float, step: float) -> Quantiser:
    # Compiled with Numba, which takes long to import.
    from qtaml.search import loops

    values = _spread(step, float(np.abs(weights.points).max()))
    lengths, before = np.full(len(values), math.log2(len(values))), math.inf
    for _ in range(_ROUNDS):
        thresholds, _ = loops.envelope(values, values**2 + price * lengths)
        held, sums = loops.cut(weights.points, cumulated, thresholds)
        filled = held > 0
        values, shares = sums[filled] / held[filled], held[filled]
        lengths = -np.log2(shares)
        error = power - float(shares @ values**2)
        cost = error + price * float(shares @ lengths)
        if before - cost <= _SETTLED * cost:
            break
        before = cost
    return Quantiser(values, shares, max(error, 0.0))


def _spread(step: float, reach: float) -> Floats:
    """Levels a step apart around zero; farther apart in the tails, where few weights lie, if they would be too many."""
    ratio = reach / step
    most = min(math.ceil(ratio), _MOST_STEPS)
    places = np.arange(-most, most + 1.0)
    if ratio <= _MOST_STEPS:
        return step * places
    growth = scipy.optimize.brentq(lambda rate: math.sinh(_MOST_STEPS * rate) / rate - ratio, 1e-6, 1.0)
    return step * np.sinh(growth * places) / growth


def _levels(quantiser: Quantiser, block_bytes: int) -> EntropyLevels | None:
    """Levels whose blocks hold as many weights as fit on average; None if more than one bit a weight is left over."""
    values = kept_values(quantiser.values)
    if len(np.unique(values)) < len(values):
        return None
    counts = _counts(quantiser.shares)
    bits = float(quantiser.shares @ (SHARE_BITS - np.log2(counts)))
    weights = EntropyLevels.weights_of_block(block_bytes, bits)
    # With a byte more in each block, since parts of a tensor are rounded up to bytes, the words fit in the same places.
    if weights < block_bytes or -(-8 * (block_bytes + 1) // weights) > -(-8 * block_bytes // weights):
        return None
    return EntropyLevels(tuple(values.tolist()), tuple(counts.tolist()), weights, block_bytes)


def _counts(shares: Floats) -> NDArray[np.int64]:
    """Shares as whole numbers of at least 1 that sum to 2**12: what is too much comes off the largest, one each."""
    counts: NDArray[np.int64] = np.maximum(np.rint(shares * 2**SHARE_BITS).astype(np.int64), 1)
    while excess := int(counts.sum()) - 2**SHARE_BITS:
        counts[np.argsort(-counts, kind="stable")[: min(abs(excess), np.count_nonzero(counts > 1))]] -= np.sign(excess)
    return counts


def _codes(protections: Sequence[Protection], fault: FaultModel) -> list[BlockCode]:
    """Codes behind which few blocks are lost: each loses at most half as many as all that are cheaper."""
    found, least = list[BlockCode](), _MOST_LOST
    for code in sorted((one for one in protections if isinstance(one, BlockCode)), key=lambda one: one.cells):
        lost = code.any_wrong(max(code.data_bits, 8 * _FEWEST_BYTES), *fault.mean_rates)
        if lost <= least:
            found.append(code)
            least = lost * _GAIN
    return found
