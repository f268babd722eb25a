"""The shipped table of simulated block codes; `python -m tools.simulate_block_codes` makes it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

import numpy as np
import scipy

from qtaml._files import from_json

TABLE = "block_codes.json"
# Shared equally by two bounds, whose product then holds with 95% (union bound).
_RISK = 0.05
# Fewest wrong blocks for a Student interval of the share of wrong bits: with fewer its quantile explodes, and a block
# alone has no standard deviation.
_ENOUGH = 5


@dataclass(frozen=True)
class Measured:
    """Simulation of a decoder on random blocks at one error rate.

    Attributes:
        p: rate of the errors of the stored bits.
        words: blocks decoded.
        shares: for each block with a wrong data bit, the share of its data bits that was wrong.
    """

    p: float
    words: int
    shares: tuple[float, ...]

    def wrong_words(self, risk: float) -> float:
        """Upper bound of the rate of wrong blocks (Clopper-Pearson): Beta quantile 1 - risk of (wrong + 1, right).

        Example:
            >>> f"{Measured(0.1, 3000, ()).wrong_words(0.05):.1e}"
            '1.0e-03'
        """
        wrong = len(self.shares)
        return 1.0 if wrong == self.words else float(scipy.stats.beta.ppf(1 - risk, wrong + 1, self.words - wrong))

    def wrong_share(self, risk: float) -> float:
        """Upper bound of the mean share of wrong bits in a wrong block: mean + t x standard error, at most 1/2."""
        error = np.std(self.shares, ddof=1) / np.sqrt(len(self.shares))
        return min(0.5, float(np.mean(self.shares) + error * scipy.stats.t.ppf(1 - risk, len(self.shares) - 1)))


@dataclass(frozen=True)
class MeasuredCode:
    """A block code with its simulations, by ascending error rate."""

    data_bits: int
    code_bits: int
    points: tuple[Measured, ...]

    @cached_property
    def bounds(self) -> tuple[float, ...]:
        """Upper confidence bound (95%) of the rate of wrong data bits, at each of the points.

        The bound of the rate of wrong blocks times the bound of the share of wrong bits in a wrong block, each at half
        of the risk. Where fewer than five blocks were wrong, the share is that of the next larger error rate with at
        least five, since a block with more errors is not decoded better; without such a rate it is 1/2.
        """
        return tuple(
            point.wrong_words(_RISK / 2)
            * next((p.wrong_share(_RISK / 2) for p in self.points[i:] if len(p.shares) >= _ENOUGH), 0.5)
            for i, point in enumerate(self.points)
        )


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
