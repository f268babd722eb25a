"""Allocation of a budget of cells to options of tensors: greedy, split, and exact (multiple-choice knapsack).

Every tensor has a list of options, cheapest first; each costs cells and leaves a predicted output error. That the
options are "protect the k most significant bits" matters to none of the solvers.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.planning.knapsack import best_choices

Allocation = Literal["split", "integer", "greedy"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)


@dataclass(frozen=True)
class Options:
    """The options of one tensor.

    Attributes:
        weights: number of weights of the tensor.
        cells: cells of one weight under each option, each more than the one before.
        errors: predicted output error of the whole tensor under each option.
    """

    weights: int
    cells: tuple[float, ...]
    errors: tuple[float, ...]


@dataclass(frozen=True)
class Choice:
    """The allocation of one tensor: option `low` for its weights, but `high` for the first `upgraded` of them.

    Attributes:
        low: index of an option.
        high: index of a dearer option, or the same.
        upgraded: number of weights that get `high`.
    """

    low: int
    high: int
    upgraded: int = 0


def allocate(options: Sequence[Options], budget: float, method: Allocation) -> tuple[Choice, ...]:
    """Choose an option o_t for each tensor: minimise sum error_t(o_t) subject to sum weights_t cells_t(o_t) <= budget.

    Args:
        options: of each tensor.
        budget: cells of all tensors together.
        method: "greedy", the paper's rule; "split", optimal (but for the part of one weight) when one tensor may give
            its first weights a better option than the rest; "integer", optimal without splitting.

    Returns:
        One choice for each tensor. No cells are spent where no error is predicted to fall.

    Raises:
        ArgumentError: if the cheapest options cost more than the budget.

    Source:
        paper, theorem 4.5 and algorithm 1, step 2; theory.md 1.5 and 1.6.

    Example:
        >>> options = [Options(10, (8, 9), (4.0, 1.0)), Options(10, (8, 9), (1.0, 0.25))]
        >>> allocate(options, budget=175, method="split")
        (Choice(low=1, high=1, upgraded=0), Choice(low=0, high=1, upgraded=5))
        >>> allocate(options, budget=175, method="integer")
        (Choice(low=1, high=1, upgraded=0), Choice(low=0, high=0, upgraded=0))
    """
    least = sum(option.weights * option.cells[0] for option in options)
    if budget < least:
        raise ArgumentError(f"budget must be at least {least:g} cells for the cheapest options, got {budget:g}")
    return _METHODS[method](options, budget)


def allocated_cells(options: Sequence[Options], choices: Sequence[Choice]) -> float:
    """Cells that the choices take together."""
    return sum(
        (option.weights - choice.upgraded) * option.cells[choice.low] + choice.upgraded * option.cells[choice.high]
        for option, choice in zip(options, choices, strict=True)
    )


def allocated_error(option: Options, choice: Choice) -> float:
    """Predicted output error of one tensor under a choice."""
    share = choice.upgraded / option.weights
    return (1 - share) * option.errors[choice.low] + share * option.errors[choice.high]


def error_bound(options: Sequence[Options], budget: float) -> float:
    """Lower bound of the predicted output error: the linear relaxation, in which any part of a tensor takes an option.

    Example:
        >>> error_bound([Options(10, (8, 9), (4.0, 1.0))], budget=85)
        2.5
    """
    errors = [option.errors[0] for option in options]
    remaining = budget - allocated_cells(options, [Choice(0, 0) for _ in options])
    for step in _steps(options):
        if step.cells > remaining:
            errors[step.tensor] -= remaining / step.cells * step.benefit
            break
        errors[step.tensor] = options[step.tensor].errors[step.high]
        remaining -= step.cells
    return sum(errors)


def cell_price(options: Sequence[Options], budget: float) -> float:
    """Lagrange multiplier of the budget: -d(error bound) / d(cells); 0 where no more cells help.

    Example:
        >>> cell_price([Options(10, (8, 9), (4.0, 1.0))], budget=85)
        0.3
    """
    remaining = budget - allocated_cells(options, [Choice(0, 0) for _ in options])
    for step in _steps(options):
        remaining -= step.cells
        if remaining < 0:
            return step.benefit / step.cells
    return 0.0


class _Step(NamedTuple):
    tensor: int
    low: int
    high: int
    cells: float
    benefit: float


def _steps(options: Sequence[Options]) -> list[_Step]:
    """Steps along the lower convex hull of each tensor's options, the most benefit for each cell first."""
    steps = [step for tensor, option in enumerate(options) for step in _hull(tensor, option)]
    # A stable sort: equal steps stay in the order of tensors, so that the same options give the same plan.
    return sorted(steps, key=lambda step: -step.benefit / step.cells)


def _hull(tensor: int, option: Options) -> list[_Step]:
    steps: list[_Step] = []
    lowest = 0
    for high in range(1, len(option.cells)):
        # Options that cost more and do no better are on no hull.
        if option.errors[high] >= option.errors[lowest]:
            continue
        step = _step(tensor, option, lowest, high)
        # Slopes compared as products, without the rounding of a division. Equal ones stay apart: smaller steps fill a
        # budget more closely.
        while steps and steps[-1].benefit * step.cells < step.benefit * steps[-1].cells:
            step = _step(tensor, option, steps.pop().low, high)
        steps.append(step)
        lowest = high
    return steps


def _step(tensor: int, option: Options, low: int, high: int) -> _Step:
    cells = option.weights * (option.cells[high] - option.cells[low])
    return _Step(tensor, low, high, cells, option.errors[low] - option.errors[high])


