"""Protections without a decoder: the raw cell, a better cell, and the paper's ideal code."""

from dataclasses import dataclass, field
from typing import Literal, Self

from qtaml import _checks
from qtaml.device import RetentionCell
from qtaml.protections.base import BitProtection, Decoder


@dataclass(frozen=True)
class Raw(BitProtection):
    """A plain cell: a cell for each bit, with the error rates of the cell.

    Example:
        >>> Raw().cells, Raw().residual(0.1, 0.2)
        (1, (0.1, 0.2))
    """

    kind: Literal["raw"] = field(default="raw", repr=False)

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """The raw cell."""
        return (cls(),)

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return 1, 1

    @property
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""
        return "none"

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the protected bit, from those of a raw cell."""
        return p01, p10


@dataclass(frozen=True)
class Ideal(BitProtection):
    """The paper's ideal error-correcting code: a data cell and a code cell for each bit, never read wrong.

    The price is the paper's own accounting, in which the ECC overhead is the protected share of the bits (section 5.2).
    A real code of rate R takes 1/R - 1 extra cells for each protected bit (`theory.md` 5.4).

    Example:
        >>> Ideal().cells, Ideal().residual(0.1, 0.1)
        (2, (0.0, 0.0))
    """

    kind: Literal["ideal"] = field(default="ideal", repr=False)

    @classmethod
    def candidates(cls, p01: float, p10: float) -> tuple[Self, ...]:
        """The paper's code."""
        return (cls(),)

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return 1, 2

    @property
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""
        return "ideal"

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the protected bit, from those of a raw cell."""
        return 0.0, 0.0


@dataclass(frozen=True)
class HardenedCell(BitProtection):
    """A larger cell, one with a thicker barrier, or one that is refreshed more often, with error rates of its own.

    The rates are those of the window for which the cell was made, whatever the fault model of the plain cells.

    Attributes:
        area: in plain cells.
        p01: probability of reading 1 where 0 is stored.
        p10: probability of reading 0 where 1 is stored.
        refreshes: for each one of a plain cell.

    Raises:
        ArgumentError: if the area or the refreshes are not above 0, or a rate is no probability.

    Source:
        theory.md 2.7.

    Example:
        >>> HardenedCell(3.0, 0.018, 0.018).residual(0.1, 0.1)  # whatever a plain cell does
        (0.018, 0.018)
    """

    area: float
    p01: float
    p10: float
    refreshes: float = 1.0
    kind: Literal["hardened_cell"] = field(default="hardened_cell", repr=False)

    def __post_init__(self) -> None:
        # Stored as floats: 3 and 3.0 are equal, but would be written differently into a plan.
        object.__setattr__(self, "area", _checks.positive("area", self.area))
        object.__setattr__(self, "p01", _checks.probability("p01", self.p01))
        object.__setattr__(self, "p10", _checks.probability("p10", self.p10))
        object.__setattr__(self, "refreshes", _checks.positive("refreshes", self.refreshes))

    @staticmethod
    def from_cell(cell: RetentionCell, window: float, *, area: float, charged: int | None = None) -> "HardenedCell":
        """The protection by a cell of `qtaml.device`: p01 = p10 = p(window), or 0 for the bit that cannot be lost.

        Args:
            cell: as hardened, such as the `cell` of `qtaml.device.larger_cells` or `thicker_barriers`.
            window: time between refreshes, in seconds.
            area: in plain cells.
            charged: the bit that a charged cell stands for: only that bit can be lost. None for the paper's symmetric
                errors.

        Raises:
            ArgumentError: if the window or the area is not above 0, or `charged` is no bit.

        Example:
            >>> from qtaml.device import Cell, Rectangular, larger_cells
            >>> plain = Cell(Rectangular(3.15, 2.0, 0.42), 100, 50, 1e13)
            >>> window = plain.window_for(0.1)
            >>> (triple,) = larger_cells(plain, window, [3])
            >>> hardened = HardenedCell.from_cell(triple.cell, window, area=triple.cost)
            >>> hardened.cells, round(hardened.p01, 3)
            (3.0, 0.018)
        """
        if charged is not None:
            _checks.integer("charged", charged, 0, 1)
        p = cell.flip_probability(window)
        return HardenedCell(area, 0.0 if charged == 1 else p, 0.0 if charged == 0 else p)

    @property
    def block(self) -> tuple[int, float]:
        """Data bits that are stored together, and the memory cells that they take."""
        return 1, self.area

    @property
    def refresh_rate(self) -> float:
        """Refreshes of its cells for each one of a plain cell."""
        return self.refreshes

    @property
    def decoder(self) -> Decoder:
        """Class of decoder that reads it."""
        return "none"

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the protected bit; those of a raw cell do not matter."""
        return self.p01, self.p10
