"""Levels fitted to weights: channel-optimised scalar quantisation (COSQ) for any law of the word read.

Stored label u is read as v with probability P[u, v], and v stands for table[v]. A weight w stored as u has the expected
squared error s[u] - 2 w m[u] + w**2 with m = P table and s = P table**2, so the best labels are the lower envelope of
straight lines in w; the best table is the posterior mean E[w given v]. Both steps in turn lower the error, but only to
a local optimum: the assignment of labels to cells (intervals of weights) decides the result, and is searched as well.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults import WordLaw
from qtaml.formats.transitions import LARGEST_MATRIX_BITS, transition_matrix
from qtaml.search.histogram import Histogram, Weights

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Relative improvements below which alternation stops, during the search and for its result. From 1e-3 to 1e-6 the rough
# one moves a quick fit (Gaussian weights, 6 and 8 bits, p = 0.05 and 0.01) by up to 0.3 dB, to either side.
_ROUGH, _FINE = 1e-5, 1e-7
# Caps on the alternation, which converges slowly while labels drop out of use one by one.
_ROUGH_ROUNDS, _FINE_ROUNDS = 300, 2000
# At 8 bits and p = 0.01 a quick fit reaches 21.02, 21.34, 21.51 and 21.72 dB with 4, 16, 64 and 256 labels for each
# cell; 256 take four times as long as 64.
_SHORTLIST = 64
# The same where a table for similar weights is known, and by how much another start may then settle worse to be gone on
# from: words for the tensors of SmallCNN (p = 0.1) and of a transformer (0.05) err 0.04% less and 0.14% more on average
# than with 64 and without, in two thirds of the time. Without a known table the second makes 0.2 dB at 8 bits.
_SHORTLIST_OF_SIMILAR, _PROMISING = 16, 1.1
# A sweep of exchanges costs cells x shortlist x labels: above 8 bits words are settled without it.
_MOST_SEARCHED = 2**8
# In units of the variance of the weights: rounding of the error itself, and the least gain that an exchange must bring,
# without which sums that are updated and never computed anew could exchange two equal labels for ever.
_SMALLEST_CHANGE, _SMALLEST_GAIN = 1e-15, 1e-9
# Cells that a disturbance relabels. With 1, 3 and 8 of 6-bit words the mean over six seeds is 11.20, 11.22 and 11.21 dB
# at p = 0.05, and 17.63, 17.64 and 17.62 dB at 0.01.
_KICKED_CELLS = 3


# Laws are told apart by identity: fits and assessments of one pattern of bits share theirs.
_matrix_of = lru_cache(maxsize=256)(transition_matrix)


@lru_cache(maxsize=1024)
def _law_of(word: WordLaw) -> tuple[Floats, Floats, Integers]:
    """A law as the loops take it.

    Loops are imported where they are called, since Numba, with which they are compiled, takes long to import.
    """
    from qtaml.search import loops

    if word.bits > LARGEST_MATRIX_BITS:
        raise ArgumentError(f"law must be of at most {LARGEST_MATRIX_BITS} bits, got {word.bits}")
    return loops.arrays_of(word)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A readout table, the label to store for each weight, and their exact error on the weights of a histogram.

    Errors are means over the weights, in squared units of the weights: E[(v - w)**2] = bias + noise. The bias,
    (E[v] - w)**2, adds up coherently in an output; the noise is the variance of the value read v.

    Attributes:
        table: value of each label when read, shape (2**bits,).
        thresholds: ascending; a weight equal to a threshold belongs below it. Shape (intervals - 1,).
        labels: label of the weights of each interval between thresholds, shape (intervals,).
        bias: mean of (expected - weight)**2.
        noise: mean variance of the value read.
        shrinkage: 1 - E[value read x weight] / E[weight**2]; 0 for weights that are all 0.

    Source:
        theory.md 6.1 and 6.5.
    """

    table: Floats
    thresholds: Floats
    labels: Integers
    bias: float
    noise: float
    shrinkage: float

    @property
    def error(self) -> float:
        """Mean squared error of a weight: bias and noise."""
        return self.bias + self.noise

    def __str__(self) -> str:
        """Labels and errors in one line."""
        errors = f"mean squared error {self.error:.3g}, of which bias {self.bias:.3g} and noise {self.noise:.3g}"
        return f"{len(np.unique(self.labels))} of {len(self.table)} labels in use; {errors}"


