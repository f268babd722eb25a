"""Which label is stored: the lower envelope against trying every label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtaml.formats.nearest_label import least_error_regions

whole_numbers = st.integers(-20, 20).map(float)
labels_of_word = st.lists(st.tuples(whole_numbers, st.integers(0, 400).map(float)), min_size=1, max_size=16)


@pytest.mark.slow
@given(labels_of_word, st.lists(st.integers(-100, 100).map(lambda n: n / 4), min_size=1, max_size=20))
def test_no_label_has_a_smaller_expected_error(moments, weights):
    """For any means and mean squares, equal ones among them, and weights at and between thresholds."""
    mean, square = (np.array(column) for column in zip(*moments, strict=True))
    thresholds, labels = least_error_regions(mean, square)
    assert len(labels) == len(thresholds) + 1
    assert (np.diff(thresholds) > 0).all()
    for weight in weights:
        stored = labels[np.searchsorted(thresholds, weight)]
        costs = square - 2 * weight * mean
        assert costs[stored] == pytest.approx(costs.min(), abs=1e-9)


def test_a_label_that_is_best_nowhere_is_not_stored():
    """One between two others whose mean square is too large, and one of an equal mean."""
    thresholds, labels = least_error_regions(np.array([-1.0, 0.0, 1.0, 1.0]), np.array([1.0, 5.0, 1.0, 2.0]))
    assert (thresholds.tolist(), labels.tolist()) == ([0.0], [0, 2])


def test_of_labels_that_are_read_alike_one_is_left():
    """What cannot be told apart when read needs no threshold."""
    thresholds, labels = least_error_regions(np.full(4, 0.5), np.array([2.0, 1.0, 1.0, 3.0]))
    assert (thresholds.tolist(), labels.tolist()) == ([], [1])
