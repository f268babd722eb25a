"""What do whole protected bits cost over the fractional ones of the continuous optimum?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.planning.allocation import ALLOCATIONS, Allocation, Options, allocate, allocated_error
from qtaml.theory import ROUNDING_BOUND, interior_range, water_filling

PAPER_TENSORS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
"""Numbers of tensors in table 7 of the paper."""

_SCORE_DECADES = 3.0
_SIZE_DECADES = (2.0, 5.0)


@dataclass(frozen=True)
class RoundingCost:
    """Predicted output error with whole bits over that with fractional bits, over random networks of some tensors.

    Attributes:
        tensors: number of tensors of each network.
        worst: the largest ratio found; more networks can only raise it.
        mean: mean ratio.
        standard_error: of the mean, over networks.
        bound: 1.26374, which "split" never exceeds; the others can, the more so the fewer tensors there are.
    """

    tensors: int
    worst: float
    mean: float
    standard_error: float
    bound: float = ROUNDING_BOUND


def rounding_cost(
    scores: Sequence[float], sizes: Sequence[int], *, budget: int, bits: int = 8, method: Allocation = "split"
) -> float:
    """Predicted output error with whole protected bits over that of the continuous optimum, in leading order.

    Args:
        scores: a_l = gamma_l**2 ||W_l||_inf**2 of each tensor, above 0.
        sizes: weights of each tensor.
        budget: protected bits of all weights together, a whole number from 0 to bits x weights.
        bits: bits of a word.
        method: "split", "integer" or "greedy"; see `allocate`.

    Returns:
        A ratio of at least 1; at most `ROUNDING_BOUND` for "split", whatever the scores and sizes.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper A.13, equations 25 and 26; theory.md 1.6.

    Example:
        >>> [round(rounding_cost([4.0, 1.0], [10, 10], budget=15, method=method), 3) for method in ("split", "greedy")]
        [1.149, 1.414]
    """
    _checks.one_of("method", method, ALLOCATIONS)
    if len(scores) != len(sizes):
        raise ArgumentError(f"scores and sizes must be as many, got {len(scores)} and {len(sizes)}")
    for index, (score, size) in enumerate(zip(scores, sizes, strict=True)):
        _checks.positive(f"scores[{index}]", score)
        _checks.integer(f"sizes[{index}]", size, 1)
    _checks.integer("budget", budget, 0, bits * sum(sizes))
    n, a = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    depths = water_filling(scores, sizes, bits, budget)
    options = [_options(score, size, bits) for score, size in zip(scores, sizes, strict=True)]
    choices = allocate(options, budget, method)
    return sum(map(allocated_error, options, choices)) / float((n * a * 4.0**-depths).sum())


def rounding_table(
    tensors: Sequence[int] = PAPER_TENSORS,
    *,
    networks: int = 1000,
    method: Allocation = "greedy",
    equal_sizes: bool = False,
    bits: int = 8,
    seed: int = 0,
) -> tuple[RoundingCost, ...]:
    """The rounding cost over random networks of each number of tensors: table 7 of the paper.

    The paper's distributions are not known. Here scores are log-uniform over three decades (what it reports of its
    digit CNN), sizes log-uniform from 100 to 100 000 weights, and the budget uniform over the interior range, in which
    the paper compares.

    Args:
        tensors: numbers of tensors L, each at least 1.
        networks: random networks for each L, at least 2. A network is the same whatever else is asked, so that methods
            compare.
        method: "greedy" (the paper's), "integer" or "split".
        equal_sizes: give all tensors of a network the size of its first.
        bits: bits of a word, 6 to 16: three decades of scores are five bits, which the interior range must hold.
        seed: seed of the networks.

    Returns:
        Worst and mean ratio for each L.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Source:
        paper A.13 and table 7; theory.md 1.6.

    Example:
        >>> row = rounding_table((5,), networks=20, method="split")[0]
        >>> 1 <= row.mean <= row.worst <= row.bound
        True
    """
    _checks.integer("networks", networks, 2)
    _checks.integer("bits", bits, 6, 16)
    if not tensors:
        raise ArgumentError(f"tensors must name at least one number of tensors, got {list(tensors)}")
    rows = []
    for count in tensors:
        _checks.integer("tensors", count, 1)
        costs = []
        for number in range(networks):
            scores, sizes, budget = _network(count, bits, equal_sizes, child_seed(seed, "rounding", count, number))
            costs.append(rounding_cost(scores, sizes, budget=budget, bits=bits, method=method))
        rows.append(
            RoundingCost(count, max(costs), float(np.mean(costs)), float(np.std(costs, ddof=1)) / networks**0.5)
        )
    return tuple(rows)


def _options(score: float, size: int, bits: int) -> Options:
    """Cells and errors of 0 to all bits protected, in leading order; the cells of the unprotected word left out."""
    return Options(size, tuple(range(bits + 1)), tuple(size * score * 4.0**-k for k in range(bits + 1)))


def _network(count: int, bits: int, equal_sizes: bool, seed: int) -> tuple[list[float], list[int], int]:
    """Scores and sizes of a random network, and a budget in its interior range."""
    generator = np.random.default_rng(seed)
    scores = (10 ** generator.uniform(-_SCORE_DECADES, 0, count)).tolist()
    sizes = (10 ** generator.uniform(*_SIZE_DECADES, count)).astype(int).tolist()
    share = generator.uniform()
    if equal_sizes:
        sizes = sizes[:1] * count
    low, high = interior_range(scores, sizes, bits)
    return scores, sizes, int((low + share * (high - low)) * sum(sizes))
