"""The shipped table of simulated block codes; `python -m tools.simulate_block_codes` makes it."""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from itertools import pairwise

import numpy as np
from scipy import special

from qtaml._files import from_json

TABLE = "block_codes.json"
# Of each bound. At most six make one, which then holds with 95% (union bound): wrong blocks at two error rates, and the
# share of wrong bits, of two codes.
_RISK = 0.05 / 6
# Fewest wrong blocks for a Student interval of the share of wrong bits: with fewer its quantile explodes, and a block
# alone has no standard deviation.
_ENOUGH = 5
# The most data bits of the smaller graph of 5G.
SMALLER_GRAPH = 3840
# Groups of data bits in the smaller graph, above so many bits; and the sizes that groups may have.
_GROUPS = ((640, 10), (560, 9), (192, 8), (0, 6))
_LIFTINGS = [odd << power for odd in (2, 3, 5, 7, 9, 11, 13, 15) for power in range(8) if odd << power <= 384]
# Logarithm of the ratio of neighbouring lengths.
_STEP = 0.006


@lru_cache(maxsize=64)
def lifting(data_bits: int) -> int:
    """Data bits of a group in the smaller graph of 5G, and of the larger one where that is too small.

    At a high rate 5G takes the larger graph for few data bits too, whose groups are smaller.

    Args:
        data_bits: k of a block.

    Source:
        3GPP TS 38.212, 5.2.2.

    Example:
        >>> lifting(1000), lifting(8448)
        (104, 384)
    """
    groups = 22 if data_bits > SMALLER_GRAPH else next(g for most, g in _GROUPS if data_bits > most)
    return min(size for size in _LIFTINGS if groups * size >= data_bits)


def capacity_gap(p: float, data_bits: int, code_bits: int) -> float:
    """How far the capacity of a block lies above its data, in standard deviations of what its cells tell.

    (n C(p) - k) / sqrt(n V(p)), with V the variance of the information of a cell: the normal approximation of block
    codes, in which the best code has a rate of wrong blocks of about Phi(-gap).

    Args:
        p: rate of the errors of the stored bits, above 0 and below 1/2.
        data_bits: k.
        code_bits: n.

    Source:
        theory.md 5.3; Polyanskiy, Poor and Verdu 2010.

    Example:
        >>> round(capacity_gap(0.1, 1000, 2480), 2)
        6.69
    """
    # Written out: `binary_entropy` of the room above takes arrays, and this is asked thousands of times.
    slope = math.log2((1 - p) / p)
    capacity = 1 + math.log2(1 - p) - p * slope
    return (code_bits * capacity - data_bits) / (slope * math.sqrt(code_bits * p * (1 - p)))


@dataclass(frozen=True)
class Measured:
    """Simulation of a decoder on random blocks at one error rate.

    Attributes:
        p: rate of the errors of the stored bits.
        words: blocks decoded.
        wrong: blocks with a wrong data bit.
        share: mean share of the data bits that is wrong in such a block; 0 without one.
        spread: standard deviation of that share.
    """

    p: float
    words: int
    wrong: int
    share: float
    spread: float

    def wrong_words(self, risk: float) -> float:
        """Upper bound of the rate of wrong blocks (Clopper-Pearson): Beta quantile 1 - risk of (wrong + 1, right).

        Example:
            >>> f"{Measured(0.1, 3000, 0, 0.0, 0.0).wrong_words(0.05):.1e}"
            '1.0e-03'
        """
        right = self.words - self.wrong
        return float(special.betaincinv(self.wrong + 1, right, 1 - risk)) if right else 1.0

    def wrong_share(self, risk: float) -> float:
        """Upper bound of the mean share of wrong bits in a wrong block: mean + t x standard error, at most 1/2."""
        error = self.spread / math.sqrt(self.wrong)
        return min(0.5, self.share + error * float(special.stdtrit(self.wrong - 1, 1 - risk)))