def assess(histogram: Histogram, law: WordLaw, table: Floats) -> Fitted:
    """Exact errors of a readout table when each weight is stored as the label of least expected squared error.

    Args:
        histogram: the weights.
        law: law of the word read, of at most 10 bits.
        table: value of each label when read, shape (2**bits,).

    Raises:
        ArgumentError: if the law has more than 10 bits, or the table another length or values that are not finite.

    Example:
        >>> weights = Histogram(np.array([-1.0, 1.0]), np.array([1.0, 1.0]))
        >>> plain = assess(weights, WordLaw.of_bits((0.1,), (0.1,)), np.array([-1.0, 1.0]))
        >>> round(plain.error, 12), round(plain.bias, 12), round(plain.noise, 12)
        (0.4, 0.04, 0.36)
    """
    from qtaml.search import loops

    _law_of(law)
    table = _checked_table("table", table, law)
    expected, variance = read_moments(law, table)
    thresholds, labels = loops.envelope(expected, variance + expected**2)
    stored = labels[np.searchsorted(thresholds, histogram.points)]
    share = histogram.weights.shares
    power = float(share @ histogram.points**2)
    kept = float(share @ (expected[stored] * histogram.points)) / power if power else 1.0
    return Fitted(
        table=table,
        thresholds=thresholds,
        labels=labels,
        bias=float(share @ (expected[stored] - histogram.points) ** 2) + histogram.within,
        noise=float(share @ variance[stored]),
        shrinkage=1 - kept,
    )


