"""The table of measured block codes that ships with the package; `simulate_block_codes` makes it."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

import numpy as np
from scipy import stats

from qtaml._files import from_json

TABLE = "block_codes.json"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Measured:
    """What a decoder made of random blocks at one error rate.

    Attributes:
        p: rate of the errors of the stored bits.
        words: blocks decoded.
        shares: for each block with a wrong data bit, the share of its data bits that was wrong.
    """

    p: float
    words: int
    shares: tuple[float, ...]

    @cached_property
    def bound(self) -> float:
        """Upper confidence bound (95%) of the rate of wrong data bits.

        The bound of the rate of wrong blocks (Clopper and Pearson) times that of the mean share of wrong bits in one
        (Student, from five wrong blocks on; never above one half), each at half of the risk. Where no block was wrong
        the share is one half, and the blocks take the whole risk.

        Example:
            >>> f"{Measured(0.1, 15000, ()).bound:.1e}"
            '1.0e-04'
        """
        wrong, risk = len(self.shares), 1 - CONFIDENCE
        if wrong < 5:
            return 0.5 * self._words_bound(risk)
        mean, error = np.mean(self.shares), np.std(self.shares, ddof=1) / np.sqrt(wrong)
        return min(0.5, float(mean + error * stats.t.ppf(1 - risk / 2, wrong - 1))) * self._words_bound(risk / 2)

    def _words_bound(self, risk: float) -> float:
        wrong = len(self.shares)
        return 1.0 if wrong == self.words else float(stats.beta.ppf(1 - risk, wrong + 1, self.words - wrong))


@dataclass(frozen=True)
class MeasuredCode:
    """A block code with what was measured of it, by ascending error rate."""

    data_bits: int
    code_bits: int
    points: tuple[Measured, ...]


@dataclass(frozen=True)
class BlockCodeTable:
    """All measured codes, and what measured them."""

    decoder: str
    seed: int
    codes: tuple[MeasuredCode, ...]


@lru_cache(maxsize=1)
def block_code_table() -> BlockCodeTable:
    """The table that ships with the package."""
    text = resources.files("qtaml.formats.protections").joinpath(TABLE).read_text(encoding="utf-8")
    return from_json(BlockCodeTable, text, TABLE)
