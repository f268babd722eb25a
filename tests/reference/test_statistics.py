"""The statistical checks accept the right law and fail on a wrong one."""

import numpy as np
import pytest

from tests.reference.error_masks import mask_probabilities, plain_error_mask
from tests.reference.statistics import (
    assert_counts_follow,
    assert_rate,
    assert_same_law,
    assert_uncorrelated,
    bits_of,
    counts_of,
    set_bits,
)
from tests.tolerances import FALSE_ALARM

FAIR = np.array([0.5, 0.5])


def test_counts_of_the_right_law_pass() -> None:
    """Counts exactly as expected raise nothing, rare outcomes included."""
    assert_counts_follow(np.array([500, 500]), FAIR, FALSE_ALARM)
    assert_counts_follow(np.array([1000, 0]), np.array([1.0, 0.0]), FALSE_ALARM)
    assert_counts_follow(np.array([999, 1, 0]), np.array([0.999, 0.0005, 0.0005]), FALSE_ALARM)


def test_counts_of_a_wrong_law_fail() -> None:
    """A coin that shows heads 600 times in 1000 is not fair."""
    with pytest.raises(AssertionError, match=r"chi-square 40\.0 on 1"):
        assert_counts_follow(np.array([600, 400]), FAIR, FALSE_ALARM)


def test_an_impossible_outcome_fails() -> None:
    """One occurrence of what has probability 0 is one too many."""
    with pytest.raises(AssertionError, match="an impossible outcome occurred"):
        assert_counts_follow(np.array([999, 1]), np.array([1.0, 0.0]), FALSE_ALARM)


def test_two_laws_that_differ_fail() -> None:
    """Counts are compared with counts."""
    assert_same_law(np.array([500, 500]), np.array([510, 490]), FALSE_ALARM)
    with pytest.raises(AssertionError, match="the two laws differ"):
        assert_same_law(np.array([500, 500]), np.array([600, 400]), FALSE_ALARM)


def test_a_wrong_rate_fails() -> None:
    """The binomial test knows the rate that is claimed."""
    assert_rate(100, 1000, 0.1, FALSE_ALARM)
    with pytest.raises(AssertionError, match=r"150 of 1000 at rate 0\.1"):
        assert_rate(150, 1000, 0.1, FALSE_ALARM)


def test_correlated_columns_fail() -> None:
    """A column is correlated with itself, and independent columns are not with each other."""
    columns = np.random.default_rng(0).random((10_000, 3))
    assert_uncorrelated(columns, columns, FALSE_ALARM, skip_diagonal=True)
    with pytest.raises(AssertionError, match="a correlation of 1 among 9"):
        assert_uncorrelated(columns, columns, FALSE_ALARM)


def test_words_fall_into_bits() -> None:
    """Bit 0 is the least significant one."""
    words = np.array([0b01, 0b11, 0b01])
    assert bits_of(words, 2).tolist() == [[1, 0], [1, 1], [1, 0]]
    assert set_bits(words, 2) == [3, 1]
    assert counts_of(words, 2).tolist() == [0, 2, 0, 1]


def test_the_plain_masks_follow_the_product_law() -> None:
    """The reference sampler passes the check that the fast one must pass (2**17 words; finds an effect of 2 %)."""
    probabilities = (0.5, 0.1, 0.0, 1.0)
    counts = counts_of(plain_error_mask(2**17, probabilities, seed=0), 4)
    assert_counts_follow(counts, mask_probabilities(probabilities), FALSE_ALARM)
    with pytest.raises(AssertionError, match="chi-square"):
        assert_counts_follow(counts, mask_probabilities((0.5, 0.11, 0.0, 1.0)), FALSE_ALARM)