def read_moments(law: WordLaw, table: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of the value read for each stored word: those of `qtaml.formats.transitions`, compiled."""
    from qtaml.search import loops

    groups, _, sizes = loops.arrays_of(law)
    # Not P table**2 - (P table)**2, which would cancel where errors are rare.
    return loops.read_moments(groups, sizes, table)


def fit(
    histogram: Histogram, law: WordLaw, *, patience: int = 16, starts: Sequence[Floats] = (), seed: int = 0
) -> Fitted:
    """Readout table and labels fitted to the least mean squared error, by iterated local search.

    Args:
        histogram: the weights.
        law: law of the word read, of at most 10 bits. With 0 bits, every weight is read as the mean.
        patience: number of disturbances of the best solution in a row without improvement that ends the search. 0 is
            quick; it leaves about 0.1 dB at p = 0.05 and half a decibel at 0.01.
        starts: further tables to start from, in units of the weights, such as the table fitted to similar weights.
        seed: the same seed gives the same table.

    Returns:
        The fitted table with its exact error. A label that is never stored is still read as its posterior mean.

    Raises:
        ArgumentError: if the law has more than 10 bits, or what is read does not depend on what is stored (flip
            probability 1/2 everywhere).

    Source:
        theory.md 6.1; the search over labels is new.

    Example:
        >>> weights = Histogram(np.array([-1.0, 1.0]), np.array([1.0, 1.0]))
        >>> fitted = fit(weights, WordLaw.of_bits((0.1,), (0.1,)))
        >>> sorted(fitted.table.round(9).tolist()), round(fitted.error, 9)
        ([-0.8, 0.8], 0.36)
    """
    return assess(histogram, law, fit_table(histogram, law, patience=patience, starts=starts, seed=seed))


def fit_table(
    histogram: Histogram, law: WordLaw, *, patience: int = 16, starts: Sequence[Floats] = (), seed: int = 0
) -> Floats:
    """The table of `fit` alone, for whoever rounds it before it is assessed; arguments and errors as for `fit`."""
    patience = _checks.integer("patience", patience, 0)
    _law_of(law)
    if law.bits and all(float(np.ptp(group, axis=0).max()) < _SMALLEST_CHANGE for group in law.groups):
        raise ArgumentError(
            "law must be one whose word read depends on the one stored, got the same law for every stored word, such as"
            " flip probability 1/2: nothing can be stored"
        )
    # Fitted in units of the deviation, so that tolerances are relative and the result moves with the weights.
    weights, mean, deviation = histogram.standardised
    if deviation <= np.finfo(np.float64).eps * abs(mean):
        return np.full(2**law.bits, mean)
    search = _Search(weights, law, _SHORTLIST_OF_SIMILAR if starts else _SHORTLIST)
    random = np.random.default_rng(child_seed(seed, "fit"))
    known = [(_checked_table("a start", start, law) - mean) / deviation for start in starts]
    settled = [search.settle(table, _ROUGH, _ROUGH_ROUNDS) for table in itertools.chain(known, _starts(search, law))]
    # Exchange of labels takes most of the time; the starts that settle worse hardly ever come out ahead.
    first, *others = _different(sorted(settled, key=lambda state: state.error))[:2]
    promising = [first, *(one for one in others if not starts or one.error <= _PROMISING * first.error)]
    best = min((search.improve(state.table) for state in promising), key=lambda state: state.error)
    failures = 0 if law.bits else patience
    while failures < patience:
        state = search.improve(search.kick(best, random))
        failures = 0 if state.error < best.error * (1 - _ROUGH) - _SMALLEST_CHANGE else failures + 1
        best = min(best, state, key=lambda state: state.error)
    return np.asarray(mean + deviation * search.settle(best.table, _FINE, _FINE_ROUNDS).table)


def settle(histogram: Histogram, law: WordLaw) -> Fitted:
    """Alternation of regions and table from ordered labels, without exchange of labels: quick, for a first look.

    Args:
        histogram: weights of mean 0 and variance 1.
        law: law of the word read, of at most 10 bits.

    Raises:
        ArgumentError: if the law has more than 10 bits.

    Source:
        theory.md 6.1.

    Example:
        >>> weights = Histogram(np.array([-1.0, 1.0]), np.array([1.0, 1.0]))
        >>> round(settle(weights, WordLaw.of_bits((0.1,), (0.1,))).error, 9)
        0.36
    """
    search = _Search(histogram.weights, law)
    return assess(histogram, law, search.settle(next(_starts(search, law)), _ROUGH, _ROUGH_ROUNDS).table)


@dataclass(frozen=True)
class _State:
    """Cells of neighbouring weights with the label of each, and the best table for them.

    Attributes:
        labels: label of each cell, shape (cells,).
        moments: share of the weights and their sum in each cell, shape (2, cells).
        table: mean of the weights read as each label, shape (2**bits,).
        error: mean squared error without the part within points.
    """

    labels: Integers
    moments: Floats
    table: Floats
    error: float


@dataclass(frozen=True)
class _Search:
    """Weights, the law of the word read, and the number of labels tried for each cell."""

    weights: Weights
    word: WordLaw
    shortlist: int = _SHORTLIST

    @property
    def law(self) -> tuple[Floats, Floats, Integers]:
        """The law of the word read, as the loops take it."""
        return _law_of(self.word)

    @cached_property
    def matrix(self) -> Floats:
        """The same as a matrix, P[stored, read]."""
        return _matrix_of(self.word)

    def state(self, labels: Integers, moments: Floats, before: Floats) -> _State:
        """The best table, E[w given label read], for these cells; labels never read keep their value from `before`."""
        from qtaml.search import loops

        table, explained = loops.table_of(*self.law[1:], labels, moments, before)
        return _State(labels, moments, table, self.weights.power - explained)

    def settle(self, table: Floats, tolerance: float, rounds: int) -> _State:
        """Alternate regions and table until the error falls by less than `tolerance` of itself in a round."""
        from qtaml.search import loops

        own = self.weights
        labels, moments, settled, explained = loops.settled(
            own.points, own.cumulated, *self.law, own.power, table, tolerance, _SMALLEST_CHANGE, rounds
        )
        return _State(labels, moments, settled, own.power - explained)

    def improve(self, table: Floats) -> _State:
        """Alternate `settle` and `relabel` until neither lowers the error."""
        best = self.settle(table, _ROUGH, _ROUGH_ROUNDS)
        while True:
            relabelled = self.relabel(best)
            if relabelled is best:
                return best
            state = self.settle(relabelled.table, _ROUGH, _ROUGH_ROUNDS)
            if state.error >= best.error * (1 - _ROUGH):
                return min(best, state, key=lambda state: state.error)
            best = state

    def relabel(self, state: _State) -> _State:
        """Give each cell in turn the label of least error with its best table, until a whole sweep changes none."""
        from qtaml.search import loops

        if len(state.table) > _MOST_SEARCHED or ((matrix := self.matrix).diagonal() == 1).all():
            return state
        tried = np.tile(np.arange(len(matrix)), (len(state.labels), 1))
        if len(matrix) > self.shortlist:
            # The labels of least cost for the cell with the present table.
            lines = matrix @ np.stack((state.table, state.table**2), axis=1)
            costs = lines[:, 1] - 2 * (state.moments[1] / state.moments[0])[:, np.newaxis] * lines[:, 0]
            dearest = np.partition(costs, self.shortlist - 1, axis=1)[:, self.shortlist - 1 : self.shortlist]
            # Of those as dear as the dearest the first, on every machine; to sort all costs takes five times as long.
            order = (costs > dearest).astype(np.int8) - (costs < dearest)
            tried = np.argsort(order, axis=1, kind="stable")[:, : self.shortlist]
        labels, changed = loops.exchanged(matrix, state.labels, state.moments, tried, _SMALLEST_GAIN)
        return self.state(labels, state.moments, state.table) if changed else state

    def kick(self, state: _State, random: np.random.Generator) -> Floats:
        """The table after random cells got random labels."""
        labels = state.labels.copy()
        cells = random.choice(len(labels), min(len(labels), _KICKED_CELLS), replace=False)
        labels[cells] = random.integers(0, len(state.table), len(cells))
        # Labels that are never read any more get the value of a random weight, where they may come into use again.
        afresh = random.choice(self.weights.points, len(state.table), p=self.weights.shares)
        return self.state(labels, state.moments, afresh).table


def _different(states: Sequence[_State]) -> list[_State]:
    """Of states by ascending error those that do not settle at the same error as the one before."""
    return [states[0], *(two for one, two in itertools.pairwise(states) if two.error > one.error * (1 + _ROUGH))]


def _starts(search: _Search, law: WordLaw) -> Iterator[Floats]:
    """Tables of ordered, Gray and sign-magnitude labels, with the most reliable bits as the most significant."""
    cells = search.weights.cells_of_bits(law.bits)
    for labels in _orders(law):
        yield search.state(labels, cells, np.zeros(len(labels))).table


@lru_cache(maxsize=1024)
def _orders(law: WordLaw) -> tuple[Integers, ...]:
    """Words of ascending levels, in each of these orders."""
    rates = law.rates()
    # Reliability |1 - p01 - p10|: 0 for a bit that flips half the time, 1 for one that never does. Stable, so that
    # equal bits keep their order on every machine.
    order = np.argsort([abs(1 - a - b) for a, b in zip(rates.p01, rates.p10, strict=True)], kind="stable")
    index = np.arange(2**law.bits)
    half = 2**law.bits >> 1
    orders = (index, index ^ (index >> 1), np.where(index < half, 2 * half - 1 - index, index - half))
    return tuple(_permuted(words, order) for words in orders)


def _permuted(words: Integers, order: Integers) -> Integers:
    """Words with bit j of each moved to position order[j]."""
    return np.asarray((words[:, np.newaxis] >> np.arange(len(order)) & 1) @ (1 << order), dtype=np.int64)


def _checked_table(name: str, table: Floats, law: WordLaw) -> Floats:
    """Return `table` in float64 if it has a finite value for each label, else raise `ArgumentError`."""
    table = np.asarray(table, dtype=np.float64)
    if table.shape != (2**law.bits,) or not np.isfinite(table).all():
        raise ArgumentError(f"{name} must be {2**law.bits} finite values, one for each label, got {table}")
    return table
