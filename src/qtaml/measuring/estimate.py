"""A number with its confidence interval: the type of every measured number."""

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the number, mostly a mean.
        low: lower end of its interval.
        high: upper end.
        covers: what is drawn anew where the interval holds, such as "reads and test samples" or "trainings".
        caution: why the interval may be too narrow; empty if nothing says so.

    Example:
        >>> accuracy = Estimate(0.9512, 0.932, 0.964, "reads")
        >>> print(accuracy)
        0.9512 [0.932, 0.964]
        >>> f"{accuracy.scaled(100):.1f} % over {accuracy.covers}"
        '95.1 [93.2, 96.4] % over reads'
    """

    value: float
    low: float
    high: float
    covers: str
    caution: str = ""

    def __str__(self) -> str:
        """Number and interval to four digits."""
        return f"{self:.4g}"

    def __format__(self, form: str) -> str:
        """Number and interval, each in this format; `__str__` without one."""
        form = form or ".4g"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"

    def mapped(self, function: Callable[[float], float]) -> "Estimate":
        """The estimate of an increasing function of the number.

        Example:
            >>> Estimate(-0.1, -0.3, 0.1, "trainings").mapped(lambda value: max(value, 0.0)).low
            0.0
        """
        # Ends map to ends because the function is increasing: a decreasing one would exchange them.
        return replace(self, value=function(self.value), low=function(self.low), high=function(self.high))

    def scaled(self, factor: float) -> "Estimate":
        """Times a factor above 0, such as 100 for per cent."""
        return self.mapped(lambda value: factor * value)

    def within(self, least: float, most: float) -> "Estimate":
        """With the interval cut off at the least and the greatest possible value; the number itself is left."""
        return replace(self, low=max(self.low, least), high=min(self.high, most))
