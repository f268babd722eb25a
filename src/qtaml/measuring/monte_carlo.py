"""A metric of a stored network over independent reads, with its uncertainty."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np
import pydantic
from rich.table import Table
from torch import nn

from qtaml import _checks, _files, _tables
from qtaml._figures import Curve, Panel, panels_figure
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault, FaultModel, given
from qtaml.measuring.activations import ActivationStream, Streams
from qtaml.measuring.caution import caution_of
from qtaml.measuring.chips import Yield, measure_chips
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.intervals import samples_interval
from qtaml.measuring.mean_intervals import Numbers
from qtaml.measuring.metrics import Metric, SampleMetric
from qtaml.measuring.reads import checked_scores, reads_differ, scores_of_reads
from qtaml.measuring.reads_of_chips import scores_of_rewritten_reads
from qtaml.measuring.score_intervals import ScoreIntervals, bounds_of
from qtaml.memory import Memory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_READS = 10
"""Reads before evaluation may stop early."""
RISK_LEFT = 0.7
"""Share of 1 - confidence that is left to an interval at which reading stopped (theory.md 1.8)."""
_TRIALS = 30
_READS_OF_A_CHIP = 5


@dataclass(frozen=True)
class Result:
    """A metric over independent reads of a stored network.

    Attributes:
        mean: mean over all reads.
        low: lower end of its interval; infinite ends say that nothing bounds values that no read has shown.
        high: upper end of its interval.
        covers: what the interval is for. "reads and test samples": other reads on other samples of the same kind;
            "reads": other reads on these very samples, for a metric that gives one number only.
        reads_low: lower end for other reads on these very samples.
        reads_high: upper end of the same.
        confidence: coverage of both intervals.
        values: the metric of each read.
        samples: number of test samples; None for a metric that gives one number only.
        fault: how the memory failed.
        seed: seed of the errors.
        trials_asked: the most reads that were to be made.
        stop_width: width of the reads interval at which it was to stop; None if not asked.
        unread: stored tensors that act on none of the inputs of the metric, so that their errors do not show.
        caution: why the intervals may be too narrow: few samples or reads of a score without bounds, or a few of them
            that hold most of it (docs/coverage.md); empty if nothing says so.
        activations: the streams of activations that were read with errors, by pattern of module names.
        versions: versions of what made the result.
    """

    mean: float
    low: float
    high: float
    covers: Literal["reads and test samples", "reads"]
    reads_low: float
    reads_high: float
    confidence: float
    values: tuple[float, ...]
    samples: int | None
    fault: AnyFault
    seed: int
    trials_asked: int
    stop_width: float | None = None
    unread: tuple[str, ...] = ()
    caution: str = ""
    activations: Mapping[str, ActivationStream] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=_files.versions)
    # JSON has no infinite numbers: they are written as "Infinity".
    __pydantic_config__: ClassVar = pydantic.ConfigDict(ser_json_inf_nan="strings")

    @property
    def estimate(self) -> Estimate:
        """Mean and interval, as one record."""
        return Estimate(self.mean, self.low, self.high, self.covers, self.caution)

    @property
    def reads_estimate(self) -> Estimate:
        """Mean, and its interval for other reads on these very samples."""
        return Estimate(self.mean, self.reads_low, self.reads_high, "reads", self.caution)

    def to_json(self) -> str:
        """The result as JSON."""
        return _files.to_json(self)

    @staticmethod
    def from_json(text: str) -> "Result":
        """The result that a JSON text holds.

        Raises:
            StoredFileError: if the text is not a result.
        """
        return _files.from_json(Result, text, "the text")

    def table(self) -> Table:
        """Mean and intervals as a rich table."""
        told = _tables.captioned_table(
            "", f"{self.fault}; {len(self.values)} reads, {100 * self.confidence:g}% intervals"
        )
        told.add_column("interval over")
        told.add_column("metric", justify="right")
        for one in dict.fromkeys((self.estimate, self.reads_estimate)):
            told.add_row(one.covers, str(one))
        return told

    def _repr_html_(self) -> str:
        return _tables.as_html(self.table())

    def plot(self) -> "Figure":
        """The metric of each read beside its mean (needs `qtaml[plot]`).

        Raises:
            QtamlError: if matplotlib is not installed.
        """
        reads = Curve(
            "each read", [float(number) for number in range(1, len(self.values) + 1)], self.values, points=True
        )
        panel = Panel([reads], str(self), "read", "metric", reference=("mean", self.mean), legend="best")
        return panels_figure([panel])

    def to_pandas(self) -> Any:
        """A data frame with a row for each read: its number and the metric.

        Raises:
            QtamlError: if pandas is not installed.
        """
        return _tables.as_frame([{"read": number, "metric": value} for number, value in enumerate(self.values)])

    def __str__(self) -> str:
        """Mean and interval in one line, and a second one with the caution if there is one."""
        text = f"{self.estimate} ({100 * self.confidence:g}% over {self.covers}; {len(self.values)} reads)"
        return f"{text}\ncaution: {self.caution}" if self.caution else text


@overload
def evaluate(
    memory: Memory,
    metric: Metric,
    *,
    trials: int | None = None,
    fault: AnyFault | Sequence[AnyFault] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    stop_width: float | None = None,
    activations: Streams | None = None,
    chips: None = None,
    rewrite: nn.Module | None = None,
) -> Result: ...
@overload
def evaluate(
    memory: Memory,
    metric: Metric,
    *,
    trials: int | None = None,
    fault: AnyFault | Sequence[AnyFault] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    chips: int,
    rewrite: nn.Module | None = None,
) -> Yield: ...
def evaluate(
    memory: Memory,
    metric: Metric,
    *,
    trials: int | None = None,
    fault: AnyFault | Sequence[AnyFault] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    stop_width: float | None = None,
    activations: Streams | None = None,
    chips: int | None = None,
    rewrite: nn.Module | None = None,
) -> Result | Yield:
    """Measure a metric of a stored network over independent reads, or on each of many chips.

    Args:
        memory: the stored network; neither it nor the caller's model is changed. Reads of one that `torch.compile` has
            wrapped run compiled, at up to twice the speed; compiling takes as long as about a thousand reads.
        metric: any callable `metric(model) -> float`. One with a method `scores(model)`, such as `qtaml.Accuracy`,
            gives a score for each sample, and the interval then covers the choice of test samples too. An attribute
            `bounds` = (least, greatest possible value), if it has one, makes its intervals sharper. The accuracy of
            a small network on few samples is computed for several reads at once: the errors are the same to the bit,
            the outputs to float rounding.
        trials: number of reads T, at least 2; 30 if not given. Of each chip, at least 1; 5 if not given.
        fault: how the memory fails, or several ways, one of which a chip has; the plan's fault model if not given.
        seed: seed of the errors. Under the same seed, read t of two plans shares nearly all errors of the bits that
            both leave unprotected, so their difference is sharper than each alone.
        confidence: coverage of the intervals, in (0, 1).
        stop_width: stop early, after 10 reads or more, when the interval over reads is not wider than this. Looking
            until it is narrow favours those that are too narrow; all intervals are therefore made somewhat wider (for
            95% as for 96.5%), and cover as much as they say again (docs/coverage.md has what was measured).
        activations: names of modules, or patterns of them, whose outputs lie in a memory of their own until they are
            used, and how they are kept there. That is measured only, and takes no cells of the plan. The errors depend
            on how a metric cuts its samples into batches.
        chips: number of chips to measure one after the other, of which each keeps its weak cells, its rates, or which
            of several memories it is. Chip c is the same however many there are, and for every plan.
        rewrite: the trained network, if each chip is written anew by a writer who knows its weak cells: words are
            chosen that this chip reads right (theory.md 6.9). Without `chips`, each read is of a chip of its own. A
            memory whose plan feeds rounding errors back has to be one that `store` made.

    Returns:
        Mean, intervals, and the value of each read. Where every read gave the same value although errors are possible,
        the interval over reads says how much other ones could move the mean: within the bounds of the metric, or, for
        values in [0, 1], within these; an end is infinite where nothing is known to bound the metric.
        With `chips` a `Yield`: the value of each chip, and what it says of others.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or the metric gives no finite number.
        ModelError: if the model cannot be copied, or fails.

    Example:
        >>> from qtaml.memory import store
        >>> from qtaml.planning import uniform_msp
        >>> model = nn.Linear(2, 1, bias=False)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=8))
        >>> result = evaluate(memory, lambda read: float(read.weight.sum()), trials=5)
        >>> result.low == result.mean == result.high, result.covers
        (True, 'reads')
    """
    confidence, seed = _checks.confidence(confidence), _checks.integer("seed", seed, 0)
    fault = given(None, memory.plan.fault if fault is None else fault)
    if chips is not None:
        for name, value in (("stop_width", stop_width), ("activations", activations)):
            if value is not None:
                raise ArgumentError(f"{name} must be left out where chips are given, got {value!r}")
        return measure_chips(
            memory,
            metric,
            chips=chips,
            trials=_READS_OF_A_CHIP if trials is None else trials,
            fault=fault,
            seed=seed,
            confidence=confidence,
            rewrite=rewrite,
        )
    if rewrite is not None and activations is not None:
        raise ArgumentError(f"activations must be left out where rewrite is given, got {activations!r}")
    trials = _checks.integer("trials", _TRIALS if trials is None else trials, 2)
    if stop_width is not None:
        stop_width = _checks.positive("stop_width", stop_width)
    seeds = [child_seed(seed, "trial", trial) for trial in range(trials)]
    if rewrite is None:
        found = scores_of_reads(memory, metric, seeds, fault, activations)
    else:
        found = scores_of_rewritten_reads(rewrite, memory.plan, metric, seeds, fault, memory.calibration)
    # Looking until an interval is narrow picks those that are too narrow: that much of the risk is spent by stopping.
    risk = (1 - confidence) * (1.0 if stop_width is None else RISK_LEFT)
    scores: list[Numbers] = []
    for trial in track(range(trials), "reading the memory"):
        score, proportion = checked_scores(metric, next(found), trial)
        if scores and len(score) != len(scores[0]):
            raise ArgumentError(f"metric must score the same samples on every read, got {len(score)} on read {trial}")
        if not scores:
            possible = cache(partial(_errors_possible, memory, fault, activations or {}))
            intervals = ScoreIntervals(metric, proportion, 1 - risk, possible)
        scores.append(score)
        if stop_width is not None and len(scores) >= LEAST_READS:
            ends = intervals.of_reads(np.stack(scores))
            if ends[1] - ends[0] <= stop_width:
                break
    table = np.stack(scores)
    values = table.mean(1)
    alike = rewrite is None and memory.unread is None and len(set(values.tolist())) == 1
    if alike and reads_differ(memory, seeds, fault):
        warnings.warn(f"every read gave {values[0]:g}: does the metric measure the model that it gets?", stacklevel=3)
    told = {"confidence": confidence, "fault": fault, "seed": seed, "trials_asked": trials, "stop_width": stop_width}
    return _result(table, intervals, **told, unread=memory.unread or (), activations=dict(activations or {}))


def result_of_scores(
    scores: Sequence[Any], metric: Metric, *, fault: AnyFault, seed: int, errors_possible: bool
) -> Result:
    """What `evaluate` returns, of reads that are made elsewhere; 95% intervals.

    Args:
        scores: what the metric gives for each read, of 2 or more.
        metric: as for `evaluate`.
        fault: how the memory fails.
        seed: of the errors.
        errors_possible: whether any stored bit can be read wrong.

    Raises:
        ArgumentError: if the metric gives no finite numbers, or not as many on every read.
    """
    found = [checked_scores(metric, one, number) for number, one in enumerate(scores)]
    if len({len(one) for one, _ in found}) > 1:
        raise ArgumentError(f"metric must score the same samples on every read, got {[len(one) for one, _ in found]}")
    intervals = ScoreIntervals(metric, found[0][1], 0.95, lambda: errors_possible)
    told = {"confidence": 0.95, "fault": fault, "seed": seed, "trials_asked": len(scores)}
    return _result(np.stack([one for one, _ in found]), intervals, **told)


def _result(table: Numbers, intervals: ScoreIntervals, **told: Any) -> Result:
    """The result of a table of scores, shape (reads, samples)."""
    values, reads = table.mean(1), intervals.of_reads(table)
    crossed = isinstance(intervals.metric, SampleMetric) and table.shape[1] >= 2
    low, high = intervals.of_both(table) if crossed else reads
    return Result(
        mean=float(values.mean()),
        low=low,
        high=high,
        covers="reads and test samples" if crossed else "reads",
        reads_low=reads[0],
        reads_high=reads[1],
        values=tuple(map(float, values)),
        samples=table.shape[1] if crossed else None,
        caution=intervals.caution(table),
        **told,
    )


def _errors_possible(memory: Memory, fault: FaultModel, activations: Streams) -> bool:
    """Whether any stored bit can be read wrong."""
    formats = {form for tensor in memory.plan.tensors for form, _ in tensor.storage.spans_of_formats}
    # Of 0 bits there are no rates.
    rates = [form.rates(fault) for form in formats]
    rates += [stream.format.rates(stream.fault) for stream in activations.values()]
    return any(max((*one.p01, *one.p10), default=0.0) > 0 for one in rates)


def measure(model: nn.Module, metric: SampleMetric, *, confidence: float = 0.95) -> Estimate:
    """Measure a metric of one network, with the interval over test samples.

    Args:
        model: the network; it is not changed.
        metric: gives a score for each sample, such as `qtaml.Accuracy`.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ArgumentError: if the metric gives no finite numbers, or fewer than two, or `confidence` is out of its range.

    Example:
        >>> import torch
        >>> from qtaml.measuring.accuracy import Accuracy
        >>> round(measure(nn.Identity(), Accuracy(torch.eye(2), torch.tensor([0, 1]))).low, 3)
        0.158
    """
    scores, proportion = checked_scores(metric, metric.scores(model), 0)
    if len(scores) < 2:
        raise ArgumentError(f"metric must score at least 2 samples, got {len(scores)}")
    confidence = _checks.confidence(confidence)
    bounds = bounds_of(metric, scores)
    found = samples_interval(scores, confidence, proportion=proportion, bounds=bounds)
    return found if proportion else replace(found, caution=caution_of(scores[None], bounds))
