"""The ways to store all tensors, a menu for each: which fit a budget, and what an allocation of cells to one costs."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from qtaml._progress import track
from qtaml.errors import BudgetError
from qtaml.formats import Levels, TensorFormat
from qtaml.planning.allocation import Choice, Options, SplitAllocation, allocated_error, cell_price, error_bound
from qtaml.planning.design_settings import Design
from qtaml.planning.side_values import side_cells
from qtaml.protections import Protection
from qtaml.search.menus import Menus
from qtaml.search.tensor_menu import TensorMenu
from qtaml.sensitivity import Calibration

_ROUNDS = 12
"""Budgets that are tried until whole tables and blocks fit."""
_ROUNDING, _SLACK = 1e-12, 1e-9
"""What a plan may exceed its budget by, and what the allocator may, lest it split over a rounding error."""
_SHARES = (1.0, 0.8, 0.6)
"""Of a budget, at whose price of a cell the scales and levels of each tensor are chosen."""
_NEAR = 2
"""Places of a menu by which an exchange moves a group of weights."""
_UNSPENT, _WORTH_FILLING = 2e-4, 2e-3
"""Share of a budget that may be left over, and from which on it is filled by one group of weights after the other."""
_FILLINGS, _TRIED_FOR_EACH = 4, 6
"""Groups that may get more to fill a budget, and options that are tried for each."""


@dataclass(frozen=True)
class Gains:
    """Gains of a round of the search.

    Attributes:
        squared: of independent errors, for each tensor.
        coherent: whether the error by shrinkage grows with them from its value at the trained weights.
        fed_back: share of the error of each tensor that is left where rounding errors are fed back; all of it if a
            tensor is not here.
    """

    squared: Mapping[str, float]
    coherent: bool
    fed_back: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Way:
    """A menu for each tensor, at the gains of a round.

    Attributes:
        menus: of each tensor.
        ratios: squared gain of each over that at the trained weights.
        coherent: as `Gains.coherent`.
    """

    menus: Sequence[TensorMenu]
    ratios: Sequence[float]
    coherent: bool

    @cached_property
    def options(self) -> list[Options]:
        """Options of each group of weights."""
        pairs = zip(self.menus, self.ratios, strict=True)
        return [option for menu, ratio in pairs for option in menu.options(ratio, ratio if self.coherent else 1.0)]

    @cached_property
    def incoherent(self) -> list[Options]:
        """The same if shrinkage acted as independent errors do."""
        pairs = zip(self.menus, self.ratios, strict=True)
        return [option for menu, ratio in pairs for option in menu.incoherent(ratio)]

    @cached_property
    def floor(self) -> float:
        """Cells of the cheapest words."""
        return sum(option.weights * option.cells[0] for option in self.options)

    @cached_property
    def fixed(self) -> float:
        """Cells besides words and tables."""
        return sum(menu.fixed for menu in self.menus)

    def choices(self, cells: float, emphasis: Mapping[str, float]) -> tuple[Choice, ...]:
        """The best allocation of so many cells by the sum of effects, those of each tensor times its emphasis."""
        return self._allocation(cells, self._factors(emphasis))

    def _factors(self, emphasis: Mapping[str, float]) -> NDArray[np.float64]:
        return np.repeat([emphasis[menu.name] for menu in self.menus], [len(menu.sizes) for menu in self.menus])

    def dearer(
        self, choices: tuple[Choice, ...], emphasis: Mapping[str, float], cells: float
    ) -> list[tuple[Choice, ...]]:
        """Choices in which one group of weights, or a part of it, has a better option; what gains most stands first.

        Args:
            choices: of all groups.
            emphasis: factors on the error of each tensor.
            cells: about how many more may be taken, counted as if blocks were full.
        """
        found, factors = [], self._factors(emphasis)
        for place, (choice, options) in enumerate(zip(choices, self.options, strict=True)):
            now = allocated_error(options, choice)
            price, error = np.array(options.cells), np.array(options.errors)
            better = np.flatnonzero((error < error[choice.high]) & (price > price[choice.high]))
            worth = (error[choice.high] - error[better]) / (price[better] - price[choice.high])
            steps = [choice.high] if choice.upgraded else better[np.argsort(-worth)[:_TRIED_FOR_EACH]].tolist()
            for high in steps:
                more = price[high] - price[choice.low]
                many = min(options.weights, choice.upgraded + int(cells / more))
                whole = Choice(high, high) if many == options.weights else Choice(choice.low, high, many)
                if whole != choice:
                    gained = factors[place] * (now - allocated_error(options, whole))
                    found.append((gained, (*choices[:place], whole, *choices[place + 1 :])))
        return [one for gained, one in sorted(found, key=lambda pair: -pair[0]) if gained > 0]

    def hull(self, group: int) -> list[int]:
        """Options of a group on its lower convex hull, the cheapest first."""
        return self._allocation.hull(group)

    def price_at(self, group: int, choice: Choice) -> float:
        """By how much a cell more lowers the effect of a group."""
        options = self.options[group]
        low = choice.low if choice.upgraded else max(choice.low - 1, 0)
        high = choice.high if choice.high > low else min(low + 1, len(options.cells) - 1)
        cells = options.weights * (options.cells[high] - options.cells[low])
        return (options.errors[low] - options.errors[high]) / cells if cells else 0.0

    def by_menu(self, choices: Sequence[Choice]) -> list[tuple[TensorMenu, Sequence[Choice]]]:
        """The choices of each tensor."""
        found, start = [], 0
        for menu in self.menus:
            found.append((menu, choices[start : start + len(menu.sizes)]))
            start += len(menu.sizes)
        return found

    def storages(self, choices: Sequence[Choice]) -> dict[str, TensorFormat]:
        """How each tensor is stored."""
        return {menu.name: menu.storage(own) for menu, own in self.by_menu(choices)}

    def counted(self, choices: Sequence[Choice]) -> tuple[float, int]:
        """Cells of all words in whole blocks, and number of side values."""
        protected, side_values, shared = Counter[Protection](), 0, Counter[Levels]()
        for menu, own in self.by_menu(choices):
            counted = menu.counted(tuple(own))
            for protection, bits in counted.bits:
                protected[protection] += bits
            side_values += counted.side_values
            if counted.shared:
                shared.update(counted.shared)
        # Tables that tensors share count once.
        side_values -= sum((tensors - 1) * levels.side_values for levels, tensors in shared.items())
        return sum(protection.cells_for(bits) for protection, bits in protected.items()), side_values

    @cached_property
    def _allocation(self) -> SplitAllocation:
        return SplitAllocation(self.options)


class Ways:
    """All ways to store a network within a budget: which formats are affordable, and what an allocation costs.

    Args:
        calibration: what is measured of the network.
        settings: what is asked, but for the goal.
        menus: of the tensors.
    """

    def __init__(self, calibration: Calibration, settings: Design, menus: Menus) -> None:
        self._calibration, self._settings = calibration, settings
        names = list(calibration.weights)
        self._first = [menus.first(name) for name in track(names, "fitting levels")]
        self._others = [menus.others(name) for name in track(names, "fitting other levels")]
        shorter = [menus.with_shorter_blocks(name) for name in names]
        self._shorter = [menu for menu in shorter if menu]
        self._of_one_code = menus.of_one_code(self._first)

    @cached_property
    def plain_cells(self) -> int:
        """Cells of a plain memory of all weights."""
        return self._settings.bits * sum(weight.numel() for weight in self._calibration.weights.values())

    def check_affordable(self, cells: float) -> None:
        """Raise `BudgetError` if the cheapest formats cost more than a budget; the message names the least share."""
        cheapest = Way(self._cheapest, [1.0] * len(self._cheapest), coherent=False)
        cost = self._cells(cheapest, [Choice(0, 0)] * len(cheapest.options))
        if cost > cells * (1 + _ROUNDING):
            least = math.ceil(cost * 1e4) / 1e4
            raise BudgetError(f"cells must be at least {least:g} for the cheapest formats, got {cells:g}", cost - 1)

    def affordable(self, cells: float, gains: Gains) -> list[Way]:
        """Ways to scale all tensors, and levels for them, of which the cheapest formats fit a budget."""
        budget = cells * self.plain_cells
        # What is best at the price of a cell of a smaller budget may be better than what is best at that of this one.
        mixed = [self._mixed(share * budget, gains) for share in _SHARES]
        ways = [self._first, *mixed, self._cheapest]
        if self._shorter:
            ways.append(self._shorter)
        ways += self._of_one_code
        within = [way for way in ways if sum(menu.least_cells for menu in way) <= budget * (1 + _ROUNDING)]
        different = [way for place, way in enumerate(within) if way not in within[:place]]
        return [self.way(menus, gains) for menus in different or [self._cheapest]]

    def way(self, menus: Sequence[TensorMenu], gains: Gains) -> Way:
        """Menus of all tensors at the gains of a round."""
        trained = self._calibration.gains
        ratios = [
            (gains.squared[menu.name] / trained[menu.name].squared if trained[menu.name].squared else 1.0)
            * gains.fed_back.get(menu.name, 1.0)
            for menu in menus
        ]
        return Way(menus, ratios, gains.coherent)

    def within(self, way: Way, emphasis: Mapping[str, float], cells: float) -> tuple[Choice, ...]:
        """The best choices within a budget by the sum of effects."""
        most = cells * self.plain_cells - way.fixed
        best: tuple[Choice, ...] = tuple(Choice(0, 0) for _ in way.options)
        # What whole tables and code blocks take is known only when the formats are chosen.
        low, high, spent = min(way.floor, most), math.inf, most * (1 + _SLACK)
        for _ in range(_ROUNDS):
            choices = way.choices(max(spent, way.floor), emphasis)
            left = cells * (1 + _ROUNDING) - self._cells(way, choices)
            if left < 0:
                high = spent
            elif choices == best and high == math.inf:
                break
            else:
                best, low = choices, spent
            if 0 <= left <= _UNSPENT * cells:
                break
            # Tables that tensors share were counted for each: as much as is left is added. By twice what is too much,
            # since a split costs a second table as long as it stands. Then by halves.
            aim = spent + (1 if left >= 0 else 2) * left * self.plain_cells
            spent = aim if low < aim < high and (left < 0 or high == math.inf) else (low + high) / 2
        return self._filled(way, best, emphasis, cells)

    def _filled(
        self, way: Way, choices: tuple[Choice, ...], emphasis: Mapping[str, float], cells: float
    ) -> tuple[Choice, ...]:
        """Choices with what whole blocks leave of a budget given to single groups, at what that really costs."""
        for _ in range(_FILLINGS):
            left = cells * (1 + _ROUNDING) - self._cells(way, choices)
            if left <= _WORTH_FILLING * cells:
                break
            others = way.dearer(choices, emphasis, left * self.plain_cells)
            fitting = (one for one in others if self._cells(way, one) <= cells * (1 + _ROUNDING))
            found = next(fitting, None)
            if found is None:
                break
            choices = found
        return choices

    def gap(self, way: Way, cells: float, choices: Sequence[Choice], predicted: float | None) -> float:
        """The excess over the least that a budget can leave, as a share of it.

        Of what is predicted, in which effects of tensors add up or cancel, over the bound of errors that do neither; or
        if that is None of the sum of effects over its lower bound, which is a theorem for that sum.
        """
        most = max(cells * self.plain_cells - way.fixed, way.floor)
        if predicted is None:
            error, bound = sum(map(allocated_error, way.options, choices)), error_bound(way.options, most)
        else:
            error, bound = predicted, error_bound(way.incoherent, most)
        return max(0.0, error / bound - 1) if bound > 0 else 0.0

    def exchanges(self, way: Way, choices: Sequence[Choice], cells: float) -> Iterator[tuple[Choice, ...]]:
        """Choices in which one group gets another option, and another group takes what that leaves of a budget.

        Args:
            way: the menus.
            choices: of all groups.
            cells: the budget.

        Yields:
            What is expected to do best by the sum of effects and the price of a cell first.
        """
        sizes = [options.weights for options in way.options]
        taker = max(range(len(sizes)), key=lambda group: (bool(choices[group].upgraded), sizes[group]))
        price, found = way.price_at(taker, choices[taker]), []
        for group, choice in enumerate(choices):
            costs = np.array(way.options[group].errors) + price * sizes[group] * np.array(way.options[group].cells)
            near = range(max(choice.low - _NEAR, 0), min(choice.high + _NEAR + 1, len(costs)))
            now = costs[choice.low] + choice.upgraded / sizes[group] * (costs[choice.high] - costs[choice.low])
            others = (Choice(option, option) for option in near if group != taker)
            found += [(costs[other.low] - now, group, other) for other in others if other != choice]
        for _, group, other in sorted(found, key=lambda one: one[0]):
            taking = self._taking(way, [*choices[:group], other, *choices[group + 1 :]], taker, cells)
            if taking:
                yield taking

    def _taking(self, way: Way, choices: list[Choice], taker: int, cells: float) -> tuple[Choice, ...] | None:
        """Choices in which a group takes what a budget leaves; None if that is too little."""
        hull, size = way.hull(taker), way.options[taker].weights
        low, high, best = 0, size * (len(hull) - 1), None
        while low <= high:
            middle = (low + high) // 2
            step, upgraded = divmod(middle, size)
            choices[taker] = Choice(hull[step], hull[step + bool(upgraded)], upgraded)
            left = cells * (1 + _ROUNDING) - self._cells(way, choices)
            if left < 0:
                high = middle - 1
                continue
            low, best = middle + 1, tuple(choices)
            if left <= _UNSPENT * cells:
                break
        return best

    def _cells(self, way: Way, choices: Sequence[Choice]) -> float:
        """What `Plan.cells` is, without making the plan."""
        words, side_values = way.counted(choices)
        return (words + self._beside(side_values)) / self.plain_cells

    @cached_property
    def _beside(self) -> Callable[[int], float]:
        """Cells of so many side values, remembered."""
        asked, fault = self._settings, self._settings.known_cells or self._settings.fault
        return cache(lambda values: side_cells(fault, values, tuple(asked.decoders), tuple(asked.hardened)))

    @cached_property
    def _cheapest(self) -> list[TensorMenu]:
        """Each tensor in the way that can be cheapest."""
        pairs = zip(self._first, self._others, strict=True)
        return [min((first, *others), key=lambda one: one.least_cells) for first, others in pairs]

    def _mixed(self, budget: float, gains: Gains) -> list[TensorMenu]:
        """Each tensor with the scales and levels that are best at the price of a cell."""
        first = self.way(self._first, gains)
        price = cell_price(first.options, max(budget, first.floor))
        return [
            min((menu, *others), key=lambda one: one.priced(price, ratio))
            for menu, others, ratio in zip(self._first, self._others, first.ratios, strict=True)
        ]
