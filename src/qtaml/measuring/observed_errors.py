"""Observed error rates of a memory, and a family-wise test of them against the plan's fault model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from qtaml import _checks, _tables
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.faults import AnyFault, WordLaw
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.share_intervals import binomial_interval
from qtaml.memory import Artifact, check_words, regions, words_as_read
from qtaml.protections import Protection

_Position = tuple[int, int, Protection]
"""Length of a word, bit position, and protection."""
_Counts = NDArray[np.int64]
"""For each position, bits stored as 0 and as 1; shape (positions, 2)."""


@dataclass(frozen=True)
class ObservedRate:
    """How often bits of one value, at one position under one protection, were read wrong.

    Attributes:
        word_bits: length of their words.
        bit: bit position, 0 for the least significant.
        protection: what protects them.
        stored: the bit that was stored, 0 or 1.
        wrong: how many were read wrong.
        of: number of these bits.
        low: lower end of the interval of the rate.
        high: upper end.
        assumed: the rate that the plan assumes for the words that are stored.
        at_most: the assumed rate is an upper bound, as for codes whose residual rate is one.
        departs: rejected by a family-wise test at 5%: in 95% of reads under the plan's fault model no rate of all lies
            so far off.
    """

    word_bits: int
    bit: int
    protection: Protection
    stored: int
    wrong: int
    of: int
    low: float
    high: float
    assumed: float
    at_most: bool
    departs: bool

    @property
    def rate(self) -> float:
        """The rate observed."""
        return self.wrong / self.of

    @property
    def estimate(self) -> Estimate:
        """The rate with its interval, as one record."""
        return Estimate(self.rate, self.low, self.high, "reads")

    def __str__(self) -> str:
        """In one line."""
        assumed = f"{'at most ' * self.at_most}{self.assumed:.3g} assumed{', departs' * self.departs}"
        place = f"bit {self.bit} of {self.word_bits}, {self.protection}"
        return f"{place}: {self.stored} read wrong {self.estimate:.3g}, {assumed}"


@dataclass(frozen=True)
class ObservedErrors(Sequence[ObservedRate]):
    """The rates of a memory, as a sequence.

    Attributes:
        rates: longest words and most significant bits first.
        fault: how the plan assumes the memory to fail.
        by_chip: the words are assumed to have been written with a map of this chip's weak cells.
    """

    rates: tuple[ObservedRate, ...]
    fault: AnyFault
    by_chip: bool = False

    @overload
    def __getitem__(self, index: int) -> ObservedRate: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ObservedRate, ...]: ...
    def __getitem__(self, index: int | slice) -> ObservedRate | tuple[ObservedRate, ...]:
        return self.rates[index]

    def __len__(self) -> int:
        return len(self.rates)

    def __str__(self) -> str:
        """The rates as a table."""
        return _tables.as_text(self.table(), width=146)

    def table(self) -> Table:
        """The rates as a rich table, one row for each position and protection."""
        departing = sum(rate.departs for rate in self.rates)
        verdict = f"{departing} of {len(self)} rates are not as assumed" if departing else "all rates are as assumed"
        if departing and self.by_chip:
            verdict += "; words that were not written for this chip are read so"
        written = ", written for the chip" * self.by_chip
        table = _tables.captioned_table(
            f"bits read back, against {self.fault}{written}",
            f"[95% interval]; {verdict} (false alarms: 5%, all of them together)",
        )
        for column in ("bit", "protection", "bits", "0 read as 1", "1 read as 0", "assumed", ""):
            table.add_column(column, justify="left" if column in ("protection", "") else "right")
        for (word_bits, bit, protection), some in groupby(self, lambda row: (row.word_bits, row.bit, row.protection)):
            pair = list(some)
            observed = {row.stored: f"{row.estimate:.3g}" for row in pair}
            assumed = dict.fromkeys(f"{'at most ' if row.at_most else ''}{row.assumed:.3g}" for row in pair)
            table.add_row(
                f"{bit} of {word_bits}",
                str(protection),
                f"{sum(row.of for row in pair):,}",
                *(observed.get(stored, "-") for stored in (0, 1)),
                ", ".join(assumed),
                "departs" if any(row.departs for row in pair) else "",
            )
        return table


def observed_errors(
    stored: Artifact, words: Mapping[str, torch.Tensor], *, confidence: float = 0.95, reads: int = 199, seed: int = 0
) -> ObservedErrors:
    """Error rates of each bit position in words that were read back, beside those that the plan assumes.

    A family-wise test by simulation: the stored words are also read `reads` times under the plan's fault model. With
    z = |wrong - expected| / sqrt(variance of independent bits), a rate departs if its z exceeds the 95% quantile, over
    these reads, of the largest z of all rates. That holds however errors are correlated. For correlated errors the
    intervals are those of the effective number of independent bits, of / (simulated over independent variance).

    Args:
        stored: what was stored.
        words: the words that were read back, for each tensor, as for `Memory.with_words`.
        confidence: coverage of each interval, in (0, 1).
        reads: how often the plan's errors are drawn, at least 19.
        seed: of those draws.

    Returns:
        A row for each word length, bit position, protection and stored bit of which there are any; longest words and
        most significant bits first.

    Raises:
        ArgumentError: if the words do not fit, or a number is out of its range.

    Source:
        Westfall and Young, Resampling-Based Multiple Testing, 1993: the largest of all statistics.

    Example:
        >>> from qtaml.planning import uniform_msp
        >>> from qtaml.memory import store
        >>> model = torch.nn.Linear(100, 10)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=7))
        >>> flipped = {name: tensor.words ^ 1 for name, tensor in memory.tensors.items()}
        >>> rows = observed_errors(memory.artifact, flipped)
        >>> [(row.bit, row.stored, row.rate, round(row.assumed, 9), row.departs) for row in rows[-2:]]
        [(0, 0, 1.0, 0.1, True), (0, 1, 1.0, 0.1, True)]
    """
    for entry in stored.plan.tensors:
        check_words(entry, words.get(entry.name))
    reads = _checks.integer("reads", reads, 19)
    confidence = _checks.confidence(confidence)
    positions, totals, expected = _positions(stored)
    if not positions:
        return ObservedErrors((), stored.plan.fault, stored.plan.by_chip)
    wrong, assumed = _wrong(stored, words, positions), stored.plan.of_written
    drawn = np.stack(
        [
            _wrong(stored, words_as_read(stored, seed=child_seed(seed, "as assumed", read), fault=assumed), positions)
            for read in track(range(reads), "errors as assumed")
        ]
    )
    variance = expected * (1 - expected / np.maximum(totals, 1))
    bounds = np.array([[protection.is_bound] * 2 for _, _, protection in positions])
    # The memory itself is one more draw under the assumption: with n reads, rank ceil(0.95 (n + 1)) keeps the test
    # exact.
    limit = np.sort(_distance(drawn, expected, variance, bounds).max((1, 2)))[math.ceil(0.95 * (reads + 1)) - 1]
    departs = _distance(wrong, expected, variance, bounds) > limit
    # Simulated variance over that of independent bits. Not below 1: a small sample must not narrow an interval.
    spread = np.maximum(drawn.var(0, ddof=1) / np.where(variance > 0, variance, np.inf), 1)
    rows = []
    for (place, value), of in np.ndenumerate(totals):
        # A bit that no stored word has at a position has no rate.
        if of:
            rate = float(wrong[place, value] / of)
            low, high = map(float, binomial_interval(rate, float(of / spread[place, value]), confidence))
            rows.append(
                ObservedRate(
                    *positions[place],
                    stored=value,
                    wrong=int(wrong[place, value]),
                    of=int(of),
                    low=low,
                    high=high,
                    assumed=float(expected[place, value] / of),
                    at_most=bool(bounds[place, value]),
                    departs=bool(departs[place, value]),
                )
            )
    # In the order of the table, whatever the order of tensors in the plan.
    rows.sort(key=lambda row: (-row.word_bits, -row.bit, row.protection.cells, str(row.protection), row.stored))
    return ObservedErrors(tuple(rows), stored.plan.fault, stored.plan.by_chip)


def _positions(stored: Artifact) -> tuple[list[_Position], _Counts, NDArray[np.float64]]:
    """Every position, how many bits are stored there, and how many of them are expected to be read wrong."""
    totals: dict[_Position, _Counts] = {}
    expected: dict[_Position, NDArray[np.float64]] = {}
    for entry in stored.plan.tensors:
        words = stored.tensors[entry.name].words.reshape(-1)
        for region in regions(entry.storage):
            amounts = _amounts(region.words_of(words), region.format.bits)
            wrong = _probabilities_wrong(region.format.law(stored.plan.of_written))
            for bit in region.bits:
                ones = np.arange(2**region.format.bits) >> bit & 1
                position = region.format.bits, bit, region.format.protections[bit]
                totals.setdefault(position, np.zeros(2, np.int64))
                expected.setdefault(position, np.zeros(2))
                for value in (0, 1):
                    totals[position][value] += amounts[ones == value].sum()
                    expected[position][value] += (amounts * wrong[bit])[ones == value].sum()
    return list(totals), np.array(list(totals.values())), np.array(list(expected.values()))


def _probabilities_wrong(law: WordLaw) -> NDArray[np.float64]:
    """For each bit position and each stored word, the probability that the bit is read wrong."""
    rows, words, first = [], np.arange(2**law.bits), 0
    for group in law.groups:
        bits = len(group).bit_length() - 1
        # A law factorises into groups of bits that fail together, such as those of one multi-level cell.
        held = words >> first & (len(group) - 1)
        for bit in range(bits):
            values = np.arange(len(group)) >> bit & 1
            differs = values[:, None] != values[None, :]
            rows.append((group * differs).sum(1)[held])
        first += bits
    return np.array(rows)


def _wrong(stored: Artifact, words: Mapping[str, torch.Tensor], positions: list[_Position]) -> _Counts:
    """Number of bits that were read wrong at each position, stored as 0 and as 1."""
    wrong = {position: np.zeros(2, np.int64) for position in positions}
    for entry in stored.plan.tensors:
        before, after = (one.reshape(-1) for one in (stored.tensors[entry.name].words, words[entry.name]))
        # Flipped bits that were stored as 1 fall, the others rise: asymmetric cells err in one direction more often.
        flipped = before ^ after.to(before.device)
        falling = flipped & before
        for region in regions(entry.storage):
            bits = region.format.bits
            for value, some in ((0, flipped ^ falling), (1, falling)):
                amounts = _amounts(region.words_of(some), bits)
                for bit in region.bits:
                    of_bit = amounts[np.arange(2**bits) >> bit & 1 == 1].sum()
                    wrong[bits, bit, region.format.protections[bit]][value] += of_bit
    return np.array(list(wrong.values()))


def _amounts(words: torch.Tensor, bits: int) -> _Counts:
    """Number of words of each label."""
    # bincount takes no uint16.
    labels = words if words.dtype == torch.uint8 else words.int()
    counts: _Counts = torch.bincount(labels, minlength=2**bits).cpu().numpy()
    return counts


def _distance(
    wrong: _Counts, expected: NDArray[np.float64], variance: NDArray[np.float64], bounds: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scores z = |wrong - expected| / sqrt(variance); (wrong - expected)+ where the assumed rate is an upper bound."""
    off = wrong - expected
    off = np.where(bounds, np.maximum(off, 0), np.abs(off))
    with np.errstate(divide="ignore", invalid="ignore"):
        # An expected count of 0 or of all may be off by its rounding, and its variance is then about 0: no division.
        return np.where(off > 1e-6, off / np.sqrt(variance), 0.0)
