"""Histograms of weights: what they keep exactly, and what they refuse."""

import math

import numpy as np
import pytest
import torch

from qtaml.errors import ArgumentError
from qtaml.search import Histogram


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("outlier", [0.0, 1000.0])
def test_a_histogram_keeps_count_mean_and_power(dtype: torch.dtype, outlier: float) -> None:
    """Exactly, for more weights than bins, also beside a weight far larger than the others."""
    weights = torch.randn(50_000, generator=torch.Generator().manual_seed(0)).to(dtype)
    weights[0] = outlier
    histogram, exact = Histogram.of(weights, bins=1000), weights.double()
    assert len(histogram.points) <= 1000
    assert histogram.counts.sum() == 50_000
    assert histogram.mean == pytest.approx(float(exact.mean()), rel=1e-9)
    assert histogram.variance == pytest.approx(float(exact.var(correction=0)), rel=1e-9)


def test_bins_are_of_equal_width_in_asinh() -> None:
    """No two points share a bin, and each holds the mean of its weights; the weights stay as they are."""
    weights = torch.randn(50_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = weights.clone()
    histogram = Histogram.of(weights, bins=100)
    assert torch.equal(weights, before)
    stretched = torch.asinh(weights / weights.square().mean().sqrt())
    width = (stretched.max() - stretched.min()) / 100
    index = ((stretched - stretched.min()) / width).long().clamp(max=99)
    counts = torch.bincount(index, minlength=100)
    means = torch.bincount(index, weights, minlength=100) / counts
    assert histogram.counts.tolist() == counts[counts > 0].tolist()
    assert histogram.points == pytest.approx(means[counts > 0].numpy(), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("points", "counts", "message"),
    [
        ([], [], "points must be a vector of at least one value"),
        ([0.0, math.nan], [1, 1], "points must be finite, got nan"),
        ([1.0, 0.0], [1, 1], "points must be ascending, got 0.0 after 1.0"),
        ([0.0, 1.0], [1], "counts must be one for each of 2 points"),
        ([0.0, 1.0], [1, -2], "counts must be finite and not negative, got -2"),
        ([0.0, 1.0], [0, 0], "counts must not all be 0"),
    ],
)
def test_a_wrong_histogram_is_refused(points: list[float], counts: list[float], message: str) -> None:
    """The message says what was wrong."""
    with pytest.raises(ArgumentError, match=message):
        Histogram(np.array(points), np.array(counts))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.empty(0), "weights must hold at least one"),
        (torch.tensor([1.0, math.inf]), "weights must be finite"),
        (torch.tensor([math.nan, 1.0]), "weights must be finite"),
    ],
)
def test_wrong_weights_are_refused(weights: torch.Tensor, message: str) -> None:
    """Before anything is fitted."""
    with pytest.raises(ArgumentError, match=message):
        Histogram.of(weights)
