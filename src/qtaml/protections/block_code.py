"""LDPC codes near capacity, with residual rates from simulation."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Self, TypeVar

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.protections.base import BitProtection, Bursts, Decoder
from qtaml.protections.block_codes import CodeRates, all_rates, block_code_table, lifting

_Code = TypeVar("_Code", bound="BlockCode")


@dataclass(frozen=True)
class BlockCode(BitProtection):
    """A 5G LDPC code of the shipped table, decoded by belief propagation.

    Two kinds of rate, both for any (p01 + p10)/2 by interpolation between simulated points: `residual` is an upper
    confidence bound (95%), which plans reckon with; `as_read` has the estimate, at which reads draw errors. Wrong bits
    come in bursts, a block at a time; the rate is the mean over blocks.

    Attributes:
        data_bits: k, information bits of a block.
        code_bits: n, stored bits of a block: a length of the table, or one of those between, at most 0.6% apart.

    Raises:
        ArgumentError: if there is no such code.

    Source:
        theory.md 5.3; `python -m tools.simulate_block_codes` makes the table.

    Example:
        >>> code = BlockCode(1000, 2480)
        >>> code.cells, code.cells_for(1001)
        (2.48, 4168)
        >>> code.as_read.residual(0.1, 0.1) < code.residual(0.1, 0.1) < code.residual(0.11, 0.11)
        True
    """

    data_bits: int
    code_bits: int
    kind: Literal["block_code"] = field(default="block_code", repr=False)

    def __post_init__(self) -> None:
        if (self.data_bits, self.code_bits) not in _by_size():
            # The table is too long for a message: the nearest codes of the nearest number of data bits.
            near = sorted(_by_size(), key=lambda size: _distance(size, (self.data_bits, self.code_bits)))[:4]
            raise ArgumentError(
                f"a block code must be one of the table, such as {near}, got {(self.data_bits, self.code_bits)}"
            )

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """All of the shipped table."""
        return _all_of(cls)

    @property
    def rates(self) -> CodeRates:
        """Bounds and estimates of its rates, from the shipped table."""
        return _by_size()[self.data_bits, self.code_bits]

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return self.data_bits, self.code_bits

    @property
    def hidden_bits(self) -> int:
        """5G never stores the first two groups of data bits."""
        return 2 * lifting(self.data_bits)

    @property
    def is_bound(self) -> bool:
        """The residual rates are upper confidence bounds."""
        return True

    @property
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""
        return "iterative"

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Upper bounds of the error rates of a data bit, from those of a raw cell."""
        p = (_checks.probability("p01", p01) + _checks.probability("p10", p10)) / 2
        # The bound of the first measured rate would hold, but nothing is wrong without errors.
        bound = _bound(self, p) if p else 0.0
        return bound, bound

    def any_wrong(self, bits: int, p01: float, p10: float) -> float:
        """Upper bound of the probability that any of so many neighbouring data bits is wrong."""
        p = (_checks.probability("p01", p01) + _checks.probability("p10", p10)) / 2
        return _of_blocks(self.rates.wrong_blocks(p) if p else 0.0, bits, self.data_bits)

    @property
    def as_read(self) -> BitProtection:
        """The same code with the estimated rates, and its wrong bits in bursts."""
        return _AsRead(self)


@dataclass(frozen=True)
class _AsRead(BitProtection):
    """A block code as it is believed to read, not as a plan has to reckon with."""

    code: BlockCode

    @property
    def block(self) -> tuple[int, float]:
        return self.code.block

    @property
    def hidden_bits(self) -> int:
        return self.code.hidden_bits

    @property
    def decoder(self) -> Decoder:
        return self.code.decoder

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        rate = self.bursts(p01, p10).rate
        return rate, rate

    def bursts(self, p01: float, p10: float) -> Bursts:
        p = float(p01 + p10) / 2
        wrong, share = self.code.rates.estimate(p) if p else (0.0, 0.0)
        return Bursts(self.code.data_bits, wrong, share)

    def any_wrong(self, bits: int, p01: float, p10: float) -> float:
        return _of_blocks(self.bursts(p01, p10).wrong, bits, self.code.data_bits)


def _of_blocks(wrong: float, bits: int, data_bits: int) -> float:
    """At most: so many bits from any place on meet so many blocks on average."""
    return min(1.0, wrong * (1 + (bits - 1) / data_bits))


def _distance(size: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return abs(size[0] - other[0]), abs(size[1] - other[1])


# Cached: checked once, not each time that a menu is made.
@lru_cache(maxsize=2)
def _all_of(family: type[_Code]) -> tuple[_Code, ...]:
    return tuple(family(*size) for size in _by_size())


# Cached: a menu asks every code, and cells of many classes ask for the same mean rate.
@lru_cache(maxsize=1 << 14)
def _bound(code: BlockCode, p: float) -> float:
    return code.rates.bound(p)


@lru_cache(maxsize=1)
def _by_size() -> dict[tuple[int, int], CodeRates]:
    return {(one.data_bits, one.code_bits): one for one in all_rates(block_code_table().codes)}
