"""Which option each tensor gets within a budget of cells: greedy, split and exact.

Every tensor has a list of options, cheapest first; each costs cells and leaves a predicted output error. That the
options are "protect the k most significant bits" matters to none of the solvers.
"""

import heapq
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from scipy import optimize, sparse

from qtaml.errors import ArgumentError, QtamlError

Allocation = Literal["split", "integer", "greedy"]
ALLOCATIONS: tuple[Allocation, ...] = get_args(Allocation)

_SECONDS_FOR_PROOF = 10.0
"""After this the best solution found is taken; how far it can be from the optimum is known from `error_bound`."""


@dataclass(frozen=True)
class Options:
    """What one tensor can choose from.

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
    """What one tensor gets: option `low` for all its weights, or `high` for the first `upgraded` of them.

    Attributes:
        low: index of an option.
        high: index of a dearer option, or the same.
        upgraded: number of weights that get `high`.
    """

    low: int
    high: int
    upgraded: int = 0


def allocate(options: Sequence[Options], budget: float, method: Allocation) -> tuple[Choice, ...]:
    """Choose an option for each tensor so that the predicted output error is small within the budget.

    Args:
        options: those of each tensor.
        budget: cells of all tensors together.
        method: "greedy", the paper's rule; "split", optimal (but for what is left over of one weight) when one tensor
            may give its first weights a better option than the rest; "integer", optimal without splitting.

    Returns:
        One choice for each tensor. No cells are spent where no error is predicted to fall.

    Raises:
        ArgumentError: if the cheapest options cost more than the budget.
        QtamlError: if the integer program is not solved.

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
    """Least predicted output error if every tensor could be split: no allocation is below it.

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
    """By how much the least predicted output error falls for one more cell; 0 where no more cells help.

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


@dataclass(frozen=True)
class _Step:
    tensor: int
    low: int
    high: int
    cells: float
    benefit: float


def _steps(options: Sequence[Options]) -> list[_Step]:
    """Steps along the lower convex hull of each tensor's options, the most benefit for each cell first."""
    steps = [step for tensor, option in enumerate(options) for step in _hull(tensor, option)]
    return sorted(steps, key=lambda step: -step.benefit / step.cells)


def _hull(tensor: int, option: Options) -> list[_Step]:
    steps: list[_Step] = []
    lowest = 0
    for high in range(1, len(option.cells)):
        if option.errors[high] >= option.errors[lowest]:
            continue
        step = _step(tensor, option, lowest, high)
        while steps and steps[-1].benefit * step.cells < step.benefit * steps[-1].cells:
            step = _step(tensor, option, steps.pop().low, high)
        steps.append(step)
        lowest = high
    return steps


def _step(tensor: int, option: Options, low: int, high: int) -> _Step:
    cells = option.weights * (option.cells[high] - option.cells[low])
    return _Step(tensor, low, high, cells, option.errors[low] - option.errors[high])


def _split(options: Sequence[Options], budget: float) -> tuple[Choice, ...]:
    """Fill with steps in order of benefit for each cell; the last one may reach only some of its tensor's weights."""
    choices = [Choice(0, 0) for _ in options]
    remaining = budget - allocated_cells(options, choices)
    for step in _steps(options):
        if step.cells > remaining:
            upgraded = int(remaining * options[step.tensor].weights / step.cells)
            if upgraded:
                choices[step.tensor] = Choice(step.low, step.high, upgraded)
            break
        choices[step.tensor] = Choice(step.high, step.high)
        remaining -= step.cells
    return tuple(choices)


def _greedy(options: Sequence[Options], budget: float) -> tuple[Choice, ...]:
    """Raise, one option at a time, the tensor whose next option brings most for each cell among those that fit."""
    chosen = [0] * len(options)
    remaining = budget - allocated_cells(options, [Choice(0, 0) for _ in options])
    best_first: list[tuple[float, int, _Step]] = []

    def offer(tensor: int) -> None:
        if chosen[tensor] + 1 < len(options[tensor].cells):
            step = _step(tensor, options[tensor], chosen[tensor], chosen[tensor] + 1)
            if step.benefit > 0:
                heapq.heappush(best_first, (-step.benefit / step.cells, tensor, step))

    for tensor in range(len(options)):
        offer(tensor)
    while best_first:
        _, tensor, step = heapq.heappop(best_first)
        # What does not fit now never will.
        if step.cells <= remaining:
            chosen[tensor] += 1
            remaining -= step.cells
            offer(tensor)
    return tuple(Choice(index, index) for index in chosen)


