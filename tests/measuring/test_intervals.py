"""Intervals cover what they say."""

import numpy as np
import pytest
from scipy import stats

from qtaml.measuring.intervals import crossed_interval, reads_interval


def coverage(draw, truth, interval, repeats):
    """Share of repeated experiments whose interval holds the truth."""
    hits = 0
    for _ in range(repeats):
        low, high = interval(draw())
        hits += low <= truth <= high
    return hits / repeats


def test_reads_interval_is_students():
    """The textbook interval of a mean."""
    values = np.array([0.2, 0.5, 0.4, 0.9])
    expected = stats.t.interval(0.9, 3, values.mean(), stats.sem(values))
    assert reads_interval(values, 0.9) == pytest.approx(expected)


@pytest.mark.parametrize(("reads_spread", "samples_spread"), [(0.3, 1.5), (1.5, 0.3), (0.0, 1.0), (1.0, 1.0)])
def test_crossed_interval_covers_other_reads_and_samples(reads_spread, samples_spread):
    """Right or wrong by read and sample effects: 95 per cent intervals hold the grand mean in 93 per cent or more.

    600 experiments: a true coverage of 95 per cent falls below 93 with probability 0.02, one of 90 passes with 0.005.
    """
    generator = np.random.default_rng(1)

    def draw(reads=12, samples=60):
        effects = (
            1.0 + reads_spread * generator.normal(size=(reads, 1)) + samples_spread * generator.normal(size=samples)
        )
        return (generator.normal(size=(reads, samples)) < effects).astype(float)

    spread = (1 + reads_spread**2 + samples_spread**2) ** 0.5
    truth = stats.norm.cdf(1.0 / spread)
    assert coverage(draw, truth, lambda s: crossed_interval(s, 0.95, proportion=True), 600) >= 0.93


def test_crossed_interval_of_scores_covers_too():
    """Scores that are no proportions get Student's interval; coverage as above."""
    generator = np.random.default_rng(2)

    def draw(reads=12, samples=40):
        rows, columns = generator.normal(size=(reads, 1)), generator.normal(size=samples)
        return 3 + 0.5 * rows + columns + generator.normal(size=(reads, samples))

    assert coverage(draw, 3.0, lambda s: crossed_interval(s, 0.95, proportion=False), 600) >= 0.93


def test_samples_alone_would_not_cover():
    """The check above can fail: ignoring the spread between reads covers far too little."""
    generator = np.random.default_rng(3)

    def draw():
        return generator.normal(size=(12, 1)) + 0.1 * generator.normal(size=(12, 60))

    def naive(scores):
        return stats.t.interval(0.95, scores.size - 1, scores.mean(), stats.sem(scores, axis=None))

    assert coverage(draw, 0.0, naive, 300) < 0.7


def test_perfect_scores_are_not_certain():
    """All right: the interval still has the width of as many test samples."""
    samples = 50 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 49)) ** 2
    low, high = crossed_interval(np.ones((30, 50)), 0.95, proportion=True)
    assert (low, high) == (pytest.approx(stats.beta.ppf(0.025, samples, 1)), 1.0)
    low, high = crossed_interval(np.zeros((30, 50)), 0.95, proportion=True)
    assert (low, high) == (0.0, pytest.approx(stats.beta.ppf(0.975, 1, samples)))
