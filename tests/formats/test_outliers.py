"""Outliers: which weights they are, and that every reading has them exactly and counts them as exact."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from qtaml.errors import ArgumentError
from qtaml.faults import Uniform
from qtaml.formats import Format, Outliers, RootMeanSquare, Section, TableLevels, TensorFormat

FAULT = Uniform(0.1)
FITTED = Format(TableLevels(tuple(np.linspace(-2, 2.5, 8))))


def stored(weights: int, outliers: int) -> TensorFormat:
    """Two sections of fitted words, with a readout gain, which no outlier has."""
    halves = (Section(weights // 2, FITTED), Section(weights - weights // 2, Format()))
    return TensorFormat(halves, RootMeanSquare(), "row", "least_error", 1.25, outliers)


@given(st.lists(st.sampled_from([-3.0, -1.0, 0.0, 1.0, 2.0, 3.0]), min_size=1), st.data())
def test_no_weight_left_is_larger_than_an_outlier(values: list[float], data: st.DataObject) -> None:
    """Of equal ones the first are taken."""
    weights, count = torch.tensor(values), data.draw(st.integers(1, len(values)))
    found = Outliers.of(weights, count)
    # Python's sort is stable.
    first = sorted(sorted(range(len(values)), key=lambda place: -abs(values[place]))[:count])
    assert found.places.tolist() == first
    assert found.values.tolist() == [values[place] for place in first]


def test_what_is_left_is_stored_as_if_the_outliers_were_zeros() -> None:
    """Scale, words, expected weights, variance and reads, but for the places of the outliers."""
    weights = torch.randn(8, 32, generator=torch.Generator().manual_seed(0)) ** 3
    storage, without = stored(256, 5), stored(256, 0)
    outliers = storage.outliers_of(weights)
    assert outliers is not None
    left = outliers.left_of(weights)
    words, scale = storage.encode(weights, FAULT)
    for one, other in zip((words, scale), without.encode(left, FAULT), strict=True):
        assert torch.equal(one, other)
    mean = storage.read_mean(words, scale, FAULT, outliers=outliers)
    read = storage.read(words, scale, FAULT, seed=1, outliers=outliers)
    bias = storage.read_bias(words, scale, weights, FAULT, outliers=outliers)
    variance = storage.read_variance(words, scale, FAULT, outliers=outliers)
    kept = weights.bfloat16().double().reshape(-1)[outliers.places]
    for one, other, exact in (
        (mean, without.read_mean(words, scale, FAULT), kept),
        (read, without.read(words, scale, FAULT, seed=1), kept),
        (bias, without.read_bias(words, scale, weights, FAULT), kept - weights.double().reshape(-1)[outliers.places]),
        (variance, without.read_variance(words, scale, FAULT), torch.zeros(5)),
    ):
        expected = other.reshape(-1).clone()
        expected[outliers.places] = exact.double()
        assert torch.equal(one.reshape(-1), expected)
    summed = storage.summed_variance(words, scale, FAULT, outliers=outliers)
    assert summed == pytest.approx(float(variance.sum()), rel=1e-12)


def test_reads_without_the_outliers_are_refused() -> None:
    """A weight read as 0 in place of the largest would be a wrong number without a word."""
    storage, weights = stored(64, 2), torch.arange(64.0).reshape(2, 32)
    words, scale = storage.encode(weights, FAULT)
    with pytest.raises(ArgumentError, match="outliers must be 2, as outliers_of returns them, got 0"):
        storage.read(words, scale, FAULT, seed=0)
    with pytest.raises(ArgumentError, match="outliers must be a whole number from 0 to 64, got 65"):
        stored(64, 65)


def test_outliers_are_priced() -> None:
    """A gap and a value of 16 bits each, two more for each gap too wide, and their number of 32 bits."""
    for weights, outliers, values in ((64, 0, 0), (64, 3, 8), (2**16, 3, 10)):
        tensor = stored(weights, outliers), stored(weights, 0)
        with_outliers, without = (one.side_values((2, weights // 2)) for one in tensor)
        assert with_outliers - without == values
