"""Looking words up in a table: compiled and in NumPy."""

import numpy as np
import pytest

from qtaml.formats import look_up as look_up_module


@pytest.mark.parametrize("words", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_both_look_up_the_same_values(words: type, size: int) -> None:
    """Numbers of any size, for the words of some runs; the others stay, and are not looked at."""
    generator = np.random.default_rng(0)
    of_label = generator.integers(0, 100, 1 << 16 if words is np.uint16 else 256).astype(f"i{size}")
    stored = generator.integers(0, 300 if words is np.uint16 else 256, 50).astype(words)
    starts, stops = np.array([0, 30, 31]), np.array([20, 31, 50])
    expected = np.where(np.isin(np.arange(50), np.r_[0:20, 30:50]), of_label[stored], -1)
    assert look_up_module._kernel() is not look_up_module._in_numpy
    for kernel in (look_up_module._kernel(), look_up_module._in_numpy):
        values = np.full(50, -1, of_label.dtype)
        seen = kernel(stored, of_label, values, starts, stops)
        assert seen == np.bitwise_or.reduce(stored[np.r_[0:20, 30:50]])
        assert np.array_equal(values, expected)
