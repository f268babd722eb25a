"""Coordinate descent: words are chosen anew for the errors of all other weights, as long as that helps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.faults import FaultModel
from qtaml.formats import trellis
from qtaml.formats.chunks import put, take
from qtaml.formats.format import Format
from qtaml.formats.roundings import Padded, Rounding
from qtaml.formats.weak_bits import WeakBits, weak_at
from qtaml.sensitivity.curvature import Curvature

_SWEEPS, _WORTH = 4, 0.95
"""How often all words are chosen anew at most, and the share of the error that a sweep leaves for another to follow."""
_TOGETHER, _OF_ALL, _FEWER = 256, 64, 8
"""Words of a stream that are chosen at a time, at most one in so many of all, and by what they get fewer where that was
too many: errors of these few should hardly act together."""

_LINE = 16
"""Numbers of a cache line."""

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Stored:
    """A tensor, and how its weights are stored.

    Attributes:
        weights: shape (rows, columns).
        scales: what levels are in units of, of the same shape, above 0.
        formats: each once, with the places of its weights in the flattened tensor.
        kinds: the rounding of each weight, of the same shape; -1 for one whose word is not chosen by itself.
        roundings: of words that are.
        exact: whether a weight is read exactly, whatever its word.
        fault: the fault model that is expected.
        weak: what weak cells do to the words, if the writer knows.
    """

    weights: Singles
    scales: Floats
    formats: Sequence[tuple[Format, Integers]]
    kinds: NDArray[np.int16]
    roundings: Sequence[Rounding]
    exact: NDArray[np.bool_]
    fault: FaultModel
    weak: WeakBits | None = None

    def read(self, words: torch.Tensor) -> tuple[Singles, Singles]:
        """Errors of the expected values read of flat words, and variances, of the shape of the weights."""
        mean, variance = np.zeros(self.weights.size, np.float32), np.zeros(self.weights.size, np.float32)
        if self.weak is not None:
            words = self.weak.read(words.reshape(self.weak.zeros.shape)).reshape(-1)
        for fmt, places in self.formats:
            # A map may hold more bits than the words of this format have.
            own = take(words, torch.from_numpy(places))
            own = own if self.weak is None else own & (2**fmt.bits - 1)
            windows = fmt.windows(own).numpy()
            mean[places], variance[places] = fmt.read_mean(self.fault)[windows], fmt.read_variance(self.fault)[windows]
        errors = self.weights - (mean.reshape(self.weights.shape) * self.scales).astype(np.float32)
        variances = (variance.reshape(self.weights.shape) * self.scales**2).astype(np.float32)
        errors[self.exact], variances[self.exact] = 0.0, 0.0
        return errors, variances

    @cached_property
    def padded(self) -> Padded:
        """The roundings as arrays."""
        return Padded.of(self.roundings)


def descend(words: torch.Tensor, stored: Stored, curvature: Curvature) -> None:
    """Choose words anew, each or some neighbours in a stream for the errors of all others, while what they leave falls.

    What is left to feed back goes both ways: to weights that were rounded before too, and to those of trellises, whose
    words are chosen together. Words of entropy-coded blocks stay.

    Args:
        words: of the tensor, flat, on the CPU; overwritten.
        stored: the tensor, and how its weights are stored.
        curvature: of the tensor.

    Source:
        theory.md 6.12.
    """

    def expected(found: torch.Tensor) -> tuple[Singles, float]:
        errors, variances = stored.read(found)
        return errors, curvature.error(torch.from_numpy(errors)) + curvature.noise(torch.from_numpy(variances))

    if not ((stored.kinds >= 0).any() or any(fmt.levels.window > 1 for fmt, _ in stored.formats)):
        return
    errors, least = expected(words)
    together = min(max(len(words) // _OF_ALL, 1), _TOGETHER)
    for _ in range(_SWEEPS):
        found = words.clone()
        _sweep(found, errors.copy(), stored, curvature, together)
        after, left = expected(found)
        if left >= least:
            if together == 1:
                break
            together = max(together // _FEWER, 1)
            continue
        words.copy_(found)
        if left > _WORTH * least:
            break
        errors, least = after, left


def _sweep(words: torch.Tensor, errors: Singles, stored: Stored, curvature: Curvature, together: int) -> None:
    """Choose all words anew once, those of a stream so many together; errors are overwritten."""
    # Numba takes a second to import, which only feedback should wait for.
    from qtaml.formats.coordinate_descent_kernel import settle_stream, settle_words

    shape = stored.weights.shape
    rows, columns = curvature.rows, curvature.columns
    # What an error moves is written across memory, by the shorter side.
    turned = columns is None or (rows is not None and shape[0] < shape[1])
    across, along = (_single(one) for one in ((columns, rows) if turned else (rows, columns)))
    errors, weights, scales = (_turned(one, turned) for one in (errors, stored.weights, stored.scales))
    moved = errors @ along
    tensor = weights, scales, across, along, errors, _spread(moved.T) if across.size else moved
    if stored.roundings:
        labels = np.zeros(weights.shape, np.int32)
        settle_words(*tensor, _turned(stored.kinds, turned), *stored.padded, labels)
        chosen = np.flatnonzero(stored.kinds >= 0)
        found = _turned(labels, turned).reshape(-1)[chosen]
        put(words, torch.from_numpy(chosen), torch.from_numpy(found))
    for fmt, places in stored.formats:
        if fmt.levels.window == 1:
            continue
        order = trellis.in_order(len(places), fmt.levels)
        of_weights = places[order]
        counted = (order >= 0) & ~stored.exact.reshape(-1)[of_weights]
        # Half as much memory: a tensor may have millions of weights.
        row, column = (one.astype(np.int32) for one in np.divmod(of_weights, shape[1]))
        lines = (column, row) if turned else (row, column)
        first = torch.from_numpy(of_weights[:, 0])
        weak, most = weak_at(stored.weak, first), 2**fmt.levels.bits - 1
        own = take(words, first)
        own = own if weak is None else weak.read(own)
        stream = own.numpy() & most
        stuck = np.zeros(len(stream), np.uint8) if weak is None else weak.stuck.numpy() & most
        state = trellis.state_after(stream, fmt.levels)
        mean, square = (one.reshape(fmt.levels.weights_per_word, -1) for one in fmt.lines("least_error", stored.fault))
        # Stuck bits are read as they were, whatever is written.
        held = stream & stuck
        settle_stream(*tensor, *lines, counted, mean, square, fmt.levels.bits, state, stuck, held, together, stream)
        turned_over = np.uint8(0) if weak is None else weak.turned.numpy() & most
        put(words, first, torch.from_numpy(stream ^ turned_over))


def _single(side: torch.Tensor | None) -> Singles:
    return np.empty((0, 0), np.float32) if side is None else side.float().cpu().numpy()


def _spread(matrix: Singles) -> Singles:
    """With columns that are not used: neighbours in a column then lie an odd number of cache lines apart."""
    height, width = matrix.shape
    spread = np.zeros((height, _LINE * (width // _LINE + 1 | 1)), np.float32)
    spread[:, :width] = matrix
    return spread


def _turned(matrix: NDArray[Any], turned: bool) -> NDArray[Any]:
    return np.ascontiguousarray(matrix.T) if turned else matrix
