"""A metric of a stored network chip by chip: how many chips are good, and how sure we are."""

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
from rich.table import Table
from torch import nn

from qtaml import _checks, _files, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml._progress import track
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.metrics import Metric
from qtaml.measuring.reads_of_chips import chips_differ, values_of_chips, values_of_rewritten_chips
from qtaml.memory import Memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_READS = 10_000_000
"""Of all chips together: days, even for a small network."""


@dataclass(frozen=True)
class Yield:
    """A metric of each of many chips that hold the same stored network.

    Its statements are about other chips of the same kind on these very test samples. They assume nothing of how the
    values are distributed. The value of a chip is a mean over its reads, so that some of the spread over chips is that
    of the reads, the less the more there are of each.

    Attributes:
        values: the metric of each chip, mean over its reads.
        trials: reads of each chip.
        fault: how the memory failed; chip number c is `fault.of_chip` of a seed of its own.
        seed: seed of chips and errors.
        confidence: coverage of the intervals.
        unread: stored tensors that act on none of the inputs of the metric, so that their errors do not show.
        rewritten: each chip was written by a writer who knows its weak cells.
        versions: versions of what made the result.

    Example:
        >>> from qtaml.faults import Uniform
        >>> chips = Yield(tuple(map(float, range(100))), trials=1, fault=Uniform(0.1), seed=0, confidence=0.95)
        >>> print(f"{chips.share_above(20):.3f}")
        0.800 [0.708, 0.873]
        >>> print(chips.quantile(0.05))
        4 [0, 10]
        >>> chips.tolerance_bound(share=0.95, confidence=0.95)
        1.0
    """

    values: tuple[float, ...]
    trials: int
    fault: AnyFault
    seed: int
    confidence: float
    unread: tuple[str, ...] = ()
    rewritten: bool = False
    versions: dict[str, str] = field(default_factory=_files.versions)

    def quantile(self, share: float) -> Estimate:
        """The value that so large a share of the chips does not exceed, with an interval between two chips.

        The interval covers with at least the confidence asked, whatever the distribution. Where there are too few chips
        for an end of it, that is infinite.

        Args:
            share: between 0 and 1; 0.5 is the median, 0.05 what all but 5% of the chips exceed.

        Raises:
            ArgumentError: if `share` is out of its range.

        Source:
            theory.md 1.9; David and Nagaraja, Order Statistics, 2003, 7.1.
        """
        share, tail, ordered = _share(share), (1 - self.confidence) / 2, sorted(self.values)
        # N ~ Binomial(n, share) chips lie below the quantile. The chip of rank r exceeds it with P(N < r), and falls
        # short of it with P(N >= r): the least and the greatest of the ranks for which neither is above the tail.
        below = int(scipy.stats.binom.ppf(tail, len(ordered), share))
        above = int(scipy.stats.binom.isf(tail, len(ordered), share)) + 1
        return Estimate(
            float(np.quantile(ordered, share, method="inverted_cdf")),
            ordered[below - 1] if below >= 1 else -math.inf,
            ordered[above - 1] if above <= len(ordered) else math.inf,
            "chips",
        )

    def share_above(self, bar: float) -> Estimate:
        """The share of chips whose value is at least `bar`, with Clopper and Pearson's interval.

        Args:
            bar: such as 0.95 times the metric without errors.
        """
        bar = _checks.real("bar", bar)
        return _share_estimate(sum(value >= bar for value in self.values), len(self.values), self.confidence)

    def tolerance_bound(self, share: float = 0.95, confidence: float = 0.95, *, upper: bool = False) -> float:
        """A value that at least so large a share of all chips reaches: one-sided, without assumptions.

        It is the value of one of the chips: the largest for which the statement holds with the confidence asked.

        Args:
            share: share of the chips, between 0 and 1.
            confidence: how often such statements are true, between 0 and 1.
            upper: the value that the chips do not exceed, for metrics of which less is better.

        Raises:
            ArgumentError: if a number is out of its range, or there are too few chips; the message says how many it
                takes.

        Source:
            theory.md 1.9; Wilks, Annals of Mathematical Statistics 12, 1941.
        """
        needed = chips_needed(share, confidence)
        if len(self.values) < needed:
            raise ArgumentError(
                f"chips must be at least {needed} for a bound that {share:.6g} of them reach with confidence "
                f"{confidence:.6g}, got {len(self.values)}"
            )
        # Of n chips, N ~ Binomial(n, 1 - share) lie beyond the bound that is looked for; the chip of rank r is on the
        # safe side of it if N >= r.
        rank = max(int(scipy.stats.binom.ppf(1 - confidence, len(self.values), 1 - share)), 1)
        return sorted(self.values, reverse=upper)[rank - 1]

    def curve(self) -> tuple[tuple[float, ...], tuple[Estimate, ...]]:
        """The values that chips have, ascending, and the share of chips that reach each, with its interval."""
        values = np.sort(self.values)
        places = np.unique(values)
        reach = len(values) - np.searchsorted(values, places, side="left")
        shares = (_share_estimate(int(count), len(values), self.confidence) for count in reach)
        return tuple(map(float, places)), tuple(shares)

    def panel(self, metric: str = "metric") -> Panel:
        """The share of chips whose metric is at least x, over x, with Clopper and Pearson's interval as a band.

        Args:
            metric: its name.

        Example:
            >>> from qtaml.faults import Uniform
            >>> chips = Yield((0.5, 0.75, 0.75), trials=1, fault=Uniform(0.1), seed=0, confidence=0.95)
            >>> curve = chips.panel().curves[0]
            >>> curve.x, [round(share) for share in curve.mean]
            ((0.5, 0.75), [100, 67])
        """
        x, shares = self.curve()
        ends = ([100 * getattr(share, end) for share in shares] for end in ("value", "low", "high"))
        return Panel(
            [Curve(f"{len(self.values):,} chips", x, *ends, steps=True)],
            f"Yield, with {100 * self.confidence:g}% intervals",
            metric,
            "chips that reach it (%)",
            limits=(0.0, 105.0),
            legend="none",
        )

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def plot(self) -> "Figure":
        """The share of chips over the metric that they reach (needs `qtaml[plot]`).

        Raises:
            QtamlError: if matplotlib is not installed.
        """
        return panels_figure([self.panel()])

    def to_pandas(self) -> Any:
        """A data frame with a row for each chip: its number and the metric.

        Raises:
            QtamlError: if pandas is not installed.
        """
        return _tables.as_frame([{"chip": number, "metric": value} for number, value in enumerate(self.values)])

    def to_json(self) -> str:
        """The result as JSON."""
        return _files.to_json(self)

    @staticmethod
    def from_json(text: str) -> "Yield":
        """The result that a JSON text holds.

        Raises:
            StoredFileError: if the text is not a result.
        """
        return _files.from_json(Yield, text, "the text")

    def __str__(self) -> str:
        """The chips as a table."""
        return _tables.as_text(self.table())

    def table(self, above: float | None = None) -> Table:
        """The chips as a rich table.

        Args:
            above: also the share of chips whose value is at least this.
        """
        written = ", each written anew" * self.rewritten
        shown = _tables.captioned_table(
            f"{len(self.values):,} chips{written}, reads of each: {self.trials}; {self.fault}",
            f"[{100 * self.confidence:g}% interval for other chips of this kind on these test samples]",
        )
        shown.add_column("of the chips")
        shown.add_column("metric", justify="right")
        if above is not None:
            shown.add_row(f"share of at least {above:g}", f"{self.share_above(above):.3f}")
        for name, share in (("5%", 0.05), ("half", 0.5), ("95%", 0.95)):
            shown.add_row(f"{name} do not exceed", f"{self.quantile(share):.4f}")
        if len(self.values) >= chips_needed():
            shown.add_row("95% reach, with 95% confidence", f"{self.tolerance_bound():.4f}")
            shown.add_row("95% do not exceed, with 95% confidence", f"{self.tolerance_bound(upper=True):.4f}")
        else:
            shown.add_row("95% reach, with 95% confidence", f"takes {chips_needed()} chips")
        return shown


