"""What weights are expected to be read as, averaged over chips that are each written with a map of their weak cells."""

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.formats import TensorFormat
from qtaml.formats.scales import of_each

Floats = NDArray[np.float64]

_OF_A_BIN, _MOST_BINS = 128, 64
"""Weights of a bin, and the most bins: coarse words make steps, which no straight line follows."""


def chip_average(
    weights: torch.Tensor, read: torch.Tensor, scale: torch.Tensor, storage: TensorFormat
) -> tuple[torch.Tensor, float]:
    """Expected weights over chips, and the variance over chips around them, summed over the weights.

    From one chip: what a weight is read as there depends on the weight and on which cells happen to be weak. Its mean
    over chips is a function of the weight, the same for all weights of a format: a straight line and the means of bins
    around it. The rest is noise.

    Args:
        weights: of the tensor, any shape, without outliers.
        read: what a chip is expected to read, float64, of the same shape.
        scale: of the tensor.
        storage: how it is stored.
    """
    flat, seen = weights.reshape(-1).double(), read.reshape(-1)
    mean, variance = torch.empty_like(seen), 0.0
    for _, spans in storage.spans_of_formats:
        where = torch.cat([torch.arange(span.start, span.stop, device=flat.device) for span in spans])
        of_each_weight = of_each(torch.where(scale > 0, scale, 1.0), where, weights.shape, storage.granularity)
        unit = of_each_weight.expand(where.shape)
        expected, left = _smoothed((flat[where] / unit).cpu().numpy(), (seen[where] / unit).cpu().numpy())
        squared = torch.from_numpy(left**2).to(unit.device)
        mean[where] = torch.from_numpy(expected).to(unit.device) * unit
        variance += float((squared * unit.square()).sum())
    return mean.reshape(weights.shape), variance


def _smoothed(weights: Floats, read: Floats) -> tuple[Floats, Floats]:
    """The expected reading of each weight, and what is read off it, made larger by what the fit has taken of it."""
    bins = min(max(len(weights) // _OF_A_BIN, 1), _MOST_BINS)
    slope, first = np.polyfit(weights, read, 1) if np.ptp(weights) else (0.0, read.mean())
    line = first + slope * weights
    edges = np.quantile(weights, np.arange(1, bins) / bins)
    place = np.searchsorted(edges, weights)
    counts = np.maximum(np.bincount(place, minlength=bins), 1)
    expected = line + (np.bincount(place, read - line, bins) / counts)[place]
    taken = min(bins + 1, len(weights) - 1)
    return expected, (read - expected) * np.sqrt(len(weights) / max(len(weights) - taken, 1))