@dataclass(frozen=True)
class MeasuredCode:
    """A block code with its simulations, by ascending error rate."""

    data_bits: int
    code_bits: int
    points: tuple[Measured, ...]

    def upper(self, gap: float) -> tuple[float, float]:
        """Upper bounds at a capacity gap: normal quantile of the rate of wrong blocks, and share of wrong bits in one.

        Between two points the quantile is a straight line in the gap. Below the first error rate nothing is
        extrapolated: its bounds hold there too, since fewer errors are decoded no worse. The share is that of the next
        larger measured error rate: a block with more errors is not decoded better. Infinity and 1/2 beyond the last.
        """
        place = self._next_point(gap)
        if place == len(self.points):
            return math.inf, 0.5
        quantiles, shares = self._upper
        return self._line(gap, place, quantiles), shares[place]

    def estimated(self, gap: float, p: float) -> tuple[float, float]:
        """Estimates at a capacity gap: as `upper`, but the share too is interpolated, up to 1/2 at p = 1/2."""
        place, (quantiles, shares) = self._next_point(gap), self._estimated
        if place < len(self.points):
            return self._line(gap, place, quantiles), self._line(gap, place, shares)
        last = self.points[-1].p
        return quantiles[-1], shares[-1] + (0.5 - shares[-1]) * min(1.0, max(0.0, (p - last) / (0.5 - last)))

    def _next_point(self, gap: float) -> int:
        """Index of the first point of no larger gap, so of no smaller error rate."""
        return bisect_left(self._gaps, -gap, key=lambda at: -at)

    def _line(self, gap: float, place: int, values: tuple[float, ...]) -> float:
        first, second = values[max(place - 1, 0)], values[place]
        # At infinity every block was wrong at the next point, so that its bound is 1.
        if place == 0 or second == math.inf:
            return second
        low, high = self._gaps[place - 1 : place + 1]
        return first + (second - first) * (low - gap) / (low - high)

    @cached_property
    def _gaps(self) -> tuple[float, ...]:
        return tuple(capacity_gap(point.p, self.data_bits, self.code_bits) for point in self.points)

    @cached_property
    def _upper(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Bounds at each point: quantiles of the rate of wrong blocks, and shares of wrong bits; ascending."""
        # Where few blocks were wrong the share is that of the next larger error rate with enough; without one, 1/2.
        shares = [
            next((one.wrong_share(_RISK) for one in self.points[i:] if one.wrong >= _ENOUGH), 0.5)
            for i in range(len(self.points))
        ]
        return _quantiles([point.wrong_words(_RISK) for point in self.points]), _ascending(shares)

    @cached_property
    def _estimated(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Estimates at each point: quantiles of the rate of wrong blocks, and shares of wrong bits; ascending."""
        # Half a wrong block more than were seen: a rate of 0 has no quantile.
        rates = [(point.wrong + 0.5) / (point.words + 1) for point in self.points]
        shares = [
            next((one.share for one in self.points[i:] if one.wrong >= _ENOUGH), 0.5) for i in range(len(self.points))
        ]
        return _quantiles(rates), _ascending(shares)


@dataclass(frozen=True)
class CodeRates:
    """Rates of a block code of any error rate: measured ones, or those between the next shorter and longer code.

    Attributes:
        data_bits: k.
        code_bits: n.
        parts: measured codes of the same k, and their weights, which sum to 1.
    """

    data_bits: int
    code_bits: int
    parts: tuple[tuple[MeasuredCode, float], ...]

    def bound(self, p: float) -> float:
        """Upper confidence bound (95%, for each p by itself) of the rate of wrong data bits at error rate p, above 0.

        The bound of the rate of wrong blocks times that of the share of wrong bits in a wrong block. The quantile of
        the true rate is concave in the gap (a straight line, flatter where an error floor begins), and in the length at
        one gap, so it lies above the chords between bounds, and the rate below. Beyond the last points it is 1/2, or p.
        """
        gap = capacity_gap(p, self.data_bits, self.code_bits) if p < 0.5 else -math.inf
        ends = [(part.upper(gap), weight) for part, weight in self.parts]
        quantile = sum(weight * quantile for (quantile, _), weight in ends)
        if quantile == math.inf and max(share for (_, share), _ in ends) == 0.5:
            return max(0.5, p)
        return float(special.ndtr(quantile)) * max(share for (_, share), _ in ends)

    def wrong_blocks(self, p: float) -> float:
        """Upper confidence bound of the rate of wrong blocks at error rate p, above 0; as `bound`."""
        gap = capacity_gap(p, self.data_bits, self.code_bits) if p < 0.5 else -math.inf
        return float(special.ndtr(sum(weight * part.upper(gap)[0] for part, weight in self.parts)))

    def estimate(self, p: float) -> tuple[float, float]:
        """Estimated rate of wrong blocks at error rate p, above 0, and share of wrong data bits in one."""
        gap = capacity_gap(p, self.data_bits, self.code_bits) if p < 0.5 else -math.inf
        ends = [(part.estimated(gap, p), weight) for part, weight in self.parts]
        quantile, share = (sum(weight * both[i] for both, weight in ends) for i in (0, 1))
        return float(special.ndtr(quantile)), share


def _ascending(values: list[float]) -> tuple[float, ...]:
    """The largest so far: chance may put a larger rate at fewer errors, which then holds for more errors too."""
    return tuple(np.maximum.accumulate(values).tolist())


def _quantiles(rates: list[float]) -> tuple[float, ...]:
    return tuple(special.ndtri(_ascending(rates)).tolist())


@dataclass(frozen=True)
class BlockCodeTable:
    """All simulated codes, with the decoder and the seed of the simulation."""

    decoder: str
    seed: int
    codes: tuple[MeasuredCode, ...]


@lru_cache(maxsize=1)
def block_code_table() -> BlockCodeTable:
    """The table that ships with the package."""
    text = resources.files("qtaml.protections").joinpath(TABLE).read_text(encoding="utf-8")
    return from_json(BlockCodeTable, text, TABLE)


def all_rates(codes: Sequence[MeasuredCode]) -> Iterator[CodeRates]:
    """Rates of codes, and of others between neighbours of the same k, in steps of at most 0.6% of the length.

    None between two codes of different graphs, which are different families.
    """
    for code in codes:
        yield CodeRates(code.data_bits, code.code_bits, ((code, 1.0),))
    for low, high in pairwise(sorted(codes, key=lambda code: (code.data_bits, code.code_bits))):
        if low.data_bits == high.data_bits and _graph(low) == _graph(high):
            yield from _between(low, high)


def _between(low: MeasuredCode, high: MeasuredCode) -> Iterator[CodeRates]:
    first, last = low.code_bits, high.code_bits
    steps = math.ceil(math.log(last / first) / _STEP)
    lengths = {round(first * (last / first) ** (step / steps)) for step in range(1, steps)} - {first, last}
    for length in sorted(lengths):
        weight = (length - first) / (last - first)
        yield CodeRates(low.data_bits, length, ((low, 1 - weight), (high, weight)))


def _graph(code: MeasuredCode) -> int:
    """Number of the graph of a 5G LDPC code (3GPP TS 38.212, 7.2.2, for the sizes of the table)."""
    return 1 if code.data_bits > SMALLER_GRAPH or code.data_bits > 0.67 * code.code_bits else 2
