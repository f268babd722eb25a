"""Statistical checks with a stated false-alarm rate; `test_statistics.py` shows that each of them can fail."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

SMALLEST_EXPECTED_COUNT = 10
"""Rarer outcomes are counted together, so that the chi-square law holds."""


def assert_counts_follow(counts: NDArray[np.int64], probabilities: NDArray[np.float64], false_alarm: float) -> None:
    """Chi-square test of counts against exact probabilities; an outcome of probability 0 must not occur."""
    assert counts[probabilities == 0].sum() == 0, "an impossible outcome occurred"
    expected = counts.sum() * probabilities
    often = expected >= SMALLEST_EXPECTED_COUNT
    observed, awaited = list(counts[often]), list(expected[often])
    if expected[~often].sum() > 0:
        observed.append(counts[~often].sum())
        awaited.append(expected[~often].sum())
    if len(observed) == 1:  # one outcome is certain, and no other has occurred
        return
    statistic = sum((count - mean) ** 2 / mean for count, mean in zip(observed, awaited, strict=True))
    probability = stats.chi2.sf(statistic, len(observed) - 1)
    assert probability >= false_alarm, f"chi-square {statistic:.1f} on {len(observed) - 1}: p-value {probability:.2g}"


def assert_same_law(first: NDArray[np.int64], second: NDArray[np.int64], false_alarm: float) -> None:
    """Chi-square test that two vectors of counts come from the same law; outcomes that are rare in both are pooled."""
    often = first + second >= 4 * SMALLEST_EXPECTED_COUNT
    rows = [np.append(counts[often], counts[~often].sum()) for counts in (first, second)]
    table = np.array(rows)
    probability = stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue
    assert probability >= false_alarm, f"the two laws differ: p-value {probability:.2g}"


def assert_rate(successes: int, trials: int, probability: float, false_alarm: float) -> None:
    """Exact two-sided binomial test."""
    found = stats.binomtest(successes, trials, probability).pvalue
    assert found >= false_alarm, f"{successes} of {trials} at rate {probability}: p-value {found:.2g}"


def assert_uncorrelated(
    first: NDArray[np.float64], second: NDArray[np.float64], false_alarm: float, *, skip_diagonal: bool = False
) -> None:
    """Every column of `first` is uncorrelated with every column of `second`, over all pairs together.

    A correlation of independent columns of N rows is close to normal with standard deviation 1/sqrt(N).
    """
    rows = len(first)
    standardised = [(columns - columns.mean(axis=0)) / columns.std(axis=0) for columns in (first, second)]
    correlation = standardised[0].T @ standardised[1] / rows
    if skip_diagonal:
        correlation = correlation[~np.eye(len(correlation), dtype=bool)]
    limit = stats.norm.isf(false_alarm / 2 / correlation.size) / np.sqrt(rows)
    largest = np.abs(correlation).max()
    assert largest <= limit, f"a correlation of {largest:.2g} among {correlation.size}, the limit is {limit:.2g}"


def bits_of(words: NDArray[np.int64], bits: int) -> NDArray[np.float64]:
    """One column of zeros and ones for each bit position, bit 0 first."""
    return np.stack([(words >> position & 1).astype(np.float64) for position in range(bits)], axis=1)


def counts_of(words: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """How often each of the 2**bits words occurs."""
    return np.bincount(words, minlength=2**bits)


def set_bits(words: NDArray[np.int64], bits: int) -> list[int]:
    """Number of words in which each bit is set, bit 0 first."""
    return [int((words >> position & 1).sum()) for position in range(bits)]