def chips_needed(share: float = 0.95, confidence: float = 0.95) -> int:
    """How many chips it takes until the least of them is a value that a share of all chips reaches, with confidence.

    The least n with 1 - share**n >= confidence.

    Args:
        share: share of the chips, between 0 and 1.
        confidence: how often such statements are true, between 0 and 1.

    Raises:
        ArgumentError: if a number is out of its range.

    Source:
        Wilks, Annals of Mathematical Statistics 12, 1941.

    Example:
        >>> chips_needed(0.95, 0.95), chips_needed(0.99, 0.95), chips_needed(0.5, 0.5)
        (59, 299, 1)
    """
    share, confidence = _share(share), _checks.confidence(confidence)
    # 1e-9 of a chip: the quotient of two rounded logarithms may lie above a whole number that is exact.
    return max(math.ceil(math.log1p(-confidence) / math.log(share) - 1e-9), 1)


def measure_chips(
    memory: Memory,
    metric: Metric,
    *,
    chips: int,
    trials: int,
    fault: AnyFault,
    seed: int,
    confidence: float,
    rewrite: nn.Module | None = None,
) -> Yield:
    """A metric of a stored network on each of so many chips; arguments as for `evaluate`."""
    chips, trials = _checks.integer("chips", chips, 1), _checks.integer("trials", trials, 1)
    if chips * trials > _MOST_READS:
        raise ArgumentError(
            f"chips x trials must be at most {_MOST_READS:,} reads, got {chips:,} x {trials:,}; "
            f"{chips_needed():,} chips are enough for a bound of 95% with 95% confidence"
        )
    asked: dict[str, Any] = {"trials": trials, "fault": fault, "seed": seed}
    if rewrite is None:
        found = values_of_chips(memory, metric, range(chips), **asked)
    else:
        found = values_of_rewritten_chips(
            rewrite, memory.plan, metric, range(chips), calibration=memory.calibration, **asked
        )
    values = tuple(next(found) for _ in track(range(chips), "reading chips"))
    if (
        rewrite is None
        and memory.unread is None
        and chips > 1
        and len(set(values)) == 1
        and chips_differ(memory, fault, seed)
    ):
        warnings.warn(f"every chip gave {values[0]:g}: does the metric measure the model that it gets?", stacklevel=3)
    return Yield(values, trials, fault, seed, confidence, memory.unread or (), rewrite is not None)


def _share(share: float) -> float:
    number = _checks.real("share", share)
    if not 0 < number < 1:
        raise ArgumentError(f"share must lie between 0 and 1, got {share!r}")
    return number


def _share_estimate(count: int, chips: int, confidence: float) -> Estimate:
    interval = scipy.stats.binomtest(count, chips).proportion_ci(confidence, method="exact")
    return Estimate(count / chips, float(interval.low), float(interval.high), "chips")