class SplitAllocation:
    """`allocate` by "split" for many budgets, also with the errors of each tensor multiplied by factors.

    The lower convex hull of a tensor's options does not depend on such a factor, so it is found once.

    Args:
        options: as for `allocate`.

    Example:
        >>> options = [Options(10, (8, 9), (4.0, 1.0)), Options(10, (8, 9), (1.0, 0.25))]
        >>> SplitAllocation(options)(170, factors=np.array([1.0, 8.0]))
        (Choice(low=0, high=0, upgraded=0), Choice(low=1, high=1, upgraded=0))
    """

    def __init__(self, options: Sequence[Options]) -> None:
        self._options = options
        self._steps = [step for tensor, option in enumerate(options) for step in _hull(tensor, option)]
        self._least = allocated_cells(options, [Choice(0, 0) for _ in options])
        self._tensor_of, self._high = [one.tensor for one in self._steps], [one.high for one in self._steps]
        self._tensor = np.array(self._tensor_of, dtype=np.int64)
        self._cells = np.array([step.cells for step in self._steps])
        self._value = np.array([step.benefit / step.cells for step in self._steps])

    def __call__(self, budget: float, factors: NDArray[np.float64] | None = None) -> tuple[Choice, ...]:
        """One choice for each tensor.

        Args:
            budget: as for `allocate`.
            factors: of the errors of each tensor, above 0; 1 if not given.
        """
        value = self._value if factors is None else self._value * factors[self._tensor]
        # A stable sort: equal steps stay in the order of tensors, so that the same options give the same plan.
        order = np.argsort(-value, kind="stable")
        spent = np.cumsum(self._cells[order])
        reached = int(np.searchsorted(spent, budget - self._least, side="right"))
        # Made once for each tensor, at the end: to make one for each step took longer than all else.
        high = [0] * len(self._options)
        for place in order[:reached].tolist():
            high[self._tensor_of[place]] = self._high[place]
        choices = [Choice(one, one) for one in high]
        if reached < len(order):
            # The last step may reach only some of its tensor's weights.
            step = self._steps[int(order[reached])]
            remaining = budget - self._least - (spent[reached - 1] if reached else 0.0)
            upgraded = int(remaining * self._options[step.tensor].weights / step.cells)
            if upgraded:
                choices[step.tensor] = Choice(step.low, step.high, upgraded)
        return tuple(choices)

    def hull(self, tensor: int) -> list[int]:
        """Options of a tensor on its lower convex hull, the cheapest first."""
        return [0, *(high for one, high in zip(self._tensor_of, self._high, strict=True) if one == tensor)]


def _split(options: Sequence[Options], budget: float) -> tuple[Choice, ...]:
    return SplitAllocation(options)(budget)


def _greedy(options: Sequence[Options], budget: float) -> tuple[Choice, ...]:
    """Raise, one option at a time, the tensor whose next option brings most for each cell among those that fit."""
    chosen = [0] * len(options)
    remaining = budget - allocated_cells(options, [Choice(0, 0) for _ in options])
    best_first: list[tuple[float, int, _Step]] = []

    def offer(tensor: int) -> None:
        if chosen[tensor] + 1 < len(options[tensor].cells):
            step = _step(tensor, options[tensor], chosen[tensor], chosen[tensor] + 1)
            if step.benefit > 0:
                # A tensor is in the heap at most once, so its number decides all ties, and steps are never compared.
                heapq.heappush(best_first, (-step.benefit / step.cells, tensor, step))

    for tensor in range(len(options)):
        offer(tensor)
    while best_first:
        _, tensor, step = heapq.heappop(best_first)
        # The rest only shrinks, so a step that does not fit now never will, nor those after it in its tensor.
        if step.cells <= remaining:
            chosen[tensor] += 1
            remaining -= step.cells
            offer(tensor)
    return tuple(Choice(index, index) for index in chosen)


def _integer(options: Sequence[Options], budget: float) -> tuple[Choice, ...]:
    """Exact multiple-choice knapsack, with the better of two simple rules as the solution to beat."""
    filled, core, price = _filled(options, budget)
    known = min(_greedy(options, budget), filled, key=lambda found: sum(map(allocated_error, options, found)))
    cells = [option.weights * np.array(option.cells, dtype=np.float64) for option in options]
    errors = [np.array(option.errors, dtype=np.float64) for option in options]
    error, limit = sum(map(allocated_error, options, known)), budget
    while (chosen := best_choices(cells, errors, core, budget=limit, price=price, known=error)) is not None:
        choices = tuple(Choice(index, index) for index in chosen)
        # The search adds cells in another order: sums of fractional cells may differ in the last digits, and
        # so exceed the budget here. It is then lowered by the excess and searched again.
        if (excess := allocated_cells(options, choices) - budget) <= 0:
            return choices
        limit -= excess
    return known


def _filled(options: Sequence[Options], budget: float) -> tuple[tuple[Choice, ...], list[int], float]:
    """Steps in order of benefit for each cell; a step that does not fit is left out, with all later ones of its tensor.

    Returns these choices, the options before the first step that does not fit (the core), and that step's benefit for
    each cell (the price).
    """
    chosen, core, price = [0] * len(options), list[int](), 0.0
    remaining = budget - allocated_cells(options, [Choice(0, 0) for _ in options])
    for step in _steps(options):
        if chosen[step.tensor] == step.low and step.cells <= remaining:
            chosen[step.tensor] = step.high
            remaining -= step.cells
        elif not core:
            core, price = list(chosen), step.benefit / step.cells
    return tuple(Choice(index, index) for index in chosen), core or chosen, price


_METHODS: dict[Allocation, Callable[[Sequence[Options], float], tuple[Choice, ...]]] = {
    "split": _split,
    "integer": _integer,
    "greedy": _greedy,
}
