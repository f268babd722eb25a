"""How one stored bit is protected: what it costs in cells, and how often it is still read wrong."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True)
class Raw:
    """A plain cell: one cell a bit, read wrong as often as the cell fails.

    Example:
        >>> Raw().cells, Raw().residual(0.1, 0.2)
        (1, (0.1, 0.2))
    """

    kind: Literal["raw"] = field(default="raw", repr=False)

    @property
    def cells(self) -> int:
        """Memory cells that one data bit takes."""
        return 1

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the protected bit, from those of a raw cell."""
        return p01, p10


@dataclass(frozen=True)
class Ideal:
    """The paper's ideal error-correcting code: one data cell and one code cell a bit, never read wrong.

    The price is the paper's own accounting, in which the ECC overhead is the protected share of the bits
    (section 5.2); `theory.md` 5.4 says what a real code costs.

    Example:
        >>> Ideal().cells, Ideal().residual(0.1, 0.1)
        (2, (0.0, 0.0))
    """

    kind: Literal["ideal"] = field(default="ideal", repr=False)

    @property
    def cells(self) -> int:
        """Memory cells that one data bit takes."""
        return 2

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the protected bit, from those of a raw cell."""
        return 0.0, 0.0


Protection = Annotated[Raw | Ideal, Field(discriminator="kind")]
"""Any protection; a new one is one more class here."""
