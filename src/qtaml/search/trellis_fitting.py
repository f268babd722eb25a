"""Tables of trellises fitted to weights: the alternation of `fitting`, with Viterbi's algorithm in place of regions.

The stream of least expected error under a table, and the table of least error for a stream, in turn. A table is a Walsh
series of few terms: the best coefficients solve the normal equations of E[(v - w)**2], whose entries are those of two
Walsh transforms. The fit begins in a noisier memory, where the best series is linear, and lowers
the noise step by step; each step may take up other terms.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml._random import child_seed
from qtaml.faults import WordLaw
from qtaml.formats import Format, TrellisLevels, WeakBits, walsh
from qtaml.formats.trellis import encode, windows
from qtaml.search.known_chips import Shares, drawn

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Shares by which each word is replaced by a random one, from the first step of the fit to the last. Gaussian weights, 2
# bits at p = .01: 8.9 to 9.1 dB, and 7.5 to 8.4 dB from random tables without these steps.
_NOISES = (0.3, 0.16, 0.08, 0.04, 0.02, 0.0)
_ROUNDS_OF_A_STEP, _LAST_ROUNDS = 5, 8
_MORE_TERMS, _RANDOM_STARTS = 4, 2
# Ridge on the coefficients, as a share of the weights: for terms that no window tells apart.
_RIDGE = 1e-9
# Share of a word below which a value is not fitted anew: what is hardly ever read says nothing.
_LEAST_SHARE = 1e-3


class Shape(NamedTuple):
    """New bits of a word, words of the window, and weights that share a word."""

    bits: int
    window: int
    weights_per_word: int = 1

    @property
    def values(self) -> int:
        """Values of the table."""
        return self.weights_per_word << self.bits * self.window

    @property
    def few_terms(self) -> int:
        """Terms of a short series, which is about as good as a free table where errors are rare or words short."""
        return self.weights_per_word * (self.bits * self.window + 4)


@dataclass(frozen=True)
class Assessed:
    """Levels of a trellis and what they do to weights.

    Attributes:
        levels: the levels.
        error: mean squared error of a weight, over weights and errors of the memory.
        shrinkage: 1 - E[value read x weight] / E[weight**2].
    """

    levels: TrellisLevels
    error: float
    shrinkage: float


def fit_trellis(
    weights: Floats,
    law: WordLaw,
    shape: Shape,
    *,
    terms: int,
    start: TrellisLevels | None = None,
    held: Shares = (),
    seed: int = 0,
) -> Assessed:
    """A table fitted to weights.

    Args:
        weights: of root mean square 1, in any order, shape (weights,).
        law: law of a word read.
        shape: of the trellis.
        terms: terms of its Walsh series; as many as values for a free table.
        start: levels of the same shape to begin from, which spares the noisier memories.
        held: shares of each bit of a word that the writer knows to be held, at 0 and at 1 (`held_at`).
        seed: of the first table, and of the chip.

    Returns:
        The levels, coefficients rounded to float16, and their error on these weights.

    Raises:
        ArgumentError: if there are fewer words than a window has.

    Source:
        theory.md 6.8.
    """
    last, found = _Alternation(weights, law, shape, drawn(held, len(weights), seed)), []
    anew = terms > shape.few_terms or (start is not None and terms < len(start.terms))
    for begin in _starts(last, min(terms, shape.few_terms), seed) if start is None else [start.series]:
        series = begin
        for _ in range(_LAST_ROUNDS):
            after, error = last.next(series, terms, anew=anew)
            # What a fit begins from may have more terms.
            if np.count_nonzero(series) <= terms:
                found.append((error, series))
            series = after
    best = min(found, key=lambda pair: pair[0])[1]
    return assess_trellis(weights, law, levels_of(best, shape), held=held, seed=seed)


def assess_trellis(
    weights: Floats, law: WordLaw, levels: TrellisLevels, *, held: Shares = (), seed: int = 0
) -> Assessed:
    """What levels of a trellis do to weights, by their own best stream; arguments as for `fit_trellis`."""
    shape = Shape(levels.bits, levels.window, levels.weights_per_word)
    found = _Alternation(weights, law, shape, drawn(held, len(weights), seed)).stream(levels.readout())
    power = float(weights @ weights)
    kept = float(found.sums @ found.mean) / power if power else 1.0
    return Assessed(levels, found.error, 1 - kept)


def levels_of(series: Floats, shape: Shape) -> TrellisLevels:
    """Levels of a Walsh series, its coefficients rounded to float16, in which they are stored."""
    kept = series.astype(np.float16).astype(np.float64)
    masks = np.flatnonzero(kept)
    terms = tuple(zip(masks.tolist(), kept[masks].tolist(), strict=True))
    return TrellisLevels(shape.bits, shape.window, terms, shape.weights_per_word)


def _starts(last: "_Alternation", terms: int, seed: int) -> Iterator[Floats]:
    """Series to begin from: one from noisier memories, best in noise, and some of random parities, best without.

    Random parities make tables that look like noise, as in Shannon's proof; a wrong bit changes half of them.
    """
    random, shape = np.random.default_rng(child_seed(seed, "trellis")), last.shape
    series = _series(_linear(shape), shape, random)
    for noise in _NOISES:
        step = replace(last, law=_noisier(last.law, noise))
        for number in range(_ROUNDS_OF_A_STEP):
            more = _MORE_TERMS if number < _ROUNDS_OF_A_STEP // 2 else 0
            series = step.next(series, terms + more, anew=number in (0, 2))[0]
    yield series
    for _ in range(_RANDOM_STARTS):
        masks = 1 + random.choice(shape.values - 1, min(terms, shape.values - 1), replace=False)
        yield _series(masks, shape, random)


def _series(masks: Integers, shape: Shape, random: np.random.Generator) -> Floats:
    """A series of random coefficients, of mean square 1."""
    values, series = random.standard_normal(len(masks)), np.zeros(shape.values)
    series[masks] = values / math.sqrt(float(values @ values))
    return series


class _Stream(NamedTuple):
    """Expected value of each window, how often each is stored, the sum of its weights, and the mean squared error."""

    mean: Floats
    counts: Floats
    sums: Floats
    error: float


@dataclass(frozen=True, eq=False)
class _Alternation:
    """Weights, the law of a word read, the shape of the trellis, and the chip, if the writer knows its weak cells."""

    weights: Floats
    law: WordLaw
    shape: Shape
    weak: WeakBits | None = None

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Integers]:
        """The law of a window, as the loops take it."""
        # Imported where it is called, since Numba takes long to import.
        from qtaml.search import loops

        return loops.arrays_of(Format(TrellisLevels(*self.shape[:2], (), self.shape[2])).window_law_of(self.law))

    def stream(self, table: Floats) -> _Stream:
        """The best stream under a table."""
        from qtaml.search import loops

        groups, _, sizes = self.arrays
        mean, square = loops.expected(groups, sizes, table), loops.expected(groups, sizes, table**2)
        levels = TrellisLevels(*self.shape[:2], (), self.shape[2])
        given = torch.from_numpy(self.weights)
        stored = windows(encode(given, mean, square, levels, self.weak), levels).numpy()
        counts = np.bincount(stored, minlength=len(table)).astype(np.float64)
        sums = np.bincount(stored, weights=self.weights, minlength=len(table)).astype(np.float64)
        total = float(self.weights @ self.weights) - 2 * float(sums @ mean) + float(counts @ square)
        return _Stream(mean, counts, sums, total / len(self.weights))

    def next(self, series: Floats, terms: int, *, anew: bool) -> tuple[Floats, float]:
        """The best series for the best stream under a series, and the error before.

        Args:
            series: shape (values,).
            terms: of the new one.
            anew: whether masks are chosen again, by how far each parity follows the weights; a free table has all.
        """
        from qtaml.search import loops

        table = walsh(series)
        found = self.stream(table)
        _, transposed, sizes = self.arrays
        counts = loops.expected(transposed, sizes, found.counts)
        sums = loops.expected(transposed, sizes, found.sums)
        if terms >= self.shape.values:
            free = np.where(counts > _LEAST_SHARE, sums / np.maximum(counts, _LEAST_SHARE), table)
            return walsh(free) / len(free), found.error
        overlap, follows = walsh(counts), walsh(sums)
        masks = np.argsort(-np.abs(follows), kind="stable")[:terms] if anew else np.flatnonzero(series)
        matrix = overlap[masks[:, np.newaxis] ^ masks]
        matrix[np.diag_indices(len(masks))] += _RIDGE * len(self.weights)
        after = np.zeros_like(series)
        after[masks] = np.linalg.solve(matrix, follows[masks])
        return after, found.error


def _linear(shape: Shape) -> Integers:
    """Masks of single bits of the window; where weights share a word, each with every parity of which weight it is."""
    ones = 1 << np.arange(shape.bits * shape.window)
    tops = np.arange(shape.weights_per_word) << shape.bits * shape.window
    return np.asarray((ones[:, np.newaxis] | tops).reshape(-1), dtype=np.int64)


def _noisier(law: WordLaw, share: float) -> WordLaw:
    """The law of a word of which each group of bits is replaced by a random one in a share of the reads."""
    return WordLaw(tuple((1 - share) * group + share / len(group) for group in law.groups))


def gaussian_weights(count: int, seed: int = 0) -> Floats:
    """Gaussian weights of root mean square 1."""
    drawn = np.random.default_rng(child_seed(seed, "gaussian")).standard_normal(count)
    return np.asarray(drawn / np.sqrt((drawn**2).mean()))
