"""Weights with the stuck bits of a chip beside them: what formats do where the writer knows these, and tables for that.

Everything is measured on a sample: weights of a tensor, each with a word of its own of a random chip. The error of one
of `_ASSESSED` weights has a standard error of about 1%.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml.faults import FaultModel, WordLaw
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import Format, TableLevels
from qtaml.formats.transitions import central_moments
from qtaml.protections import Protection
from qtaml.search.candidates import (
    ROUGHLY_NEAR,
    Candidate,
    Pattern,
    cells_of,
    efficient,
    kept_table,
    kept_values,
    law_behind,
    patterns,
    useful,
    worthwhile,
)
from qtaml.search.known_chips import drawn, held_at
from qtaml.search.trellis_fitting import gaussian_weights

Floats = NDArray[np.float64]

_ASSESSED, _FITTED, _LOOKED_AT = 2**15, 2**13, 2**11
"""Weights of which the error of a format is taken, to which tables are fitted, and of a first look."""
_RANDOM_STARTS, _ROUNDS, _FEW_ROUNDS = 6, 40, 8
"""Tables of random order to begin from. Gaussian weights in 3 and 4 raw cells, 10% weak: 11.1 and 14.3 dB from the best
of 6, 0.3 dB less from ordered ones."""
_SETTLED = 1e-4
_LEAST_SHARE = 1e-3
"""Share of a word below which a value is not fitted anew: what is hardly ever read says nothing."""
_LONGEST = 8
"""Bits of the longest word: in a longer one the levels are finer than what weak cells leave of them."""


def assessed(weights: Floats, fmt: Format, fault: FaultModel, seed: int = 0) -> Candidate:
    """A format for weights that are written with a map of the chip's weak cells.

    Args:
        weights: in units of the scale, in any order.
        fmt: the format, words or a trellis.
        fault: how the memory fails, with what the writer knows of it.
        seed: of the chip.
    """
    some = _repeated(weights, _ASSESSED) if fmt.bits else weights
    given = torch.from_numpy(some)
    weak = drawn(held_at(fault, fmt.protections), len(some), seed)
    written = fmt.encode(given, rule="least_error", expecting=fault, weak=weak)
    read = fmt.windows(written).long().numpy()
    mean, variance = fmt.read_mean(fault)[read], fmt.read_variance(fault)[read]
    power = float(some @ some)
    if not power:
        return Candidate(fmt, float(mean @ mean + variance.sum()) / len(some), 0.0)
    # As a share of the power of those that were looked at, which is not quite that of all.
    error = float((mean - some) @ (mean - some) + variance.sum()) / power
    return Candidate(fmt, error * float(weights @ weights) / len(weights), 1 - float(mean @ some) / power)


def _repeated(weights: Floats, count: int) -> Floats:
    """So many of the weights, each as often as the others but for one, in random order."""
    # Repeated in one order, equal weights could share a word.
    random = np.random.default_rng(0)
    rounds = [random.permutation(weights) for _ in range(-(-count // len(weights)))]
    return np.concatenate(rounds)[:count]


@lru_cache(maxsize=16)
def known_menu(protections: tuple[Protection, ...], fault: KnownCells, most_cells: float) -> tuple[Candidate, ...]:
    """Words near the lower convex hull of error over cells for Gaussian weights; arguments as for `gaussian_menu`."""
    gaussian = gaussian_weights(_FITTED)
    words = [
        word
        for word in patterns(efficient(protections, fault), most_cells=most_cells)
        if len(word) <= _LONGEST and useful(word, fault)
    ]
    few = gaussian[:_LOOKED_AT]
    starts = [list(_starts(few, len(word))) for word in words]
    looks = [_fitted(few, *pair, fault, _FEW_ROUNDS) for pair in zip(words, starts, strict=True)]
    rough = [assessed(gaussian, one, fault) for one in looks]
    promising = worthwhile(rough, cells_of, near=ROUGHLY_NEAR)
    found = [_refitted(gaussian, one, fault) for one in promising]
    return worthwhile([assessed(gaussian, one, fault, seed=1) for one in found], cells_of)


def fitted_known(weights: Floats, candidates: Sequence[Candidate], fault: KnownCells) -> list[Candidate]:
    """Words fitted to the weights of a tensor: each once with a free table, once with evenly spaced levels.

    Args:
        weights: of root mean square 1, in any order.
        candidates: words fitted to similar weights, to start from.
        fault: how the memory fails, with what the writer knows of it.
    """
    some = _repeated(weights, _FITTED)
    found = []
    for candidate in candidates:
        word = candidate.format.protections
        fitted = _refitted(some, candidate, fault)
        tables = [kept_table(fitted.readout())]
        if word:
            first, step = kept_values(_even(some, word, fault))
            tables.append(first + step * np.arange(2 ** len(word)))
        formats = (replace(fitted, levels=TableLevels(tuple(table.tolist()))) for table in tables)
        found += [assessed(weights, fmt, fault, seed=1) for fmt in formats]
    return found


@dataclass(frozen=True, eq=False)
class _Sample:
    """Weights with the bits of their words that are held, and the law of what else fails.

    Loops are imported where they are called, since Numba, with which they are compiled, takes long to import.
    """

    weights: Floats
    law: WordLaw
    stuck: NDArray[np.int64]
    held: NDArray[np.int64]

    @staticmethod
    def of(weights: Floats, word: Pattern, fault: KnownCells) -> "_Sample":
        """Weights with a random chip."""
        weak, mask = drawn(held_at(fault, word), len(weights), seed=0), (1 << len(word)) - 1
        none = np.zeros(len(weights), np.int64)
        if weak is None:
            return _Sample(weights, law_behind(word, fault), none, none)
        stuck = weak.stuck.numpy().astype(np.int64) & mask
        return _Sample(weights, law_behind(word, fault), stuck, weak.zeros.numpy().astype(np.int64) & stuck)

    def read(self, table: Floats) -> tuple[Floats, NDArray[np.int64], float]:
        """Expected value of each label, the label meant for each weight, and the mean squared error."""
        from qtaml.formats.readable import nearest
        from qtaml.search import loops

        groups, _, sizes = self._arrays
        mean, square = loops.expected(groups, sizes, table), loops.expected(groups, sizes, table**2)
        labels = nearest(self.weights, mean, square, np.arange(len(table)), self.stuck, self.held)
        costs = self.weights * (self.weights - 2 * mean[labels]) + square[labels]
        return mean, labels, float(costs.mean())

    def next(self, table: Floats) -> tuple[Floats, float]:
        """The best table for the labels under a table, and the error before."""
        from qtaml.search import loops

        _, labels, error = self.read(table)
        _, transposed, sizes = self._arrays
        counts = loops.expected(transposed, sizes, np.bincount(labels, minlength=len(table)).astype(np.float64))
        totals = np.asarray(np.bincount(labels, self.weights, len(table)), dtype=np.float64)
        sums = loops.expected(transposed, sizes, totals)
        return np.where(counts > _LEAST_SHARE, sums / np.maximum(counts, _LEAST_SHARE), table), error

    @cached_property
    def _arrays(self) -> tuple[Floats, Floats, NDArray[np.int64]]:
        from qtaml.search import loops

        return loops.arrays_of(self.law)


def _refitted(weights: Floats, candidate: Candidate, fault: KnownCells) -> Format:
    """A format fitted to other weights, from its own table."""
    return _fitted(weights, candidate.format.protections, [candidate.format.readout()], fault, _ROUNDS)


def _fitted(weights: Floats, word: Pattern, starts: Sequence[Floats], fault: KnownCells, rounds: int) -> Format:
    """A word with a table of its own, by alternation of labels and table from several starts."""
    if not word:
        return Format(TableLevels((float(weights.mean()),)), ())
    sample, best = _Sample.of(weights, word, fault), (math.inf, np.zeros(0))
    for start in starts:
        table, before = start, math.inf
        for _ in range(rounds):
            after, error = sample.next(table)
            best = min(best, (error, table), key=lambda pair: pair[0])
            if before - error < _SETTLED * error:
                break
            table, before = after, error
    return Format(TableLevels(tuple(best[1].tolist())), word)


def _starts(weights: Floats, bits: int) -> Iterator[Floats]:
    """Quantiles of the weights in the order of the labels, of Gray labels, and in random orders."""
    levels, index = np.quantile(weights, (np.arange(2**bits) + 0.5) / 2**bits), np.arange(2**bits)
    yield levels
    yield levels[np.argsort(index ^ (index >> 1))]
    random = np.random.default_rng(0)
    for _ in range(_RANDOM_STARTS):
        yield random.permutation(levels)


def _even(weights: Floats, word: Pattern, fault: KnownCells) -> tuple[float, float]:
    """First value and step of evenly spaced levels, by alternation of labels and a straight line."""
    sample, labels = _Sample.of(weights, word, fault), np.arange(2.0 ** len(word))
    mean, variance = central_moments(labels, sample.law)[:2]
    spread = float(np.abs(weights).max())
    best = (math.inf, 0.0, 0.0)
    for reach in (0.25, 0.5, 0.75, 1.0):
        step = 2 * reach * spread / len(labels)
        first = -step * (len(labels) - 1) / 2
        for _ in range(_ROUNDS):
            _, stored, error = sample.read(first + step * labels)
            if error >= best[0] * (1 - _SETTLED):
                break
            best = (error, first, step)
            # E[(first + step v - w)**2] over labels stored and read: two normal equations.
            m, s = mean[stored], (mean**2 + variance)[stored]
            matrix = np.array([[1.0, m.mean()], [m.mean(), s.mean()]])
            first, step = np.linalg.lstsq(matrix, np.array([weights.mean(), (weights * m).mean()]))[0].tolist()
    return best[1:]
