"""The best allocation by trying every one."""

from collections.abc import Sequence
from itertools import product


def best_whole_allocation(
    weights: Sequence[int], cells: Sequence[Sequence[int]], errors: Sequence[Sequence[float]], budget: int
) -> float:
    """Least error over all ways to give each tensor one option within the budget.

    Args:
        weights: weights of each tensor.
        cells: for each tensor, cells of one weight under each option.
        errors: for each tensor, error of the whole tensor under each option.
        budget: cells of all tensors together.
    """
    best = float("inf")
    for chosen in product(*(range(len(options)) for options in cells)):
        spent = sum(weights[tensor] * cells[tensor][option] for tensor, option in enumerate(chosen))
        if spent <= budget:
            best = min(best, sum(errors[tensor][option] for tensor, option in enumerate(chosen)))
    return best


def best_split_allocation(
    weights: Sequence[int], cells: Sequence[Sequence[int]], errors: Sequence[Sequence[float]], budget: int
) -> float:
    """Least error over all ways to give each single weight one option within the budget.

    A table over the cells spent: weight after weight, each with every option. The error of an option is shared equally
    by the weights of its tensor.
    """
    least = [0.0] + [float("inf")] * budget
    for tensor, count in enumerate(weights):
        for _ in range(count):
            following = [float("inf")] * (budget + 1)
            for spent in range(budget + 1):
                for cost, error in zip(cells[tensor], errors[tensor], strict=True):
                    if spent + cost <= budget:
                        following[spent + cost] = min(following[spent + cost], least[spent] + error / count)
            least = following
    return min(least)
