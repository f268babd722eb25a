"""Search all the ways to store a network: the least output error within a budget of cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from qtaml import _checks
from qtaml._progress import track
from qtaml.errors import ArgumentError, BudgetError
from qtaml.faults import AnyFault, Several
from qtaml.formats import TensorFormat
from qtaml.planning.allocation import Choice, allocated_error, cell_price, error_bound
from qtaml.planning.measured import gains_at_reads, may_be_beyond, reads_of, with_measured
from qtaml.planning.plan import Plan, TensorPlan, measured_mean
from qtaml.planning.reserve import with_reserve
from qtaml.planning.settings import Design
from qtaml.planning.side_values import side_cells
from qtaml.search.emphasis import drawn, evened, improved
from qtaml.search.expectation import Expectations, Outlook, as_kept
from qtaml.search.menus import Menus, TensorMenu
from qtaml.search.readout import Balanced, balance_readout
from qtaml.search.way import Gains, Way
from qtaml.sensitivity import Calibration
from qtaml.sensitivity.gains import squared_norm

_ROUNDS = 12
"""Budgets that are tried until whole tables and blocks fit."""
_ROUNDING, _SLACK = 1e-12, 1e-9
"""What a plan may exceed its budget by, and what the allocator may, lest it split over a rounding error."""
_FEW = 2**16
"""Weights up to which each way to begin is searched; beyond, the one whose first plan is the best."""
_UNSPENT = 2e-4
"""Share of a budget that may be left over."""
_GAIN_ROUNDS = 2
"""Rounds of gains at the reads of the plan before."""
_FEEDBACK_ROUNDS = 3
"""Plans with rounding errors fed back: of the allocation without, and of ones that know what feedback left before."""
_TRIALS = 2**27
"""Weights x outlooks that a search may take: about a minute of a core. At least `_LEAST_TRIALS` outlooks."""
_LEAST_TRIALS, _MOST_TRIALS = 4, 120
_DRAWN_SHARE, _LEAST_DRAWN = 0.4, 16
"""Share of the trials that are drawn, if they are at least so many."""
_DRAWN, _PROMISING, _TRIALS_BY_READS, _READS_OF_TRIAL, _READS_OF_LAST, _ROUNDS_OF_START = 60, 4, 16, 4, 8, 2
"""By reads, for which forward passes are many: drawn, of these read, trials from there, reads of each, those by which
the readout gains of the plan are balanced, and rounds of that at the start."""
_LOST = 0.1
"""Expected error, over the power of the outputs, above which a large network is searched from evened emphasis."""
_EVENED, _STARTS_OF_LOST, _TRIALS_OF_LOST = (0.25, 0.5, 0.75, 1.0), 3, 40
"""Shares by which emphasis is evened, starts whose readout gains are balanced, and trials from there. CREPE full,
p = 0.05, 0.3 cells: 2.88 by outlook from equal emphasis, 0.66 to 0.48 at these starts, 0.38 after 60 trials."""
_MOST_OPERATIONS = 2e12
"""Floating-point operations of a search by reads: about a minute of a core. SmallCNN takes 1e11."""


@dataclass(frozen=True)
class _Tried:
    """An allocation, and what it is expected to do.

    Attributes:
        way: the menus that it chooses from.
        emphasis: on each tensor, by which cells were allocated.
        choices: what was allocated.
        storages: the same as formats of the tensors.
        outlook: what is expected of it.
        error: what is to be least, expected or of reads.
    """

    way: Way
    emphasis: Mapping[str, float]
    choices: Sequence[Choice]
    storages: Mapping[str, TensorFormat]
    outlook: Outlook
    error: float


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
        self._menus = menus = Menus(calibration, settings)
        names = list(calibration.weights)
        self._fitted = menus.fitted
        self._first = [menus.first(name) for name in track(names, "fitting levels")]
        self._others = [menus.others(name) for name in track(names, "fitting other levels")]
        shorter = [menus.with_shorter_blocks(name) for name in names]
        self._shorter = [menu for menu in shorter if menu]
        self._expectations = Expectations(calibration, settings.known_cells or self.fault, adjust=menus.fitted)

    @cached_property
    def plain_cells(self) -> int:
        """Cells of a plain memory of all weights."""
        return self.bits * sum(weight.numel() for weight in self.calibration.weights.values())

    @cached_property
    def _trained(self) -> Gains:
        """Gains at the trained weights."""
        return Gains({name: gain.squared for name, gain in self.calibration.gains.items()}, coherent=False)

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
        self._check_affordable(cells)
        trained = self._trained
        found = [self._by_outlook(cells, trained)]
        lost = self.calibration.large and self._fitted and found[0].error > _LOST * self.calibration.outputs.power
        if lost:
            found = [self._from_evened(cells, trained, found[0])]
        best = with_measured(self._finished(found[0], cells, trained), self.calibration)
        if self.settings.beyond_first_order and may_be_beyond(best, self.calibration):
            if self._may_be_read_often:
                other, plan = self._by_reads(cells)
                found.append(other)
                best = min(plan, best, key=measured_mean)
            elif lost:
                readout = as_kept(self._balanced_at_reads(found[0].storages, found[0].outlook.gains).gains)
                at_reads = self._finished(found[0], cells, trained, readout)
                best = min(with_measured(at_reads, self.calibration), best, key=measured_mean)
            else:
                best = self._by_gains_at_reads(best, cells)
        fed = [plan for one in found for plan in self._fed_back(one, cells)] if self.settings.feedback else []
        return min([best, *fed], key=measured_mean)

    def _fed_back(self, found: _Tried, cells: float) -> list[Plan]:
        """Plans with rounding errors fed back, the first of an allocation that was found without."""
        plans, gains = [], self._trained
        # Words that make up for each other's errors make up for shrinkage too, but for what noise adds.
        ones = dict.fromkeys(found.storages, 1.0)
        fed = replace(found, storages=self._expectations.fed_back(found.storages))
        for number in range(_FEEDBACK_ROUNDS):
            if number:
                gains = replace(gains, fed_back=self._expectations.shares_left(found.storages, fed.storages))
                found = self._tried(self._way(found.way.menus, gains), cells, gains, found.emphasis, found)
                fed = replace(found, storages=self._expectations.fed_back(found.storages))
            readouts = [ones]
            if self._may_be_read_often:
                balanced = self._balanced_at_reads(fed.storages, ones, _READS_OF_LAST)
                readouts.append(as_kept(balanced.gains))
            # Each is better than the one before, of large networks, which take long to measure; of small ones mostly.
            if not self.calibration.large or number == _FEEDBACK_ROUNDS - 1:
                finished = (self._finished(fed, cells, gains, readout) for readout in readouts)
                plans += [with_measured(one, self.calibration) for one in finished]
        return plans

    @property
    def _may_be_read_often(self) -> bool:
        """Whether the forward passes of a search by reads are affordable. Counted, not timed: plans have to repeat."""
        tensors = len(self.calibration.weights)
        starts = _PROMISING * _READS_OF_TRIAL * _ROUNDS_OF_START * (tensors + 1)
        passes = _DRAWN + starts + _TRIALS_BY_READS * _READS_OF_TRIAL * (tensors + 2)
        return not self.calibration.large and passes * self.calibration.operations <= _MOST_OPERATIONS

    def _by_gains_at_reads(self, best: Plan, cells: float) -> Plan:
        """Plans at the gains at reads of the plan before, as long as that helps."""
        for _ in range(_GAIN_ROUNDS):
            squared = gains_at_reads(best, self.calibration)
            # Whether shrinkage grows with the noise as single errors do, no formula tells: both are tried.
            rounds = [Gains(squared, coherent) for coherent in (False, True)]
            found = [self._finished(self._by_outlook(cells, gains), cells, gains) for gains in rounds]
            tried = [with_measured(one, self.calibration) for one in found]
            if min(map(measured_mean, tried)) >= measured_mean(best):
                break
            best = min(tried, key=measured_mean)
        return best

    def _by_reads(self, cells: float) -> tuple[_Tried, Plan]:
        """The allocation of the least error of reads, from those that are expected to err least, and its plan."""
        trained = self._trained
        promising = sorted(self._drawn(cells, trained, _DRAWN), key=lambda one: one.error)[:_PROMISING]
        names = list(self.calibration.weights)

        def read(one: _Tried, readout: Mapping[str, float], rounds: int) -> _Tried:
            balanced = self._balanced_at_reads(one.storages, readout, _READS_OF_TRIAL, rounds)
            return replace(one, outlook=replace(one.outlook, gains=balanced.gains), error=balanced.bias)

        found = improved(
            sorted((read(one, one.outlook.gains, _ROUNDS_OF_START) for one in promising), key=lambda one: one.error),
            names,
            lambda emphasis, near: read(self._tried(near.way, cells, trained, emphasis, near), near.outlook.gains, 1),
            trials=_TRIALS_BY_READS,
        )
        start = found.outlook.gains
        readout = as_kept(self._balanced_at_reads(found.storages, start, _READS_OF_LAST).gains)
        gains = Gains(gains_at_reads(self._planned(found.storages, cells, readout), self.calibration), coherent=False)
        return found, with_measured(self._finished(found, cells, gains, readout), self.calibration)

    def _balanced_at_reads(
        self,
        storages: Mapping[str, TensorFormat],
        start: Mapping[str, float],
        reads: int = _READS_OF_TRIAL,
        rounds: int = _ROUNDS_OF_START,
    ) -> Balanced:
        """Readout gains of the least error of reads; the noise in them is beyond what the first order knows."""
        measured, plan = self.calibration, self._planned(storages, 1.0)
        found = list(reads_of(plan, measured, reads=reads))
        return balance_readout(
            measured.model,
            measured.few,
            found,
            dict.fromkeys(storages, 0.0),
            start=start,
            rounds=rounds if self._fitted else 0,
            outliers={name: one.outliers_of(measured.weights[name]) for name, one in storages.items()},
        )

    def _by_outlook(self, cells: float, gains: Gains) -> _Tried:
        """The allocation of the least expected error for given gains."""
        # Evenly spaced levels are corrected: no shrinkage adds up, and the sum of effects is what is predicted.
        trials = (
            min(max(_TRIALS // (self.plain_cells // self.bits), _LEAST_TRIALS), _MOST_TRIALS) if self._fitted else 0
        )
        draws = int(_DRAWN_SHARE * trials)
        starts = sorted(self._drawn(cells, gains, draws if draws >= _LEAST_DRAWN else 0), key=lambda one: one.error)
        errors = starts[0].outlook.errors
        names = sorted(errors, key=lambda name: -errors[name])
        return improved(
            starts,
            names,
            lambda emphasis, near: self._tried(near.way, cells, gains, emphasis, near),
            trials=trials - draws,
        )

    def _from_evened(self, cells: float, gains: Gains, other: _Tried) -> _Tried:
        """The allocation of the least expected error from where a relative error of each tensor counts more alike."""
        measured = self.calibration
        strengths = {
            name: gains.squared[name] * float(squared_norm(weight)) for name, weight in measured.weights.items()
        }
        tried = [other] + [
            self._tried(way, cells, gains, evened(strengths, share), None)
            for way in self._affordable(cells, gains)
            for share in _EVENED
        ]
        starts = [
            replace(one, outlook=outlook, error=outlook.error)
            for one in sorted(tried, key=lambda one: one.error)[:_STARTS_OF_LOST]
            for outlook in (self._expectations.balanced(one.storages, gains.squared, one.outlook.gains),)
        ]
        return improved(
            sorted(starts, key=lambda one: one.error),
            list(measured.weights),
            lambda emphasis, near: self._tried(near.way, cells, gains, emphasis, near),
            trials=_TRIALS_OF_LOST,
        )

    def _drawn(self, cells: float, gains: Gains, draws: int) -> list[_Tried]:
        """Every way at equal emphasis; small networks at drawn ones too."""
        ways, names = self._affordable(cells, gains), list(self.calibration.weights)
        return [
            self._tried(way, cells, gains, emphasis, None)
            for way in ways
            for emphasis in drawn(names, draws // len(ways), self.calibration.seed)
        ]

    def _gap(self, way: Way, cells: float, found: _Tried, predicted: float) -> float:
        """The excess over the least that a budget can leave, as a share of it.

        Of the sum of effects over its lower bound, which is a theorem for that sum; where levels are fitted, of what is
        predicted, in which effects of tensors add up or cancel, over the bound of errors that do neither.
        """
        most = max(cells * self.plain_cells - way.fixed, way.floor)
        if self._fitted:
            error, bound = predicted, error_bound(way.incoherent, most)
        else:
            error = sum(map(allocated_error, way.options, found.choices))
            bound = error_bound(way.options, most)
        return max(0.0, error / bound - 1) if bound > 0 else 0.0

    def _tried(
        self, way: Way, cells: float, gains: Gains, emphasis: Mapping[str, float], near: _Tried | None
    ) -> _Tried:
        choices = self._within(way, emphasis, cells)
        storages = {menu.name: menu.storage(own) for menu, own in way.by_menu(choices)}
        readout = near.outlook.gains if near else None
        outlook = self._expectations.outlook(storages, gains.squared, readout)
        return _Tried(way, emphasis, choices, storages, outlook, outlook.error)

    def _way(self, menus: Sequence[TensorMenu], gains: Gains) -> Way:
        trained = self.calibration.gains
        ratios = [
            (gains.squared[menu.name] / trained[menu.name].squared if trained[menu.name].squared else 1.0)
            * gains.fed_back.get(menu.name, 1.0)
            for menu in menus
        ]
        return Way(menus, ratios, gains.coherent)

    @cached_property
    def _cheapest(self) -> list[TensorMenu]:
        """Each tensor in the way that can be cheapest."""
        pairs = zip(self._first, self._others, strict=True)
        return [min((first, *others), key=lambda one: one.least_cells) for first, others in pairs]

    def _affordable(self, cells: float, gains: Gains) -> list[Way]:
        """Ways to scale all tensors, and levels for them, of which the cheapest formats fit a budget."""
        budget = cells * self.plain_cells
        ways = [self._first, self._mixed(budget, gains), self._cheapest]
        if self._shorter:
            ways.append(self._shorter)
        within = [way for way in ways if sum(menu.least_cells for menu in way) <= budget * (1 + _ROUNDING)]
        different = [way for place, way in enumerate(within) if way not in within[:place]]
        return [self._way(menus, gains) for menus in different or [self._cheapest]]

    def _check_affordable(self, cells: float) -> None:
        cheapest = self._planned(
            {menu.name: menu.storage([Choice(0, 0)] * len(menu.sizes)) for menu in self._cheapest}, cells
        )
        if cheapest.cells > cells * (1 + _ROUNDING):
            least = math.ceil(cheapest.cells * 1e4) / 1e4
            raise BudgetError(
                f"cells must be at least {least:g} for the cheapest formats, got {cells:g}", cheapest.overhead
            )

    def _within(self, way: Way, emphasis: Mapping[str, float], cells: float) -> tuple[Choice, ...]:
        """The best choices within a budget by the sum of effects."""
        most = cells * self.plain_cells - way.fixed
        best: tuple[Choice, ...] = tuple(Choice(0, 0) for _ in way.options)
        # What whole tables and code blocks take is known only when the formats are chosen.
        low, high, spent = min(way.floor, most), most, most * (1 + _SLACK)
        for _ in range(_ROUNDS):
            choices = way.choices(max(spent, way.floor), emphasis)
            left = cells * (1 + _ROUNDING) - self._cells(way, choices)
            if left >= 0:
                best, low = choices, spent
            else:
                high = spent
            if left >= 0 and (spent >= most or left <= _UNSPENT * cells):
                break
            # By twice what is too much, since a split costs a second table as long as it stands; then by halves.
            aim = spent + 2 * left * self.plain_cells
            spent = aim if left < 0 and aim > low else (low + high) / 2
        return best

    def _cells(self, way: Way, choices: Sequence[Choice]) -> float:
        """What `Plan.cells` is, without making the plan."""
        words, side_values = way.counted(choices)
        settings = self.settings
        beside = side_cells(
            settings.known_cells or self.fault, side_values, tuple(settings.decoders), tuple(settings.hardened)
        )
        return (words + beside) / self.plain_cells

    def _mixed(self, budget: float, gains: Gains) -> list[TensorMenu]:
        """Each tensor with the scales and levels that are best at the price of a cell."""
        first = self._way(self._first, gains)
        price = cell_price(first.options, max(budget, first.floor))
        return [
            min((menu, *others), key=lambda one: one.priced(price, ratio))
            for menu, others, ratio in zip(self._first, self._others, first.ratios, strict=True)
        ]

    def _planned(
        self, storages: Mapping[str, TensorFormat], cells: float, readout: Mapping[str, float] | None = None
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

    def _finished(self, tried: _Tried, cells: float, gains: Gains, readout: Mapping[str, float] | None = None) -> Plan:
        """The plan with its readout gains, by the outlook if not given, and what it predicts."""
        storages = {name: self._menus.widened(storage) for name, storage in tried.storages.items()}
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
        way = self._way(tried.way.menus, gains)
        return replace(plan, allocation_gap=self._gap(way, cells, tried, plan.first_order_error or 0.0))


class ReserveDesigner:
    """Plans for one network and several memories, of which a chip is one; arguments and errors as for `Designer`."""

    def __init__(self, calibration: Calibration, settings: Design) -> None:
        if not isinstance(settings.fault, Several):
            raise ArgumentError(f"fault must be several memories, got {settings.fault}")
        self.calibration, self.settings, self._fault = calibration, settings, settings.fault
        self._designers: dict[AnyFault, Designer] = {}

    def plan(self, cells: float) -> Plan:
        """The plan of the least error at the worst of the memories, or on average if they have weights."""
        asked = replace(self.settings, cells=_checks.positive("cells", cells))
        return with_reserve(self.calibration, asked, self._fault, lambda one: self._designer(one).plan(cells))

    def _designer(self, fault: AnyFault) -> Designer:
        if fault not in self._designers:
            self._designers[fault] = Designer(self.calibration, replace(self.settings, fault=fault))
        return self._designers[fault]
