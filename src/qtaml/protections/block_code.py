"""LDPC codes near capacity, with residual rates from simulation."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Self

from qtaml.errors import ArgumentError
from qtaml.protections.base import BitProtection, Decoder
from qtaml.protections.block_codes import MeasuredCode, block_code_table


@dataclass(frozen=True)
class BlockCode(BitProtection):
    """A 5G LDPC code of the shipped table, decoded by belief propagation.

    The residual rate is an upper confidence bound (95%) from simulation, at the smallest error rate of the table that
    is at least (p01 + p10)/2. Beyond the largest measured rate it is max(1/2, p). Wrong bits come in bursts, a block at
    a time; the rate is the mean over blocks.

    Attributes:
        data_bits: k, information bits of a block.
        code_bits: n, stored bits of a block.

    Raises:
        ArgumentError: if the table has no such code.

    Source:
        theory.md 5.3; `python -m tools.simulate_block_codes` makes the table.

    Example:
        >>> code = BlockCode(1000, 2480)
        >>> code.cells, code.cells_for(1001)
        (2.48, 4960)
        >>> code.residual(0.1, 0.1)[0] < 1e-3 < code.residual(0.2, 0.2)[0]
        True
    """

    data_bits: int
    code_bits: int
    kind: Literal["block_code"] = field(default="block_code", repr=False)

    def __post_init__(self) -> None:
        size = (self.data_bits, self.code_bits)
        if size not in _by_size():
            raise ArgumentError(f"a block code must be one of {list(_by_size())}, got {size}")

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """All of the shipped table."""
        return tuple(cls(*size) for size in _by_size())

    @property
    def measured(self) -> MeasuredCode:
        """Simulation results of the code, from the shipped table."""
        return _by_size()[self.data_bits, self.code_bits]

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return self.data_bits, self.code_bits

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
        p = float(p01 + p10) / 2
        # The bound of the first measured rate would hold, but nothing is wrong without errors.
        if p == 0:
            return 0.0, 0.0
        # Rounded up to a measured rate: the residual grows with p, so the bound there holds here; a value interpolated
        # between two bounds would not be one.
        known = self.measured
        bound = next((b for b, point in zip(known.bounds, known.points, strict=True) if point.p >= p), max(0.5, p))
        return bound, bound


@lru_cache(maxsize=1)
def _by_size() -> dict[tuple[int, int], MeasuredCode]:
    return {(code.data_bits, code.code_bits): code for code in block_code_table().codes}
