"""Allocations for words that make up for each other's rounding errors, from those for words that do not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from qtaml.formats import TensorFormat
from qtaml.search import effort
from qtaml.search.attempts import Attempts
from qtaml.search.emphasis import evolved
from qtaml.search.expectation import Expectations, as_kept
from qtaml.search.trial_reads import TrialReads
from qtaml.search.tried import Tried
from qtaml.search.way import Gains, Ways
from qtaml.sensitivity import Calibration


class Fed(NamedTuple):
    """An allocation with feedback.

    Attributes:
        tried: the allocation.
        gains: at which it was found.
        readout: its readout gains.
    """

    tried: Tried
    gains: Gains
    readout: Mapping[str, float]


class FeedbackSearch:
    """Allocations of one network with rounding errors fed back.

    Args:
        calibration: what is measured of the network.
        ways: to store all tensors.
        expectations: of the network.
        trial_reads: of the network.
        reads_often: whether forward passes are cheap enough to find readout gains at reads.
        words_often: whether words may be chosen for each of many allocations.
    """

    def __init__(
        self,
        calibration: Calibration,
        ways: Ways,
        expectations: Expectations,
        trial_reads: TrialReads,
        *,
        reads_often: bool,
        words_often: bool,
    ) -> None:
        self._calibration, self._ways, self._expectations = calibration, ways, expectations
        self._trial_reads, self._reads_often, self._words_often = trial_reads, reads_often, words_often
        self._attempts = Attempts(ways, expectations)
        self._fed_attempts = Attempts(ways, expectations, feedback=True)

    def found(self, starts: Sequence[Tried], cells: float, trained: Gains) -> list[Fed]:
        """Allocations with feedback, of which one is the best.

        Args:
            starts: allocations that were found without.
            cells: share of a plain memory.
            trained: gains at the trained weights.
        """
        begun = [one for start in starts for one in self._rounds(start, cells, trained)]
        if self._words_often:
            return [one for best in self._evolved(begun, cells) for one in (best, self._balanced(best))]
        return [one for fed in begun for one in ((fed, self._balanced(fed)) if self._reads_often else (fed,))]

    def widened(self, fed: Fed, widen: Callable[[TensorFormat], TensorFormat]) -> Fed:
        """The same with wider windows, words and readout gains of which are found anew."""
        before = fed.tried.storages
        after = self._expectations.fed_back(
            {name: widen(replace(one.without_feedback(), readout_gain=1.0)) for name, one in before.items()}
        )
        moved = {
            name: gain * after[name].feedback_gain / before[name].feedback_gain for name, gain in fed.readout.items()
        }
        found = fed._replace(tried=replace(fed.tried, storages=after), readout=as_kept(moved))
        return self._balanced(found) if self._words_often else found

    def _rounds(self, found: Tried, cells: float, trained: Gains) -> Iterator[Fed]:
        """An allocation that was found without, and what follows from what feedback leaves of each tensor."""
        gains, large = trained, self._calibration.large
        rounds = effort.ROUNDS_OF_LARGE if large else effort.FEEDBACK_ROUNDS
        for number in range(rounds):
            storages = self._expectations.fed_back(found.storages)
            # Each is better than the one before, of large networks, which take long to measure; of small ones mostly.
            if not large or number == rounds - 1:
                # Words that make up for each other's errors make up for shrinkage too, but for what noise adds.
                readout = {name: one.feedback_gain for name, one in storages.items()}
                yield Fed(replace(found, storages=storages), gains, readout)
            if number < rounds - 1:
                gains = replace(gains, fed_back=self._expectations.shares_left(found.storages, storages))
                way = self._ways.way(found.way.menus, gains)
                found = self._attempts.of_emphasis(way, cells, gains, found.emphasis, found)

    def _evolved(self, begun: Sequence[Fed], cells: float) -> list[Fed]:
        """Allocations of little expected error with feedback, as designs without are found."""
        gains, attempts = begun[-1].gains, self._fed_attempts
        starts = []
        for fed in begun:
            outlook = self._expectations.at(fed.tried.storages, gains.squared, fed.readout)
            starts.append(replace(fed.tried, outlook=outlook, error=outlook.error))
        found = evolved(
            starts,
            list(self._calibration.weights),
            lambda emphasis, near: attempts.of_emphasis(near.way, cells, gains, emphasis, near),
            lambda one, near: attempts.settled(one, gains, near),
            trials=effort.FEEDBACK_TRIALS,
            seed=self._calibration.seed,
        )
        best = attempts.exchanged(found, cells, gains, most=effort.MOST_EXCHANGED)
        return [Fed(one, gains, as_kept(one.outlook.gains)) for one in best[: effort.FEEDBACK_COMPARED]]

    def _balanced(self, fed: Fed) -> Fed:
        """At the readout gains of the least error of reads."""
        balanced = self._trial_reads.balanced(fed.tried.storages, fed.readout, 2 * effort.READS_OF_TRIAL)
        return fed._replace(readout=as_kept(balanced.gains))