def _integer(options: Sequence[Options], budget: float) -> tuple[Choice, ...]:
    """Exact multiple-choice knapsack: one binary variable for each tensor and option that can be in the solution."""
    known = min(
        _greedy(options, budget), _filled(options, budget), key=lambda found: sum(map(allocated_error, options, found))
    )
    candidates = _candidates(options, budget, sum(map(allocated_error, options, known)))
    limit = budget
    while True:
        chosen = _solve(options, candidates, limit)
        cheapest = [
            next(index for index, error in enumerate(option.errors) if error <= option.errors[one])
            for option, one in zip(options, chosen, strict=True)
        ]
        choices = tuple(Choice(index, index) for index in cheapest)
        # The solver's variables are whole only within a tolerance, which large tensors turn into whole cells.
        if (excess := allocated_cells(options, choices) - budget) <= 0:
            break
        limit -= excess
    # Within the solver's tolerance, a simple rule may have found the better one.
    return min(choices, known, key=lambda found: sum(map(allocated_error, options, found)))


def _filled(options: Sequence[Options], budget: float) -> tuple[Choice, ...]:
    """Steps in order of benefit for each cell, those that do not fit left out with all that follow in their tensor."""
    chosen = [0] * len(options)
    remaining = budget - allocated_cells(options, [Choice(0, 0) for _ in options])
    for step in _steps(options):
        if chosen[step.tensor] == step.low and step.cells <= remaining:
            chosen[step.tensor] = step.high
            remaining -= step.cells
    return tuple(Choice(index, index) for index in chosen)


def _candidates(options: Sequence[Options], budget: float, known: float) -> list[list[int]]:
    """Options of each tensor that a solution better than a known one can contain.

    At the price of a cell at which the steps fill the budget, an option raises the Lagrangian lower bound by its
    reduced cost: one that lifts it above the known error cannot be in a better solution.
    """
    price = cell_price(options, budget)
    priced = [np.add(option.errors, price * option.weights * np.array(option.cells)) for option in options]
    bound = sum(float(cost.min()) for cost in priced) - price * budget
    allowed = known - bound + 1e-9 * abs(known)
    return [np.flatnonzero(cost - cost.min() <= allowed).tolist() for cost in priced]


def _solve(options: Sequence[Options], candidates: Sequence[Sequence[int]], budget: float) -> list[int]:
    """The option of each tensor, among its candidates, that the integer program (HiGHS) chooses."""
    chosen = [own[0] for own in candidates]
    open_tensors = [tensor for tensor, own in enumerate(candidates) if len(own) > 1]
    if not open_tensors:
        return chosen
    rest = set(range(len(options))) - set(open_tensors)
    left = budget - sum(options[tensor].weights * options[tensor].cells[chosen[tensor]] for tensor in rest)
    errors = np.array([options[tensor].errors[one] for tensor in open_tensors for one in candidates[tensor]])
    cells = np.array(
        [options[tensor].weights * options[tensor].cells[one] for tensor in open_tensors for one in candidates[tensor]]
    )
    starts = np.cumsum([0] + [len(candidates[tensor]) for tensor in open_tensors])
    owner = np.repeat(np.arange(len(open_tensors)), np.diff(starts))
    one_each: Any = sparse.csr_array((np.ones(len(owner)), (owner, np.arange(len(owner)))))
    # The solver's tolerances are absolute: in units of the error at stake they are negligible.
    unit = float(np.ptp(errors)) or 1.0
    with _quiet():
        result = optimize.milp(
            errors / unit * 1e4,
            integrality=np.ones_like(errors),
            bounds=optimize.Bounds(0, 1),
            constraints=[
                optimize.LinearConstraint(one_each, 1, 1),
                optimize.LinearConstraint(cells[np.newaxis], -np.inf, left),
            ],
            options={"mip_rel_gap": 0.0, "time_limit": _SECONDS_FOR_PROOF},
        )
    if result.x is None:
        raise QtamlError(f"the integer program was not solved: {result.message}")
    for tensor, (start, end) in zip(open_tensors, pairwise(starts), strict=True):
        chosen[tensor] = candidates[tensor][int(np.argmax(result.x[start:end]))]
    return chosen


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what native code prints to standard output into standard error.

    HiGHS prints stray lines on some instances, which would spoil JSON on standard output.
    """
    try:
        standard_output = os.dup(1)
    except OSError:  # a service may have closed it
        yield
        return
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(standard_output, 1)
        os.close(standard_output)


_METHODS: dict[Allocation, Callable[[Sequence[Options], float], tuple[Choice, ...]]] = {
    "split": _split,
    "integer": _integer,
    "greedy": _greedy,
}
