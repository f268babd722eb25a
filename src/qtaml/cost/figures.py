"""One number of hardware, and where it comes from."""

from dataclasses import dataclass

from qtaml import _checks
from qtaml.errors import ArgumentError


@dataclass(frozen=True)
class Figure:
    """A number, or a range of them, with its source.

    Args:
        value: the number, or the low end of the range, at least 0.
        source: where it was read, and how: [R] read in a source, [A] in an abstract only, [M] measured once with a
            script that is not kept.
        high: the high end of a range; `value` if not given.

    Raises:
        ArgumentError: if a number is below 0, the range is empty, or there is no source.

    Example:
        >>> print(Figure(0.16, "a data sheet"), Figure(0.64, "a paper", high=0.96))
        0.16 0.64 to 0.96
    """

    value: float
    source: str
    high: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checks.non_negative("value", self.value))
        high = self.value if self.high is None else _checks.at_least("high", self.high, self.value)
        object.__setattr__(self, "high", high)
        if not self.source.strip():
            raise ArgumentError(f"source must say where the number comes from, got {self.source!r}")

    @property
    def top(self) -> float:
        """The high end."""
        return self.value if self.high is None else self.high

    def times(self, factor: float) -> "Figure":
        """The figure times a factor of at least 0."""
        return Figure(self.value * factor, self.source, self.top * factor)

    def __str__(self) -> str:
        return f"{self.value:.4g}" if self.top == self.value else f"{self.value:.4g} to {self.top:.4g}"
