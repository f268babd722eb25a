"""Histogram of the weights of a tensor: a few thousand points with counts, for tensors of any size."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.errors import ArgumentError

# A temporary in float64 takes 2 MiB: small enough for caches, since each chunk is gone through several times.
_CHUNK = 2**18


@dataclass(frozen=True)
class Weights:
    """Weights as shares at points.

    Attributes:
        points: ascending, shape (points,).
        shares: share of the weights at each.
    """

    points: NDArray[np.float64]
    shares: NDArray[np.float64]

    @cached_property
    def cumulated(self) -> NDArray[np.float64]:
        """Share and sum of the weights below each place between points, shape (2, points + 1)."""
        return np.pad(np.cumsum([self.shares, self.shares * self.points], axis=1), ((0, 0), (1, 0)))

    @cached_property
    def power(self) -> float:
        """Mean square of the points."""
        return float(self.shares @ self.points**2)

    @cached_property
    def cells_of_bits(self) -> Callable[[int], NDArray[np.float64]]:
        """Share and sum of the weights in each of 2**bits cells, with the widths of those of a fine quantiser."""
        # The cube root of the density is the best density of levels (Panter and Dite 1951).
        width = np.gradient(self.points) if len(self.points) > 1 else np.ones(1)
        steps = self.shares ** (1 / 3) * width ** (2 / 3)
        # Levels up to each point, up to a factor; half of its own for each point.
        fineness = np.cumsum(steps) - steps / 2

        def cells(bits: int) -> NDArray[np.float64]:
            places = np.searchsorted(fineness, steps.sum() * np.arange(1, 2**bits) / 2**bits)
            ends = np.concatenate(([0], places, [len(self.points)]))
            return np.diff(self.cumulated[:, ends], axis=1)

        return cache(cells)


@dataclass(frozen=True, eq=False)
class Histogram:
    """The weights of a tensor as points with counts.

    Attributes:
        points: ascending values, in units of the weights, shape (n,).
        counts: how many weights each point stands for, or their total importance; shape (n,).
        within: mean squared distance of a weight from its point, the variance within the bins.

    Raises:
        ArgumentError: if the points are none, not finite or not ascending, or the counts negative, not finite or all 0.

    Example:
        >>> histogram = Histogram.of(torch.tensor([1.0, -1.0, 1.0]))
        >>> histogram.points.tolist(), histogram.counts.tolist()
        ([-1.0, 1.0], [1.0, 2.0])
    """

    points: NDArray[np.float64]
    counts: NDArray[np.float64]
    within: float = 0.0

    def __post_init__(self) -> None:
        points, counts = (np.asarray(array, dtype=np.float64) for array in (self.points, self.counts))
        if points.ndim != 1 or not points.size:
            raise ArgumentError(f"points must be a vector of at least one value, got shape {points.shape}")
        if not np.isfinite(points).all():
            raise ArgumentError(f"points must be finite, got {points[~np.isfinite(points)][0]}")
        falling = np.diff(points) <= 0
        if falling.any():
            raise ArgumentError(
                f"points must be ascending, got {points[1:][falling][0]} after {points[:-1][falling][0]}"
            )
        if counts.shape != points.shape:
            raise ArgumentError(f"counts must be one for each of {points.size} points, got shape {counts.shape}")
        wrong = ~(np.isfinite(counts) & (counts >= 0))
        if wrong.any():
            raise ArgumentError(f"counts must be finite and not negative, got {counts[wrong][0]}")
        if not counts.any():
            raise ArgumentError("counts must not all be 0, got only zeros")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "within", _checks.non_negative("within", self.within))

    @staticmethod
    def of(weights: torch.Tensor, *, bins: int = 8192) -> "Histogram":
        """The weights of a tensor as the means of at most `bins` bins: exact where no bin holds two different weights.

        The bins are of equal width in asinh(w / RMS), fine where the weights are and coarse in the tails, so that one
        large weight does not blur the others. Three passes in chunks; a tensor of no more than `bins` weights is kept
        as it is.

        Args:
            weights: floating, any shape, at least one weight.
            bins: largest number of points.

        Raises:
            ArgumentError: if there is no weight, or one is not finite.
        """
        bins = _checks.integer("bins", bins, 1)
        flat = weights.detach().reshape(-1)
        if not flat.numel() or flat.is_complex():
            raise ArgumentError(
                f"weights must hold at least one real number, got {weights.dtype} of shape {tuple(weights.shape)}"
            )
        low, high = (float(limit) for limit in flat.aminmax())
        if not math.isfinite(low) or not math.isfinite(high):
            raise ArgumentError("weights must be finite, got NaN or infinity")
        if flat.numel() <= bins:
            points, counts = np.unique(flat.cpu().double().numpy(), return_counts=True)
            return Histogram(points, counts.astype(np.float64))
        chunks = torch.split(flat, _CHUNK)
        # fsum adds no rounding of its own, however many chunks there are.
        scale = (math.fsum(float(chunk.cpu().double().square().sum()) for chunk in chunks) / flat.numel()) ** 0.5 or 1.0
        first, last = math.asinh(low / scale), math.asinh(high / scale)
        if first == last:
            return Histogram(np.array([low]), np.array([float(flat.numel())]))
        width = (last - first) / bins
        middles = scale * torch.sinh(first + (torch.arange(bins, dtype=torch.float64, device="cpu") + 0.5) * width)
        # Here, since Numba, with which loops are compiled, takes long to import.
        from qtaml.search import loops

        counted: NDArray[np.float64] = np.zeros(bins)
        away_sum: NDArray[np.float64] = np.zeros(bins)
        squares: list[float] = []
        for chunk in chunks:
            # Distances from the middle of the bin: the variance within bins, less than a millionth of the whole, would
            # be lost in the difference of sums of squares.
            numbers, sums, square = loops.binned(chunk.cpu().double().numpy(), scale, first, width, middles.numpy())
            counted += numbers
            away_sum += sums
            squares.append(square)
        held = counted > 0
        numbers, away_held = counted[held], away_sum[held]
        # Rounding may leave it below 0 where every bin holds equal weights.
        within = max(math.fsum(squares) - float((away_held**2 / numbers).sum()), 0.0) / flat.numel()
        return Histogram(middles[held].numpy() + away_held / numbers, numbers, within)

    @cached_property
    def weights(self) -> Weights:
        """The weights without what is within points."""
        return Weights(self.points, np.asarray(self.counts / self.counts.sum()))

    @cached_property
    def standardised(self) -> tuple[Weights, float, float]:
        """The weights less their mean, in units of their deviation; and these."""
        mean, deviation = self.mean, self.variance**0.5
        return Weights((self.points - mean) / (deviation or 1.0), self.weights.shares), mean, deviation

    @cached_property
    def mean(self) -> float:
        """Mean weight."""
        return float(np.average(self.points, weights=self.counts))

    @cached_property
    def variance(self) -> float:
        """Variance of the weights."""
        return float(np.average((self.points - self.mean) ** 2, weights=self.counts)) + self.within
