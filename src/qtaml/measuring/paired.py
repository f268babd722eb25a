"""The difference of two stored networks, read by read and sample by sample."""

import numpy as np

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.intervals import crossed_interval, reads_interval
from qtaml.measuring.mean_intervals import UNBOUNDED, Bounds, Numbers
from qtaml.measuring.metrics import Metric, SampleMetric
from qtaml.measuring.reads import checked_scores, scores_of_reads
from qtaml.memory import Memory


def paired_difference(
    first: Memory,
    second: Memory,
    metric: Metric,
    *,
    trials: int = 30,
    fault: AnyFault | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Metric of the first network minus that of the second, on the same reads and the same test samples.

    Under one seed, read t of both shares nearly all errors of the bits that both leave unprotected, and both see every
    sample: what they have in common cancels, so the interval is narrower than those of the two side by side, the more
    so the more they share.

    Args:
        first: a stored network.
        second: the one that it is compared with.
        metric: as for `evaluate`.
        trials: reads of each, at least 2.
        fault: how both memories fail; for each its plan's own if not given.
        seed: as for `evaluate`: the difference is that of the means that it gives under this seed.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        Mean difference and its interval: over other reads and other samples for a metric with scores, else over reads.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or the networks have scores of unequal number.

    Source:
        theory.md 1.8, applied to differences.

    Example:
        >>> from torch import nn
        >>> from qtaml.memory import store
        >>> from qtaml.planning import uniform_msp
        >>> model = nn.Linear(2, 1, bias=False)
        >>> more, less = (store(model, uniform_msp(model, p=0.1, protected_bits=k)) for k in (8, 0))
        >>> mean = lambda read: float(read.weight.abs().sum())
        >>> paired_difference(more, less, mean, trials=5).covers
        'reads, paired'
    """
    trials, seed = _checks.integer("trials", trials, 2), _checks.integer("seed", seed, 0)
    confidence = _checks.confidence(confidence)
    tables = [_scores(memory, metric, trials, fault or memory.plan.fault, seed) for memory in (first, second)]
    if tables[0].shape != tables[1].shape:
        counts = " and ".join(str(table.shape[1]) for table in tables)
        raise ArgumentError(f"metric must score as many samples of both networks, got {counts}")
    difference, bounds = tables[0] - tables[1], _bounds(metric)
    crossed = isinstance(metric, SampleMetric) and difference.shape[1] >= 2
    if crossed:
        low, high = crossed_interval(difference, confidence, proportion=False, bounds=bounds)
    else:
        low, high = reads_interval(difference.mean(1), confidence, bounds=bounds)
    covers = "reads and test samples, paired" if crossed else "reads, paired"
    return Estimate(float(difference.mean()), float(low), float(high), covers)


def _scores(memory: Memory, metric: Metric, trials: int, fault: AnyFault, seed: int) -> Numbers:
    """Scores of each read, shape (reads, samples), on the reads that `evaluate` makes."""
    found = scores_of_reads(memory, metric, [child_seed(seed, "trial", trial) for trial in range(trials)], fault)
    return np.stack([checked_scores(metric, next(found), trial)[0] for trial in range(trials)])


def _bounds(metric: Metric) -> Bounds:
    """The least and the greatest difference of two values of a metric."""
    declared = getattr(metric, "bounds", None)
    return UNBOUNDED if declared is None else (declared[0] - declared[1], declared[1] - declared[0])
