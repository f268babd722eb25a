"""What weights are expected to be read as, averaged over chips that are each written with a map of their weak cells."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.formats import TensorFormat
from qtaml.formats.scales import of_each

Floats = NDArray[np.float64]

_OF_A_BIN, _MOST_BINS = 128, 64
"""Weights of a bin, and the most bins: coarse words make steps, which no straight line follows."""


def chip_average(
    weights: torch.Tensor, reads: Sequence[torch.Tensor], scale: torch.Tensor, storage: TensorFormat
) -> tuple[torch.Tensor, float]:
    """Expected weights over chips, and the variance over chips around them, summed over the weights.

    What a weight is read as on a chip depends on the weight and on which of its cells happen to be weak. Its mean over
    chips is a function of the weight, the same for all weights of a format: a straight line and the means of bins
    around it. The rest is noise.

    Args:
        weights: of the tensor, any shape, without outliers.
        reads: what each of some chips is expected to read, float64, of the same shape.
        scale: of the tensor.
        storage: how it is stored.
    """
    flat, seen = weights.reshape(-1).double().cpu(), torch.stack([one.reshape(-1) for one in reads]).cpu()
    mean, variance = torch.empty_like(flat), 0.0
    for _, spans in storage.spans_of_formats:
        where = torch.cat([torch.arange(span.start, span.stop) for span in spans])
        of_weights = of_each(torch.where(scale > 0, scale, 1.0), where, weights.shape, storage.granularity)
        unit = of_weights.cpu().expand(where.shape)
        expected, left = _smoothed((flat[where] / unit).numpy(), (seen[:, where] / unit).numpy())
        mean[where] = torch.from_numpy(expected) * unit
        variance += float((torch.from_numpy(left) * unit.square()).sum())
    return mean.to(weights.device).reshape(weights.shape), variance


def _smoothed(weights: Floats, reads: Floats) -> tuple[Floats, Floats]:
    """The expected reading of each weight, and its variance, made larger by what the fit has taken of it."""
    bins = min(max(reads.size // _OF_A_BIN, 1), _MOST_BINS)
    average = reads.mean(0)
    slope, first = np.polyfit(weights, average, 1) if np.ptp(weights) else (0.0, average.mean())
    line = first + slope * weights
    place = np.searchsorted(np.quantile(weights, np.arange(1, bins) / bins), weights)
    counts = np.maximum(np.bincount(place, minlength=bins), 1)
    expected = line + (np.bincount(place, average - line, bins) / counts)[place]
    left = reads.size / max(reads.size - bins - 1, 1)
    return expected, ((reads - expected) ** 2).mean(0) * left
