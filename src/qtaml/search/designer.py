"""Search all the ways to store a network: the least output error within a budget of cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from qtaml import _checks
from qtaml._progress import track
from qtaml.errors import ArgumentError, BudgetError
from qtaml.faults import AnyFault, Several
from qtaml.planning.allocation import Choice, Options, allocate, allocated_error, cell_price, error_bound
from qtaml.planning.measured import gains_at_reads, may_be_beyond, with_measured
from qtaml.planning.plan import Plan, TensorPlan, measured_mean
from qtaml.planning.reserve import with_reserve
from qtaml.planning.settings import Design
from qtaml.search.expectation import Expectations, Outlook
from qtaml.search.menus import Menus, TensorMenu
from qtaml.sensitivity import Calibration

_ROUNDS = 12
"""Budgets that are tried until whole tables and blocks fit."""
_ROUNDING, _SLACK = 1e-12, 1e-9
"""What a plan may exceed its budget by, and what the allocator may, lest it split over a rounding error."""
_FEW = 2**16
"""Weights up to which each way to begin is searched; beyond, the one whose first plan is the best."""
_UNSPENT = 2e-4
"""Share of a budget that may be left over."""
_WIDEST, _FINEST = 4.0, 1.2
"""Factors on the emphasis of a tensor that are tried: the widest, then its square roots, to the finest."""
_WORTH = 1e-3
"""Least share by which a change has to lower the predicted error."""
_GAIN_ROUNDS = 2
"""Rounds of gains at the reads of the plan before."""
_TRIALS = 2**27
"""Weights x outlooks that a search may take: about a minute of a core. At least `_LEAST_TRIALS` outlooks."""
_LEAST_TRIALS, _MOST_TRIALS = 4, 400


@dataclass(frozen=True)
class _Tried:
    """A plan, and what it is expected to do."""

    plan: Plan
    choices: Sequence[Choice]
    outlook: Outlook


@dataclass(frozen=True)
class Gains:
    """Gains of a round of the search.

    Attributes:
        squared: of independent errors, for each tensor.
        coherent: whether the error by shrinkage grows with them from its value at the trained weights.
    """

    squared: Mapping[str, float]
    coherent: bool


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
        self._expectations = Expectations(calibration, self.fault, adjust=menus.fitted)

    @cached_property
    def plain_cells(self) -> int:
        """Cells of a plain memory of all weights."""
        return self.bits * sum(weight.numel() for weight in self.calibration.weights.values())

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
        trained = Gains({name: gain.squared for name, gain in self.calibration.gains.items()}, coherent=False)
        best = with_measured(self._best(cells, trained), self.calibration)
        beyond = self.settings.beyond_first_order and may_be_beyond(best, self.calibration)
        for _ in range(_GAIN_ROUNDS if beyond else 0):
            squared = gains_at_reads(best, self.calibration)
            # Whether shrinkage grows with the noise as single errors do, no formula tells: both are tried.
            found = [self._best(cells, Gains(squared, coherent)) for coherent in (False, True)]
            tried = [with_measured(one, self.calibration) for one in found]
            if min(map(measured_mean, tried)) >= measured_mean(best):
                break
            best = min(tried, key=measured_mean)
        return best

    def _best(self, cells: float, gains: Gains) -> Plan:
        """The best plan for given gains."""
        alike = dict.fromkeys(self.calibration.weights, 1.0)
        ways = [(self._tried(way, cells, gains, alike, None), way) for way in self._affordable(cells, gains)]
        if self.plain_cells > _FEW * self.bits:
            ways = [min(ways, key=lambda pair: pair[0].outlook.error)]
        searched = [(self._improved(first, menus, cells, gains), menus) for first, menus in ways]
        found, menus = min(searched, key=lambda pair: pair[0].outlook.error)
        plan = self._finished(found, gains.squared)
        return replace(plan, allocation_gap=self._gap(menus, cells, gains, found, plan.first_order_error or 0.0))

    def _gap(self, menus: Sequence[TensorMenu], cells: float, gains: Gains, found: _Tried, predicted: float) -> float:
        """The larger of two excesses over the least that a budget can leave, as shares of it.

        Of the sum of effects over its lower bound, which is a theorem for that sum; and, where levels are fitted, of
        what is predicted, in which effects of tensors add up or cancel, over the bound of errors that do neither.
        """
        options, most = self._options(menus, gains), self._most(menus, cells)
        pairs = [(sum(map(allocated_error, options, found.choices)), error_bound(options, most))]
        if self._fitted:
            least = [option for menu in menus for option in menu.incoherent(self._ratio(menu.name, gains))]
            pairs.append((predicted, error_bound(least, most)))
        return max([0.0, *(error / bound - 1 for error, bound in pairs if bound > 0)])

    def _improved(self, best: _Tried, menus: Sequence[TensorMenu], cells: float, gains: Gains) -> _Tried:
        """Local search over the emphasis on each tensor, alike at first, until no single change is for the better."""
        weights = sum(sum(menu.sizes) for menu in menus)
        # Evenly spaced levels are corrected: no shrinkage adds up, and the sum of effects is what is predicted.
        left = min(max(_TRIALS // weights, _LEAST_TRIALS), _MOST_TRIALS) if self._fitted else 0
        emphasis = dict.fromkeys((menu.name for menu in menus), 1.0)
        factor = _WIDEST
        while factor > _FINEST and left > 0:
            improved = False
            for name in sorted(emphasis, key=lambda name: -best.outlook.errors[name]):
                for change in (factor, 1 / factor):
                    if left <= 0:
                        break
                    changed = emphasis | {name: emphasis[name] * change}
                    one = self._tried(menus, cells, gains, changed, best.outlook.gains)
                    left -= 1
                    if one.outlook.error < best.outlook.error * (1 - _WORTH):
                        best, emphasis, improved = one, changed, True
                        break
            if not improved:
                factor = factor**0.5
        return best

    def _tried(
        self,
        menus: Sequence[TensorMenu],
        cells: float,
        gains: Gains,
        emphasis: Mapping[str, float],
        readout: Mapping[str, float] | None,
    ) -> _Tried:
        plan, choices = self._within(menus, self._options(menus, gains, emphasis), cells)
        storages = {entry.name: entry.storage for entry in plan.tensors}
        return _Tried(plan, choices, self._expectations.outlook(storages, gains.squared, readout))

    def _ratio(self, name: str, gains: Gains) -> float:
        """A squared gain over that at the trained weights, from which the menus are made."""
        trained = self.calibration.gains[name].squared
        return gains.squared[name] / trained if trained else 1.0

    def _options(
        self, menus: Sequence[TensorMenu], gains: Gains, emphasis: Mapping[str, float] | None = None
    ) -> list[Options]:
        ratios = [self._ratio(menu.name, gains) for menu in menus]
        return [
            option
            for menu, ratio in zip(menus, ratios, strict=True)
            for option in menu.options(
                ratio, ratio if gains.coherent else 1.0, emphasis[menu.name] if emphasis else 1.0
            )
        ]

    def _most(self, menus: Sequence[TensorMenu], cells: float) -> float:
        """Cells for words, at least those of the cheapest ones."""
        floor = sum(size * menu.cells[0] for menu in menus for size in menu.sizes)
        return max(cells * self.plain_cells - sum(menu.fixed for menu in menus), floor)

    @cached_property
    def _cheapest(self) -> list[TensorMenu]:
        """Each tensor in the way that can be cheapest."""
        pairs = zip(self._first, self._others, strict=True)
        return [min((first, *others), key=lambda one: one.least_cells) for first, others in pairs]

    def _affordable(self, cells: float, gains: Gains) -> list[list[TensorMenu]]:
        """Ways to scale all tensors, and levels for them, of which the cheapest formats fit a budget."""
        budget = cells * self.plain_cells
        ways = [self._first, self._mixed(budget, gains), self._cheapest]
        if self._shorter:
            ways.append(self._shorter)
        within = [way for way in ways if sum(menu.least_cells for menu in way) <= budget * (1 + _ROUNDING)]
        different = [way for place, way in enumerate(within) if way not in within[:place]]
        return different or [self._cheapest]

    def _check_affordable(self, cells: float) -> None:
        cheapest = self._plan(self._cheapest, [Choice(0, 0) for menu in self._cheapest for _ in menu.sizes], cells)
        if cheapest.cells > cells * (1 + _ROUNDING):
            least = math.ceil(cheapest.cells * 1e4) / 1e4
            raise BudgetError(
                f"cells must be at least {least:g} for the cheapest formats, got {cells:g}", cheapest.overhead
            )

    def _within(
        self, menus: Sequence[TensorMenu], options: Sequence[Options], cells: float
    ) -> tuple[Plan, Sequence[Choice]]:
        """The best plan within a budget by the sum of effects."""
        most = cells * self.plain_cells - sum(menu.fixed for menu in menus)
        floor = sum(option.weights * option.cells[0] for option in options)
        chosen: Sequence[Choice] = [Choice(0, 0) for _ in options]
        best = self._plan(menus, chosen, cells)
        # What whole tables and code blocks take is known only when the formats are chosen.
        low, high, spent = min(floor, most), most, most * (1 + _SLACK)
        for _ in range(_ROUNDS):
            choices = allocate(options, max(spent, floor), "split")
            plan = self._plan(menus, choices, cells)
            left = cells * (1 + _ROUNDING) - plan.cells
            if left >= 0:
                best, chosen, low = plan, choices, spent
            else:
                high = spent
            if left >= 0 and (spent >= most or left <= _UNSPENT * cells):
                break
            # By twice what is too much, since a split costs a second table as long as it stands; then by halves.
            aim = spent + 2 * left * self.plain_cells
            spent = aim if left < 0 and aim > low else (low + high) / 2
        return best, chosen

    def _mixed(self, budget: float, gains: Gains) -> list[TensorMenu]:
        """Each tensor with the scales and levels that are best at the price of a cell."""
        options = self._options(self._first, gains)
        price = cell_price(options, max(budget, sum(o.weights * o.cells[0] for o in options)))
        pairs = zip(self._first, self._others, strict=True)
        return [
            min((first, *others), key=lambda one: one.priced(price, self._ratio(one.name, gains)))
            for first, others in pairs
        ]

    def _plan(self, menus: Sequence[TensorMenu], choices: Sequence[Choice], cells: float) -> Plan:
        measured, entries, start = self.calibration, [], 0
        for menu in menus:
            storage = menu.storage(choices[start : start + len(menu.sizes)])
            start += len(menu.sizes)
            weight = measured.weights[menu.name]
            entries.append(TensorPlan.of(menu.name, measured.aliases[menu.name], weight, storage))
        return Plan(
            replace(self.settings, cells=cells),
            tuple(entries),
            bits=self.bits,
            outputs=measured.outputs,
            covered=measured.covered,
        )

    def _finished(self, tried: _Tried, squared: Mapping[str, float]) -> Plan:
        """The plan with its readout gains and what it predicts."""
        storages = {entry.name: self._menus.widened(entry.storage) for entry in tried.plan.tensors}
        outlook = self._expectations.balanced(storages, squared, tried.outlook.gains)
        entries = [
            replace(
                entry,
                storage=replace(storages[entry.name], readout_gain=outlook.gains[entry.name]),
                gain=replace(self.calibration.gains[entry.name], squared=squared[entry.name]),
                predicted_error=outlook.errors[entry.name],
            )
            for entry in tried.plan.tensors
        ]
        return replace(tried.plan, tensors=tuple(entries), predicted_bias=outlook.bias)


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


AnyDesigner = Designer | ReserveDesigner


def designer_for(calibration: Calibration, settings: Design) -> AnyDesigner:
    """The designer for one memory, or for several."""
    return (ReserveDesigner if isinstance(settings.fault, Several) else Designer)(calibration, settings)
