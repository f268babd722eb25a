"""The least overhead at which a stored network reaches a share of its clean accuracy, by measured bisection."""

import math
from collections.abc import Generator, Sequence

from qtaml.laboratory.laboratory import Laboratory, Record
from reproduction.overhead_curve import BITS, MIXED, TAC, UNIFORM_MSP, case

TARGET = 0.95
OVERHEADS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.125, 0.25, 0.5)
RESOLUTION = 1.025
"""Two neighbouring budgets are near enough for a straight line between them if their ratio is below this."""

_LEAST = OVERHEADS[0] / 64
_Search = Generator[Sequence[float], Sequence[Record], float]


def least_overheads(
    laboratory: Laboratory, networks: Sequence[str], resolution: float = RESOLUTION
) -> dict[tuple[str, int, str], float]:
    """Search the least overhead for 95% of clean accuracy, on the measured curve of each trained network.

    The rule is the same for TAC and for Uniform-MSP with mixed k. On a coarse grid of overheads from 0.25% to 50%,
    halving finds two neighbours between which the mean accuracy over the reads comes to the target or above; it is the
    only such place if accuracy grows with the overhead, as figure 5 shows. They are the ends of a bracket, which is
    halved on a logarithmic scale until its ends differ by about 2%; the answer lies on the straight line between them.
    Should the first overhead of the grid reach the target already, it is halved until it does not; should the last not
    reach it, the other end is the protection of all bits. Uniform-MSP at whole k needs no search: it takes the first
    whole k that reaches the target. Overheads are those that the plans really take. The target of a search is that of
    its own trained network, whose searches all see the same errors.

    Args:
        laboratory: where to measure.
        networks: keys of `qtaml.networks.NETWORKS`.
        resolution: ratio of the ends of a bracket at which it is narrow enough, above 1.

    Returns:
        Overheads by network, training seed and method.

    Source:
        paper, section 5.5 and table 5.
    """
    keys = [(name, seed, method) for name in networks for seed in laboratory.training_seeds for method in _SEARCHES]
    searches = {key: _SEARCHES[key[2]](resolution) for key in keys}
    wanted = {key: next(search) for key, search in searches.items()}
    found = {}
    while wanted:
        asked = [(key, budget) for key, budgets in wanted.items() for budget in budgets]
        tasks = [laboratory.task(case(name, method, budget), seed) for (name, seed, method), budget in asked]
        records = iter(laboratory.run(tasks, "searching the least overhead"))
        answers = {key: [next(records) for _ in budgets] for key, budgets in wanted.items()}
        wanted = {}
        for key, answer in answers.items():
            try:
                wanted[key] = searches[key].send(answer)
            except StopIteration as end:
                found[key] = float(end.value)
    return found


def _search(resolution: float) -> _Search:
    """Yields the budgets that it wants measured, and returns the overhead that reaches the target."""
    budgets = [*OVERHEADS, 1.0]
    found: dict[float, Record] = {}
    first, last = -1, len(OVERHEADS)
    while last - first > 1:
        middle = (first + last) // 2
        (found[budgets[middle]],) = yield [budgets[middle]]
        first, last = (first, middle) if _above_target(found[budgets[middle]]) >= 0 else (middle, last)
    high = budgets[last]
    if high not in found:
        (found[high],) = yield [high]
    low = budgets[first] if first >= 0 else high / 2
    while low not in found:
        (found[low],) = yield [low]
        if _above_target(found[low]) >= 0:
            if low < _LEAST:
                return found[low].overhead
            low, high = low / 2, low
    below, above = found[low], found[high]
    while high / low > resolution:
        between = math.sqrt(low * high)
        (record,) = yield [between]
        if _above_target(record) >= 0:
            high, above = between, record
        else:
            low, below = between, record
    step = -_above_target(below) / (_above_target(above) - _above_target(below))
    return below.overhead + step * (above.overhead - below.overhead)


def _first_whole(resolution: float) -> _Search:
    """The first whole k that reaches the target: there is nothing to resolve."""
    for bits in range(1, BITS):
        (record,) = yield [bits / BITS]
        if _above_target(record) >= 0:
            return record.overhead
    return 1.0


_SEARCHES = {TAC: _search, MIXED: _search, UNIFORM_MSP: _first_whole}


def _above_target(record: Record) -> float:
    return record.result.mean - TARGET * record.clean
