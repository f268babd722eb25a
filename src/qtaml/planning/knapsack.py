"""The exact multiple-choice knapsack: one option for each tensor, least error, within a budget of cells."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Above the largest front that was seen: 62,000 states for 10,000 random tensors of 50 options, 88,000 for 1,000 random
# networks.
_MOST_STATES = 2**17


def best_choices(
    cells: Sequence[Floats], errors: Sequence[Floats], core: Sequence[int], *, budget: float, price: float, known: float
) -> list[int] | None:
    """Options of least total error within a budget, if their error is below `known`.

    Dynamic programming over the Pareto front of (cells, error) of the tensors processed so far, with all others at the
    core. States whose bound is no better than the best solution are dropped. Tensors with the smallest reduced cost
    of a second option come first: good solutions are then met early.

    Args:
        cells: of each tensor under each of its options, ascending and distinct.
        errors: of each tensor under each of its options.
        core: option of each tensor with the least error + price x cells.
        budget: most cells of all tensors together.
        price: error for a cell at which the linear relaxation spends the budget.
        known: error of a solution within the budget.

    Returns:
        The index of an option for each tensor; None if no solution is better. Exact to rounding, unless a front has
        more than 131,072 states: it is then thinned to as many, spread evenly over the cells.

    Source:
        Pisinger, Eur. J. Oper. Res. 83, 394 (1995): the core of the multiple-choice knapsack problem.

    Example:
        >>> cells, errors = [np.array([8.0, 9.0]), np.array([8.0, 10.0])], [np.array([4.0, 1.0]), np.array([5.0, 0.0])]
        >>> best_choices(cells, errors, [0, 0], budget=18.0, price=2.5, known=6.0)
        [0, 1]
    """
    return _Search(cells, errors, core, _possible(cells, errors, budget, price, known)).run(budget, known)


def _possible(
    cells: Sequence[Floats], errors: Sequence[Floats], budget: float, price: float, known: float
) -> dict[int, Integers]:
    """Options that a better solution can contain, of the tensors with more than one, the nearest to a tie first.

    Lagrangian bound: error >= sum_t min_o (error + price x cells) - price x budget. An option raises it by its reduced
    cost, error + price x cells minus the least of its tensor, and cannot be in a solution if that exceeds `known`.
    """
    priced = [error + price * own for error, own in zip(errors, cells, strict=True)]
    # A margin for the rounding of the sums, or an option of the best solution could be dropped by its last digit.
    allowed = known - (sum(float(cost.min()) for cost in priced) - price * budget) + 1e-9 * abs(known)
    reduced = [cost - cost.min() for cost in priced]
    possible = {tensor: np.flatnonzero(cost <= allowed) for tensor, cost in enumerate(reduced)}
    several = [tensor for tensor, options in possible.items() if len(options) > 1]
    return {tensor: possible[tensor] for tensor in sorted(several, key=lambda tensor: np.sort(reduced[tensor])[1])}


class _Search:
    """The dynamic program: each stage is a tensor, its options, and their cells and errors beyond those of the core."""

    def __init__(
        self, cells: Sequence[Floats], errors: Sequence[Floats], core: Sequence[int], possible: dict[int, Integers]
    ) -> None:
        self.core, self.stages = list(core), list(possible.items())
        self.cells = sum(float(own[option]) for own, option in zip(cells, core, strict=True))
        self.error = sum(float(own[option]) for own, option in zip(errors, core, strict=True))
        self.steps = [
            (
                cells[tensor][options] - cells[tensor][core[tensor]],
                errors[tensor][options] - errors[tensor][core[tensor]],
            )
            for tensor, options in self.stages
        ]

    def run(self, budget: float, known: float) -> list[int] | None:
        """The best choices with less error than is known."""
        gains, losses = self._slopes()
        cells, errors, fronts = np.array([self.cells]), np.array([self.error]), list[Integers]()
        best: tuple[int, int] | None = None
        for stage, (more_cells, more_error) in enumerate(self.steps):
            cells, errors = np.add.outer(cells, more_cells).ravel(), np.add.outer(errors, more_error).ravel()
            left = budget - cells
            lowest = int(np.where(left >= 0, errors, np.inf).argmin())
            if left[lowest] >= 0 and errors[lowest] < known:
                known, best = float(errors[lowest]), (stage, lowest)
            # States over the budget stay: a later tensor may take fewer cells than its core option.
            bound = errors - np.where(left >= 0, gains[stage + 1], losses[stage + 1]) * left
            front = _front(cells, errors, np.flatnonzero(bound < known))
            if not len(front):
                break
            cells, errors = cells[front], errors[front]
            # Only the parents are kept, to trace the choices back: 4 bytes a state.
            fronts.append(front.astype(np.int32))
        return None if best is None else self._choices(*best, fronts)

    def _slopes(self) -> tuple[Floats, Floats]:
        """Most error that one more cell saves in the tensors from each stage on, and least that one fewer costs."""
        gains, losses = np.zeros(len(self.steps) + 1), np.full(len(self.steps) + 1, np.inf)
        for stage, (cells, error) in reversed(list(enumerate(self.steps))):
            gains[stage] = (-error[cells > 0] / cells[cells > 0]).max(initial=gains[stage + 1])
            losses[stage] = (-error[cells < 0] / cells[cells < 0]).min(initial=losses[stage + 1])
        return gains, losses

    def _choices(self, stage: int, state: int, fronts: Sequence[Integers]) -> list[int]:
        """The options along the way to a state of a stage; tensors of later stages stay at the core."""
        chosen = list(self.core)
        for before in range(stage, -1, -1):
            tensor, options = self.stages[before]
            parent, option = divmod(state, len(options))
            chosen[tensor] = int(options[option])
            state = int(fronts[before - 1][parent]) if before else 0
        return chosen


def _front(cells: Floats, errors: Floats, kept: Integers) -> Integers:
    """Indices of the Pareto front among those in `kept`, in order of cells."""
    # Of equal cells the least error comes first, and the others fall to the strict comparison below.
    order = kept[np.lexsort((errors[kept], cells[kept]))]
    lowest = np.minimum.accumulate(errors[order])
    front = order[np.flatnonzero(np.diff(lowest, prepend=np.inf) < 0)]
    if len(front) > _MOST_STATES:
        least, most = cells[front[0]], cells[front[-1]]
        part = ((cells[front] - least) / (most - least) * _MOST_STATES).astype(np.int64)
        front = front[np.flatnonzero(np.diff(part, prepend=-1))]
    return front
