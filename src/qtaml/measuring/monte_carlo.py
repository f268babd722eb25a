"""A metric of a stored network over independent reads, with its uncertainty."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qtaml import _checks, _files
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault, FaultModel, given
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.intervals import crossed_interval, reads_interval, samples_interval
from qtaml.measuring.metrics import Metric, SampleMetric
from qtaml.measuring.reads import scores_of_reads
from qtaml.memory import Memory

_LEAST_TRIALS_BEFORE_STOPPING = 10


@dataclass(frozen=True)
class Result:
    """A metric over independent reads of a stored network.

    Attributes:
        mean: mean over all reads.
        low: lower end of its interval.
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
    versions: dict[str, str] = field(default_factory=_files.versions)

    @property
    def estimate(self) -> Estimate:
        """Mean and interval, as one record."""
        return Estimate(self.mean, self.low, self.high, self.covers)

    @property
    def reads_estimate(self) -> Estimate:
        """Mean, and its interval for other reads on these very samples."""
        return Estimate(self.mean, self.reads_low, self.reads_high, "reads")

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

    def __str__(self) -> str:
        """Mean and interval in one line."""
        return f"{self.estimate} ({100 * self.confidence:g}% over {self.covers}; {len(self.values)} reads)"


def evaluate(
    memory: Memory,
    metric: Metric,
    *,
    trials: int = 30,
    fault: AnyFault | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    stop_width: float | None = None,
) -> Result:
    """Measure a metric of a stored network over independent reads.

    Args:
        memory: the stored network; neither it nor the caller's model is changed. Reads of one that `torch.compile` has
            wrapped run compiled, at up to twice the speed; compiling takes as long as about a thousand reads.
        metric: any callable `metric(model) -> float`. One with a method `scores(model)`, such as `qtaml.Accuracy`,
            gives a score for each sample, and the interval then covers the choice of test samples too. The accuracy of
            a small network on few samples is computed for several reads at once: the errors are the same to the bit,
            the outputs to float rounding.
        trials: number of reads T, at least 2.
        fault: how the memory fails; the plan's fault model if not given.
        seed: seed of the errors. Under the same seed, read t of two plans shares nearly all errors of the bits that
            both leave unprotected, so their difference is sharper than each alone.
        confidence: coverage of the intervals, in (0, 1).
        stop_width: stop early, after 10 reads or more, when the interval over reads is not wider than this. Looking
            until it is narrow makes it somewhat too narrow: 93% coverage was measured for 95%, stopping near 20 reads.

    Returns:
        Mean, intervals, and the value of each read.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or the metric gives no finite number.
        ModelError: if the model cannot be copied, or fails.

    Example:
        >>> from qtaml.memory import store
        >>> from qtaml.planning import uniform_msp
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=8))
        >>> result = evaluate(memory, lambda read: float(read.weight.sum()), trials=5)
        >>> result.low == result.mean == result.high, result.covers
        (True, 'reads')
    """
    trials, seed = _checks.integer("trials", trials, 2), _checks.integer("seed", seed, 0)
    confidence = _checks.confidence(confidence)
    if stop_width is not None:
        stop_width = _checks.positive("stop_width", stop_width)
    fault = given(None, memory.plan.fault if fault is None else fault)
    seeds = [child_seed(seed, "trial", trial) for trial in range(trials)]
    found = scores_of_reads(memory, metric, seeds, fault)
    scores: list[NDArray[np.float64]] = []
    proportion = False
    for trial in track(range(trials), "reading the memory"):
        score, proportion = _checked(metric, next(found), trial)
        if scores and len(score) != len(scores[0]):
            raise ArgumentError(f"metric must score the same samples on every read, got {len(score)} on read {trial}")
        scores.append(score)
        if stop_width is not None and len(scores) >= _LEAST_TRIALS_BEFORE_STOPPING:
            low, high = reads_interval(np.array([one.mean() for one in scores]), confidence)
            if high - low <= stop_width:
                break
    table = np.stack(scores)
    values = table.mean(1)
    if memory.unread is None and len(set(values.tolist())) == 1 and _reads_differ(memory, seeds, fault):
        warnings.warn(f"every read gave {values[0]:g}: does the metric measure the model that it gets?", stacklevel=2)
    reads = reads_interval(values, confidence)
    crossed = isinstance(metric, SampleMetric) and table.shape[1] >= 2
    low, high = crossed_interval(table, confidence, proportion=proportion) if crossed else reads
    return Result(
        mean=float(values.mean()),
        low=low,
        high=high,
        covers="reads and test samples" if crossed else "reads",
        reads_low=reads[0],
        reads_high=reads[1],
        confidence=confidence,
        values=tuple(map(float, values)),
        samples=table.shape[1] if crossed else None,
        fault=fault,
        seed=seed,
        trials_asked=trials,
        stop_width=stop_width,
        unread=memory.unread or (),
    )


def _reads_differ(memory: Memory, seeds: Sequence[int], fault: FaultModel) -> bool:
    one, other = (memory.read(seed=seed, fault=fault) for seed in seeds[:2])
    return any(not torch.equal(a, b) for (_, a), (_, b) in zip(one, other, strict=True))


def measure(model: nn.Module, metric: SampleMetric, *, confidence: float = 0.95) -> Estimate:
    """Measure a metric of one network, with the interval over test samples.

    Args:
        model: the network; it is not changed.
        metric: gives a score for each sample, such as `qtaml.Accuracy`.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ArgumentError: if the metric gives no finite numbers, or fewer than two, or `confidence` is out of its range.

    Example:
        >>> from qtaml.measuring.metrics import Accuracy
        >>> round(measure(nn.Identity(), Accuracy(torch.eye(2), torch.tensor([0, 1]))).low, 3)
        0.158
    """
    scores, proportion = _checked(metric, metric.scores(model), 0)
    if len(scores) < 2:
        raise ArgumentError(f"metric must score at least 2 samples, got {len(scores)}")
    return samples_interval(scores, _checks.confidence(confidence), proportion=proportion)


def _checked(metric: Metric, value: Any, trial: int) -> tuple[NDArray[np.float64], bool]:
    """Scores of one read, shape (samples,) or (1,), and whether each is right or wrong."""
    if isinstance(metric, SampleMetric):
        scores = torch.as_tensor(value, device=getattr(value, "device", "cpu"))
        values, proportion = scores.detach().cpu().double().numpy(), scores.dtype == torch.bool
    else:
        try:
            # float() takes texts too, and a number in quotes is more likely a mistake than meant.
            if isinstance(value, str | bytes):
                raise TypeError
            values, proportion = np.array([float(value)]), False
        except OverflowError:
            # A whole number too long for a float is as far out of range as infinity.
            values, proportion = np.array([math.inf]), False
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"metric must return one number, got {value!r} on read {trial}") from error
    if values.ndim != 1 or not values.size or not all(map(math.isfinite, values)):
        raise ArgumentError(f"metric must return finite numbers, got {values!r} on read {trial}")
    return values, proportion
