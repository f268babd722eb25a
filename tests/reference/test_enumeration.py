"""The slow versions give what can be worked out by hand."""

import numpy as np

from tests.reference.allocation import best_split_allocation, best_whole_allocation
from tests.reference.enumeration import enumerated_moments, enumerated_transitions
from tests.reference.error_masks import mask_probabilities


def test_two_bits_by_hand() -> None:
    """Stored 01 is read 01 only if bit 0 (one) does not fail downwards and bit 1 (zero) does not fail upwards."""
    matrix = enumerated_transitions(p01=(0.25, 0.5), p10=(0.125, 0.0))
    assert matrix[0b01].tolist() == [0.125 * 0.5, 0.875 * 0.5, 0.125 * 0.5, 0.875 * 0.5]
    assert matrix[0b10].tolist() == [0.0, 0.0, 0.75, 0.25]


def test_moments_of_one_bit_by_hand() -> None:
    """A fair bit worth 2 has mean 1 and variance 1."""
    mean, variance = enumerated_moments(np.array([0.0, 2.0]), (0.5,), (0.5,))
    assert mean.tolist() == [1.0, 1.0]
    assert variance.tolist() == [1.0, 1.0]


def test_mask_probabilities_by_hand() -> None:
    """Bit 0 is the least significant one."""
    assert mask_probabilities((0.25, 0.5)).tolist() == [0.375, 0.125, 0.375, 0.125]


def test_best_allocations_by_hand() -> None:
    """With one cell to spare a tensor of two weights can improve one of them, if it may be split."""
    case = ((2,), ((1, 2),), ((4.0, 1.0),))
    assert best_whole_allocation(*case, budget=3) == 4.0
    assert best_split_allocation(*case, budget=3) == 2.5
    assert best_whole_allocation(*case, budget=4) == best_split_allocation(*case, budget=4) == 1.0
    assert best_whole_allocation(*case, budget=1) == float("inf")
