"""The intervals of a metric, from its scores for each read and sample."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qtaml.errors import ArgumentError
from qtaml.measuring.caution import caution_of
from qtaml.measuring.intervals import crossed_interval, reads_interval
from qtaml.measuring.mean_intervals import UNBOUNDED, Bounds, Numbers
from qtaml.measuring.metrics import Metric


@dataclass(frozen=True)
class ScoreIntervals:
    """The intervals of a table of scores, shape (reads, samples).

    Attributes:
        metric: that gave them.
        proportion: whether each score is right or wrong.
        confidence: coverage, in (0, 1).
        errors_possible: whether any stored bit can be read wrong; asked only where no read differs.
    """

    metric: Metric
    proportion: bool
    confidence: float
    errors_possible: Callable[[], bool]

    def of_reads(self, table: Numbers) -> tuple[float, float]:
        """For other reads of these samples."""
        bounds, differ = bounds_of(self.metric, table), self._may_differ(table)
        answers = table.shape[1] if self._right_or_wrong(table) else None
        values = table.mean(1)
        low, high = reads_interval(values, self.confidence, bounds=bounds, answers=answers, reads_differ=differ)
        return float(low), float(high)

    def of_both(self, table: Numbers) -> tuple[float, float]:
        """For other reads of other samples."""
        bounds, differ = bounds_of(self.metric, table), self._may_differ(table)
        proportion = self._right_or_wrong(table)
        low, high = crossed_interval(table, self.confidence, proportion=proportion, bounds=bounds, reads_differ=differ)
        return float(low), float(high)

    def caution(self, table: Numbers) -> str:
        """Why the intervals may be too narrow."""
        if self._right_or_wrong(table):
            return ""
        return caution_of(table, bounds_of(self.metric, table), reads_differ=self._may_differ(table))

    def _right_or_wrong(self, table: Numbers) -> bool:
        """Whether each score is right or wrong; so are those of a metric of the user that are 0 or 1."""
        declared = getattr(self.metric, "bounds", None)
        shares = declared is None or tuple(declared) == (0, 1)
        return self.proportion or (shares and bool(np.isin(table, (0.0, 1.0)).all()))

    def _may_differ(self, table: Numbers) -> bool:
        """Whether reads do differ, or could have differed."""
        values = table.mean(1)
        return bool((values != values[0]).any()) or self.errors_possible()


def bounds_of(metric: Metric, scores: Numbers) -> Bounds:
    """The least and the greatest value of a metric: what its attribute `bounds` says, else mostly none."""
    least, most = float(scores.min()), float(scores.max())
    declared = getattr(metric, "bounds", None)
    if declared is None:
        # Where nothing varies, all that is left is what could have been: numbers in [0, 1] are taken for shares.
        return (0.0, 1.0) if least == most and 0 <= least <= 1 else UNBOUNDED
    try:
        low, high = map(float, declared)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"bounds of metric must be two numbers, got {declared!r}") from error
    slack = 1e-6 * max(1.0, abs(least), abs(most))
    if not (low < high and low - slack <= least and most <= high + slack):
        raise ArgumentError(f"metric must lie within its bounds {declared!r}, got values from {least:g} to {most:g}")
    # Rounding may carry a value past a bound.
    return min(low, least), max(high, most)
