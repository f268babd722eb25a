"""The shipped table of simulated block codes; `python -m tools.simulate_block_codes` makes it."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

import numpy as np
from scipy import special

from qtaml._files import from_json

TABLE = "block_codes.json"
# Shared equally by the bounds that make one: two of wrong blocks and one of the share of wrong bits (union bound).
_RISK = 0.05
# Fewest wrong blocks for a Student interval of the share of wrong bits: with fewer its quantile explodes, and a block
# alone has no standard deviation.
_ENOUGH = 5


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
    """A block code with its simulations, by ascending error rate.

    Between two of them the normal quantile of the rate of wrong blocks is a straight line in the capacity gap. Below
    the first nothing is extrapolated: its rates hold there too, since fewer errors are decoded no worse.
    """

    data_bits: int
    code_bits: int
    points: tuple[Measured, ...]

    def bound(self, p: float) -> float:
        """Upper confidence bound (95%, for each p by itself) of the rate of wrong data bits at error rate p, above 0.

        The bound of the rate of wrong blocks times that of the share of wrong bits in a wrong block, each at a third of
        the risk. On the way from one point to the next the quantile of the true rate is concave in the gap (a straight
        line, flatter where an error floor begins), so it lies above the chord between two bounds, and the rate below.
        The share is that of the next larger measured p: a block with more errors is not decoded better. Beyond the
        last point the bound is 1/2, or p.
        """
        if p > self.points[-1].p:
            return max(0.5, p)
        blocks, shares = self._upper
        return self._wrong_blocks(p, blocks) * shares[bisect_left(self._rates, p)]

    def estimate(self, p: float) -> tuple[float, float]:
        """Estimated rate of wrong blocks at error rate p, above 0, and share of wrong data bits in one.

        The share is interpolated between points of at least five wrong blocks, up to 1/2 at p = 1/2.
        """
        quantiles, shares = self._estimated
        return self._wrong_blocks(min(p, self._rates[-1]), quantiles), float(np.interp(p, *shares))

    def _wrong_blocks(self, p: float, quantiles: tuple[float, ...]) -> float:
        """Rate of wrong blocks at p, at most the last measured error rate, from normal quantiles at the points."""
        above = bisect_left(self._rates, p)
        first, second = quantiles[max(above - 1, 0)], quantiles[above]
        if above == 0 or second == math.inf:
            # At infinity every block was wrong at the next point, so that its bound is 1.
            return float(special.ndtr(second))
        low, high = self._gaps[above - 1 : above + 1]
        way = (low - capacity_gap(p, self.data_bits, self.code_bits)) / (low - high)
        return float(special.ndtr(first + (second - first) * way))

    @cached_property
    def _rates(self) -> tuple[float, ...]:
        return tuple(point.p for point in self.points)

    @cached_property
    def _gaps(self) -> tuple[float, ...]:
        return tuple(capacity_gap(p, self.data_bits, self.code_bits) for p in self._rates)

    @cached_property
    def _upper(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Bounds at each point: quantiles of the rate of wrong blocks, and shares of wrong bits; ascending."""
        risk = _RISK / 3
        # Where few blocks were wrong the share is that of the next larger error rate with enough; without one, 1/2.
        shares = [
            next((one.wrong_share(risk) for one in self.points[i:] if one.wrong >= _ENOUGH), 0.5)
            for i in range(len(self.points))
        ]
        return _quantiles([point.wrong_words(risk) for point in self.points]), _ascending(shares)

    @cached_property
    def _estimated(self) -> tuple[tuple[float, ...], tuple[tuple[float, ...], tuple[float, ...]]]:
        """Estimates: quantiles of the rate of wrong blocks at each point; error rates with the share of wrong bits."""
        # Half a wrong block more than were seen: a rate of 0 has no quantile.
        rates = [(point.wrong + 0.5) / (point.words + 1) for point in self.points]
        enough = [point for point in self.points if point.wrong >= _ENOUGH]
        shares = _ascending([*(point.share for point in enough), 0.5])
        return _quantiles(rates), ((*(point.p for point in enough), 0.5), shares)


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
