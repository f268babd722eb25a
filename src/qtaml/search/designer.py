"""Search all the ways to store a network: the least output error within a budget of cells."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property

from qtaml import _checks
from qtaml._threads import one_thread
from qtaml.errors import BudgetError
from qtaml.formats import TensorFormat
from qtaml.planning.design_settings import Design
from qtaml.planning.measured import fed_back_measured, gains_at_reads, may_be_beyond, reads_of, with_measured
from qtaml.planning.plan import Plan, measured_mean
from qtaml.planning.plan_parts import TensorPlan
from qtaml.search import effort
from qtaml.search.attempts import Attempts
from qtaml.search.emphasis import drawn, evened, evolved, improved
from qtaml.search.expectation import Expectations, as_kept
from qtaml.search.feedback_search import FeedbackSearch
from qtaml.search.menus import Menus
from qtaml.search.trial_reads import TrialReads
from qtaml.search.tried import Tried, error_of
from qtaml.search.way import Gains, Ways
from qtaml.sensitivity import Calibration, output_deviations
from qtaml.sensitivity.gains import squared_norm


class Designer:
    """Plans for one network, one memory and any budget; what is measured of the network is measured once.

    Args:
        calibration: what is measured of the network.
        settings: what is asked, but for the goal, which `plan` has.

    Raises:
        ArgumentError: if nothing can be stored in such a memory.
        ModelError: as `compensate`.
    """

    def __init__(self, calibration: Calibration, settings: Design) -> None:
        self.calibration, self.settings = calibration, settings
        self.fault, self.bits = settings.fault, settings.bits
        with self._threads():
            self._menus = menus = Menus(calibration, settings)
            self._fitted = menus.fitted
            self._ways = Ways(calibration, settings, menus)
        self._expectations = Expectations(calibration, settings.known_cells or self.fault, adjust=menus.fitted)
        self._attempts = Attempts(self._ways, self._expectations)
        self._trial_reads = TrialReads(calibration, self._planned, adjust=menus.fitted)

    @cached_property
    def _trained(self) -> Gains:
        """Gains at the trained weights."""
        return Gains({name: gain.squared for name, gain in self.calibration.gains.items()}, coherent=False)

    @cached_property
    def _feedback(self) -> FeedbackSearch:
        return FeedbackSearch(
            self.calibration,
            self._ways,
            self._expectations,
            self._trial_reads,
            reads_often=self._may_be_read_often,
            words_often=self._words_often,
        )

    def plan(self, cells: float) -> Plan:
        """The plan of the least predicted output error within a budget.

        Args:
            cells: share of a plain memory, above 0.

        Returns:
            The plan.

        Raises:
            ArgumentError: if `cells` is not above 0.
            BudgetError: if the cheapest formats cost more; the message names the least share.
        """
        cells = _checks.positive("cells", cells)
        self._ways.check_affordable(cells)
        with self._threads():
            return self._found(cells)

    def _threads(self) -> AbstractContextManager[None]:
        return one_thread() if self._may_be_read_often else nullcontext()

    def _found(self, cells: float) -> Plan:
        trained = self._trained
        self._trial_reads.forget_errors()
        expected, alike = self._by_outlook(cells, trained)
        found = expected[:1]
        best = with_measured(self._finished(found[0], cells, trained), self.calibration)
        often, large = self._may_be_read_often, self.calibration.large
        if large and (self.settings.rows or self.settings.group is not None):
            best = min(best, self._without_rows(cells, trained), key=measured_mean)
        share = effort.LOST if often or large else effort.LOST_OF_MEDIUM
        lost = self._fitted and found[0].error > share * self.calibration.outputs.power
        if self.settings.beyond_first_order and (lost or self._may_err_otherwise(best, found[0].error)):
            if often or lost:
                other, plan = self._by_reads(cells, expected, alike)
                found = [*found, other] if often else [other]
                best = self._least([plan, best])
            if not (often or (lost and large)):
                best = self._by_gains_at_reads(best, cells)
        feeds = self.settings.feedback and self.calibration.curvatures
        fed = [self._fed_back(found, cells)] if feeds else []
        return self._least([best, *fed, *self._of_words(cells)])

    def _may_err_otherwise(self, plan: Plan, expected: float) -> bool:
        """Whether a plan may err otherwise than is expected; of a network that is read often, whether reads show it.

        Where they do not, a search by reads finds nothing better for other inputs: SmallCNN, ResCNN and a transformer,
        errors within a tenth of what was expected. Plans that err by half as much again get up to a half better.
        """
        beyond = may_be_beyond(plan, self.calibration)
        if not (beyond and self._may_be_read_often and self._fitted):
            return beyond
        return abs(self._trial_reads.error(plan) - expected) > effort.AS_EXPECTED * expected

    def _least(self, plans: Sequence[Plan]) -> Plan:
        """The plan of the least error of reads, of a network that is read often of many more than plans tell of.

        Eight reads differ by a tenth: SmallCNN in raw cells got a plan of 93 where it had one of 83. For known weak
        cells each read is of a chip of its own, which is written first.
        """
        if len(plans) == 1 or plans[0].by_chip or not self._may_be_read_often:
            return min(plans, key=measured_mean)
        return min(plans, key=self._trial_reads.error)

    def _of_words(self, cells: float) -> list[Plan]:
        """The plan without streams, where they are allowed: a search of more formats does not always find it."""
        if self._words is None:
            return []
        try:
            return [replace(self._words.plan(cells), settings=replace(self.settings, cells=cells))]
        except BudgetError:
            return []

    @cached_property
    def _words(self) -> "Designer | None":
        """A designer that is not allowed trellises and entropy-coded blocks; None where this one is not either."""
        decoders = tuple(one for one in self.settings.decoders if one not in ("trellis", "sequential"))
        # The few trials for a large network begin at the best sums of effects, of words too.
        alone = decoders == tuple(self.settings.decoders) or self.calibration.large
        return None if alone else Designer(self.calibration, replace(self.settings, decoders=decoders, feedback=False))

    def _without_rows(self, cells: float, gains: Gains) -> Plan:
        """The plan of one scale for each tensor: what few trials of a large network expect of rows may be wrong."""
        way = self._ways.affordable(cells, gains)[0]
        tried = self._attempts.of_emphasis(way, cells, gains, dict.fromkeys(self.calibration.weights, 1.0), None)
        return with_measured(self._finished(tried, cells, gains), self.calibration)

    def _fed_back(self, starts: Sequence[Tried], cells: float) -> Plan:
        """The best plan with rounding errors fed back, from allocations that were found without."""
        found, best = self._feedback.found(starts, cells, self._trained), 0
        if len(found) > 1:
            # Before windows are widened: streams of wide ones take sixteen times as long to choose.
            plans = [self._planned(one.tried.storages, cells, one.readout) for one in found]
            errors = [one.mean for one in fed_back_measured(plans, self.calibration)]
            best = errors.index(min(errors))
        # Words of few bits that are fed back are as good in narrow windows, sometimes better.
        last = [found[best]] if self._words_often else []
        last.append(self._feedback.widened(found[best], self._menus.widened))
        finished = (self._finished(one.tried, cells, one.gains, one.readout, widen=False) for one in last)
        return min((with_measured(plan, self.calibration) for plan in finished), key=measured_mean)

    @property
    def _words_often(self) -> bool:
        """Whether words with feedback may be chosen for each allocation that a search tries."""
        weights = self.calibration.weights.values()
        chosen = sum(weight.numel() * (len(weight) + weight.numel() // max(len(weight), 1)) for weight in weights)
        unknown = self.settings.weak_cells == "unknown"
        return unknown and self._may_be_read_often and chosen <= effort.MOST_CHOSEN

    @property
    def _may_be_read_often(self) -> bool:
        """Whether the forward passes of a search by reads are affordable. Counted, not timed: plans have to repeat."""
        tensors = len(self.calibration.weights)
        passes = effort.READS_OF_TRIAL * (effort.TRIALS_BY_READS + effort.BALANCED * (tensors + 2))
        return not self.calibration.large and passes * self.calibration.operations <= effort.MOST_OPERATIONS

    def _by_gains_at_reads(self, best: Plan, cells: float) -> Plan:
        """Plans at the gains at reads of the plan before, as long as that helps."""
        for _ in range(effort.GAIN_ROUNDS):
            squared = gains_at_reads(best, self.calibration)
            # Whether shrinkage grows with the noise as single errors do, no formula tells: both are tried.
            rounds = [Gains(squared, coherent) for coherent in (False, True)]
            found = [self._finished(self._by_outlook(cells, gains)[0][0], cells, gains) for gains in rounds]
            tried = [with_measured(one, self.calibration) for one in found]
            if min(map(measured_mean, tried)) >= measured_mean(best):
                break
            best = min(tried, key=measured_mean)
        return best

    def _by_reads(self, cells: float, expected: Sequence[Tried], alike: Sequence[Tried]) -> tuple[Tried, Plan]:
        """The allocation of the least error of reads, from those that are expected to err least, and its plan.

        Args:
            cells: share of a plain memory.
            expected: allocations, the best first.
            alike: for evened emphases. Where errors are large, first order calls tensors weak that cannot be lost
                either.
        """
        trained, often = self._trained, self._may_be_read_often
        if not often:
            starts = [self._from_evened(cells, trained), *([] if self.calibration.large else expected)]
            reads = effort.READS_OF_LOST if self.calibration.large else effort.READS_OF_TRIAL
        else:
            starts, reads = [*expected, *alike], effort.READS_OF_TRIAL

        def read(one: Tried, readout: Mapping[str, float], rounds: int) -> Tried:
            balanced = self._trial_reads.balanced(one.storages, readout, reads, rounds)
            return replace(one, outlook=replace(one.outlook, gains=balanced.gains), error=balanced.bias)

        def attempt(emphasis: Mapping[str, float], near: Tried) -> Tried:
            choices = self._ways.within(near.way, emphasis, cells)
            if choices == near.choices:
                return replace(near, emphasis=emphasis)
            # At the readout gains of the one that it is near to: balancing takes a pass for each tensor and read.
            one = replace(near, emphasis=emphasis, choices=choices, storages=near.way.storages(choices))
            return read(one, near.outlook.gains, 0)

        def settled(one: Tried, near: Tried | None) -> Tried:
            tuned = read(one, (near or one).outlook.gains, 0 if near else 1)
            return min(tuned, one, key=error_of)

        begun = [read(one, one.outlook.gains, 0 if often else effort.ROUNDS_OF_START) for one in starts]
        names = list(self.calibration.weights)
        if often:
            trials = min(effort.TRIALS_BY_READS, self._ratios * effort.READ_OF_A_RATIO)
            best = evolved(begun, names, attempt, settled, trials=trials, seed=self.calibration.seed)
        else:
            best = [improved(sorted(begun, key=error_of), names, attempt, trials=effort.TRIALS_OF_LOST)]
        found = best[0]
        if often:
            # What looked best at few reads was lucky too.
            best = [settled(one, None) for one in best]
            found = min(best, key=lambda one: self._error_of_reads(one, effort.LONGER * reads))
        readout, gains = (
            as_kept(self._trial_reads.balanced(found.storages, found.outlook.gains, 2 * reads).gains),
            trained,
        )
        if often:
            squared = gains_at_reads(self._planned(found.storages, cells, readout), self.calibration)
            gains = Gains(squared, coherent=False)
        return found, with_measured(self._finished(found, cells, gains, readout), self.calibration)

    def _error_of_reads(self, one: Tried, reads: int) -> float:
        """Mean error of so many reads, of which one after the other is in memory."""
        measured, plan = self.calibration, self._planned(one.storages, readout=as_kept(one.outlook.gains))
        return float(output_deviations(measured.model, measured.few, reads_of(plan, measured, reads=reads)).mean())

    def _by_outlook(self, cells: float, gains: Gains) -> tuple[list[Tried], list[Tried]]:
        """Allocations of little expected error for given gains.

        Returns:
            Those that were found, the best first, of networks that are read often some of each of several ways; and of
            these networks the best for each evened emphasis.
        """
        # Evenly spaced levels are corrected: no shrinkage adds up, and the sum of effects is what is predicted.
        weights = self._ways.plain_cells // self.bits
        trials = min(max(effort.TRIALS // weights, effort.LEAST_TRIALS), effort.MOST_TRIALS) if self._fitted else 0
        if not self._may_be_read_often:
            return [self._by_single_changes(cells, gains, trials)], []
        names, seed = list(self.calibration.weights), self.calibration.seed
        even = self._evened(gains)
        begun, attempted = self._of_every_way(cells, gains, even), self._attempts.of_emphasis
        emphases = list(drawn(names, effort.DRAWN if trials else 0, seed))[1:]
        # Each way by itself, and all of them: what looks worse before gains are balanced may be the better one.
        found = [
            evolved(
                [
                    *own,
                    *(self._attempts.of_emphasis(own[0].way, cells, gains, emphasis, None) for emphasis in emphases),
                ],
                names,
                lambda emphasis, near: attempted(near.way, cells, gains, emphasis, near),
                lambda one, near: self._attempts.settled(one, gains, near),
                trials=min(trials, effort.TRIALS_OF_A_WAY, self._ratios * effort.TRIALS_OF_A_RATIO),
                seed=seed,
            )
            for own in zip(*begun, strict=True)
        ]
        every = self._attempts.exchanged(
            [one for own in found for one in own], cells, gains, most=effort.MOST_EXCHANGED if trials else 0
        )
        alike = [min(own, key=error_of) for own in begun]
        # Those that no exchange betters stand in both.
        different = dict.fromkeys([*every, *(one for own in found for one in own)])
        return sorted(different, key=error_of), alike

    @property
    def _ratios(self) -> int:
        """Ratios between the emphases of tensors, which are all that matters of them."""
        return len(self.calibration.weights) - 1

    def _by_single_changes(self, cells: float, gains: Gains, trials: int) -> Tried:
        """The same of a network for which passes take long: at readout gains that are not tuned for each."""
        draws = int(effort.DRAWN_SHARE * trials)
        names = list(self.calibration.weights)
        emphases = drawn(names, draws if draws >= effort.LEAST_DRAWN else 0, self.calibration.seed)
        starts = sorted((one for own in self._of_every_way(cells, gains, emphases) for one in own), key=error_of)
        errors = starts[0].outlook.errors
        return improved(
            starts,
            sorted(errors, key=lambda name: -errors[name]),
            lambda emphasis, near: self._attempts.of_emphasis(near.way, cells, gains, emphasis, near),
            trials=trials - draws,
        )

    def _evened(self, gains: Gains) -> list[Mapping[str, float]]:
        """Emphases by which relative errors of all tensors count more and more alike."""
        weights = self.calibration.weights
        strengths = {name: gains.squared[name] * float(squared_norm(weight)) for name, weight in weights.items()}
        return [evened(strengths, share) for share in (effort.EVENED if self._ratios else effort.EVENED[:1])]

    def _of_every_way(self, cells: float, gains: Gains, emphases: Iterable[Mapping[str, float]]) -> list[list[Tried]]:
        """For each emphasis, the allocations of all ways."""
        ways = self._ways.affordable(cells, gains)
        return [
            [self._attempts.of_emphasis(way, cells, gains, emphasis, None) for way in ways] for emphasis in emphases
        ]

    def _from_evened(self, cells: float, gains: Gains) -> Tried:
        """The allocation of the least expected error from where a relative error of each tensor counts more alike."""
        tried = self._of_every_way(cells, gains, self._evened(gains))
        promising = sorted((one for own in tried for one in own), key=error_of)[: effort.STARTS_OF_LOST]
        return improved(
            sorted((self._attempts.settled(one, gains) for one in promising), key=error_of),
            list(self.calibration.weights),
            lambda emphasis, near: self._attempts.of_emphasis(near.way, cells, gains, emphasis, near),
            trials=effort.TRIALS_OF_LOST,
        )

    def _planned(
        self, storages: Mapping[str, TensorFormat], cells: float = 1.0, readout: Mapping[str, float] | None = None
    ) -> Plan:
        measured = self.calibration
        gains = readout or dict.fromkeys(storages, 1.0)
        entries = [
            TensorPlan.of(
                name, measured.aliases[name], measured.weights[name], replace(storage, readout_gain=gains[name])
            )
            for name, storage in storages.items()
        ]
        return Plan(
            replace(self.settings, cells=cells),
            tuple(entries),
            bits=self.bits,
            outputs=measured.outputs,
            covered=measured.covered,
        )

    def _finished(
        self,
        tried: Tried,
        cells: float,
        gains: Gains,
        readout: Mapping[str, float] | None = None,
        *,
        widen: bool = True,
    ) -> Plan:
        """The plan with its readout gains, by the outlook if not given, and what it predicts."""
        storages = {name: self._menus.widened(one) if widen else one for name, one in tried.storages.items()}
        outlook = (
            self._expectations.at(storages, gains.squared, readout)
            if readout
            else self._expectations.balanced(storages, gains.squared, tried.outlook.gains)
        )
        plan = self._planned(storages, cells, outlook.gains)
        entries = [
            replace(
                entry,
                gain=replace(self.calibration.gains[entry.name], squared=gains.squared[entry.name]),
                predicted_error=outlook.errors[entry.name],
            )
            for entry in plan.tensors
        ]
        plan = replace(plan, tensors=tuple(entries), predicted_bias=outlook.bias)
        way = self._ways.way(tried.way.menus, gains)
        predicted = (plan.first_order_error or 0.0) if self._fitted else None
        return replace(plan, allocation_gap=self._ways.gap(way, cells, tried.choices, predicted))
