"""The search over all tensors of a checkpoint: the price at which the budget is spent, then changes within it."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from qtaml._progress import track
from qtaml.checkpoints.fields import Floats, Integers
from qtaml.checkpoints.joint_bits import joint_plans
from qtaml.checkpoints.plan_bound import least_priced
from qtaml.checkpoints.tensor_search import Point, TensorSearch
from qtaml.planning.allocation import Allocation, Options, allocate

# Factor between the prices that bracket the budget when their search ends, and while no bracket is found.
_CLOSE, _APART = 1.3, 64.0
# Prices beyond which nothing changes: errors are between 1e-80 and 1e80 of the weights.
_LEAST_PRICE, _GREATEST_PRICE = 1e-90, 1e90
# The exact knapsack of 500 tensors or planes takes a second, and its time grows faster than that. With more of them the
# last step of the linear relaxation, which is left out, is a smaller part of the error than its estimate is known to.
_FEW = 500
# Pairs of changes ask for the effects of all bits anew, for each of so many first changes.
_FEW_PLANES, _PAIRS = 64, 32
# Relative change of the error at which changes end: below it are differences of rounding.
_NO_BETTER = 1e-9
# Plans of a word that are compared at once, 5 ways, or 4, of each of 8 bits, and how often: of few planes, and of many.
# Each time the effects of all bits are asked for anew: 100 tensors of Q4_0 took 21 s without, and 57 s with up to four.
_JOINT_OF_FEW, _JOINT = (5**8, 4), (4**8, 1)
# Budgets from whose plans changes start: where much of the budget is left, other changes come first.
_SHARES = (1.0, 0.95, 0.85, 0.7)
# Shares of the error rates beside which effects of bits are taken to add up, for other plans to start from.
_RATES = (0.0, 0.25, 0.5)
# The bound is tried at these factors of the price: it is a lower one at any.
_PRICES = (0.1, 0.3, 0.5, 1.0, 2.0, 4.0)


class Found(NamedTuple):
    """What the search finds.

    Attributes:
        points: a plan of each tensor.
        bound: no plans that leave out the same bits and keep the same ranges have less error together.
    """

    points: list[Point]
    bound: float


def least_error(tensors: Sequence[TensorSearch], budget: float) -> Found:
    """Plans of all tensors, of the least error that the search finds within a budget.

    At each price of a cell every tensor has a plan of least error and price; the budget decides the price. What is left
    of the budget, and what no price gives, is found by exact knapsacks of plans that differ in one bit, of all bits as
    if their effects added up, and by pairs of changes, until none of them helps.

    Args:
        tensors: their searches.
        budget: cells of all together; at least those of the cheapest plans.

    Source:
        theory.md 6.11.
    """
    price = _find_price(tensors, budget)
    few = sum(len(one.menus) for one in tensors) <= _FEW_PLANES
    found = [list(one.found.values()) for one in tensors]
    least = sum(min(one.cells for one in own) for own in found)
    budgets = [share * budget for share in (_SHARES if few else _SHARES[:1]) if share * budget >= least]
    starts = [_of_plans(found, one) for one in budgets or [budget]]
    if few:
        starts += [_of_planes(tensors, starts[0], budget, share) for share in _RATES]
    points = min((_improved(tensors, start, budget) for start in starts), key=_error)
    if few:
        points = _improved(tensors, points, budget, pairs=True)
    points = _jointly(tensors, points, price, budget)
    return Found(
        points, max(_bound(tensors, points, price * factor, budget) for factor in (_PRICES if few else (1.0,)))
    )


def _bound(tensors: Sequence[TensorSearch], points: Sequence[Point], price: float, budget: float) -> float:
    """By duality: what is above the budget costs its price, and what is below earns it."""
    rows = track(list(zip(tensors, points, strict=True)), "lower bound")
    return max(0.0, sum(least_priced(tensor, own, price) for tensor, own in rows) - price * budget)


def _improved(
    tensors: Sequence[TensorSearch], chosen: list[Point], budget: float, *, pairs: bool = False
) -> list[Point]:
    """By changes within the budget, until none of them helps."""
    planes = sum(len(one.menus) for one in tensors)
    while True:
        near = [[*one.found.values(), *one.neighbours(own.way)] for one, own in zip(tensors, chosen, strict=True)]
        better = _exact(tensors, _of_plans(near, budget))
        if planes <= _FEW:
            better = min(better, _of_planes(tensors, chosen, budget, 1.0), key=_error)
        if pairs and _error(better) >= _error(chosen) * (1 - _NO_BETTER):
            better = min(better, _of_pairs(tensors, chosen, budget), key=_error)
        if _error(better) >= _error(chosen) * (1 - _NO_BETTER):
            return chosen
        chosen = better


def _jointly(tensors: Sequence[TensorSearch], chosen: list[Point], price: float, budget: float) -> list[Point]:
    """By plans of all bits of a short word at once, until they do not help."""
    most, rounds = _JOINT_OF_FEW if sum(len(one.menus) for one in tensors) <= _FEW_PLANES else _JOINT
    for _ in range(rounds):
        rows = track(list(zip(tensors, chosen, strict=True)), "plans of whole words")
        plans = [[own, *joint_plans(one, own.way, price, most)] for one, own in rows]
        better = _exact(tensors, _of_plans(plans, budget))
        if _error(better) >= _error(chosen) * (1 - _NO_BETTER):
            break
        chosen = min(better, _improved(tensors, better, budget), key=_error)
    return chosen


def _error(points: Iterable[Point]) -> float:
    return sum(one.error for one in points)


def _cells(points: Iterable[Point]) -> float:
    return sum(one.cells for one in points)


def _exact(tensors: Sequence[TensorSearch], points: Sequence[Point]) -> list[Point]:
    """With the error computed anew: that of a neighbour is a difference."""
    return [one.point(own.way) for one, own in zip(tensors, points, strict=True)]


def _find_price(tensors: Sequence[TensorSearch], budget: float) -> float:
    """The price of a cell at which the budget is spent, by bisection: tensors find their plans at prices around it."""

    def fits(price: float) -> bool:
        # At a higher price plans take fewer cells.
        return _cells([one.best(price) for one in track(list(tensors), "plans")]) <= budget

    price = 0.01 / budget
    within = fits(price)
    while True:
        other = price / _APART if within else price * _APART
        if not _LEAST_PRICE < other < _GREATEST_PRICE:
            return price
        if fits(other) != within:
            break
        price = other
    low, high = sorted((price, other))
    while high > _CLOSE * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    for tensor in tensors:
        for way in tensor.cold_starts():
            tensor.descend(way, high)
    return high


def _of_plans(plans: Sequence[Sequence[Point]], budget: float) -> list[Point]:
    """One of the plans of each tensor: the least error within the budget."""
    options = [np.array([(one.cells, one.error) for one in own]) for own in plans]
    return [own[place] for own, place in zip(plans, _knapsack(options, budget), strict=True)]


def _of_planes(tensors: Sequence[TensorSearch], chosen: Sequence[Point], budget: float, share: float) -> list[Point]:
    """The knapsack of all planes at once, as if effects added up that are those beside a share of the error rates."""
    options = [
        np.stack([menu.cells, errors - errors.min()], 1)
        for tensor, own in zip(tensors, chosen, strict=True)
        for menu, errors in zip(tensor.menus, tensor.linear(own.way, share), strict=True)
    ]
    ranges = sum(tensor.cells_of_ranges(own.way) for tensor, own in zip(tensors, chosen, strict=True))
    places = iter(_knapsack(options, budget - ranges))
    return [
        tensor.point(own.way._replace(bits=tuple(next(places) for _ in tensor.menus)))
        for tensor, own in zip(tensors, chosen, strict=True)
    ]


def _knapsack(options: Sequence[Floats], budget: float) -> list[int]:
    """One of each row of options, which are of (cells, error): the least sum of errors within the budget."""
    fronts = [_front(own) for own in options]
    rows = [
        Options(1, tuple(own[front, 0].tolist()), tuple(own[front, 1].tolist()))
        for own, front in zip(options, fronts, strict=True)
    ]
    method: Allocation = "integer" if len(options) <= _FEW else "split"
    chosen = allocate(rows, budget, method)
    return [int(front[choice.low]) for front, choice in zip(fronts, chosen, strict=True)]


def _front(options: Floats) -> Integers:
    """Places of the options of ascending cells and falling error."""
    order = np.lexsort((options[:, 1], options[:, 0]))
    least = np.minimum.accumulate(options[order, 1])
    return np.asarray(order[np.flatnonzero(np.diff(least, prepend=np.inf) < 0)])


def _of_pairs(tensors: Sequence[TensorSearch], chosen: Sequence[Point], budget: float) -> list[Point]:
    """The best pair of changes: one, then the best one that the budget allows beside it, with its exact effect.

    Of the first changes those are tried that look best beside a second one without effects on each other.
    """
    firsts = [(place, one) for place, tensor in enumerate(tensors) for one in tensor.neighbours(chosen[place].way)]
    left = budget - _cells(chosen)
    promise = _promises(chosen, firsts, left)
    best = list(chosen)
    for place, first in (firsts[one] for one in np.argsort(promise, kind="stable")[:_PAIRS].tolist()):
        beside = list(chosen)
        beside[place] = first
        for other, tensor in enumerate(tensors):
            rest = left + chosen[place].cells - first.cells + beside[other].cells
            for second in tensor.neighbours(beside[other].way):
                if second.cells <= rest and _error(beside) + second.error - beside[other].error < _error(best):
                    best = list(beside)
                    best[other] = second
    return _exact(tensors, best)


def _promises(chosen: Sequence[Point], changes: Sequence[tuple[int, Point]], left: float) -> Floats:
    """What each change would make of the error with the best second one that fits, if effects added up."""
    cells = np.array([one.cells - chosen[place].cells for place, one in changes])
    errors = np.array([one.error - chosen[place].error for place, one in changes])
    order = np.argsort(cells, kind="stable")
    # The least change of error of all changes of so few cells.
    least = np.minimum.accumulate(errors[order])
    fits = np.searchsorted(cells[order], left - cells, side="right")
    return np.asarray(errors + np.where(fits > 0, least[fits - 1], np.inf))
