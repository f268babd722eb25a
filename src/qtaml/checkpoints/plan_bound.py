"""A lower bound of the error of all plans of a tensor that leave out the same bits and keep the same ranges."""

import numpy as np

from qtaml.checkpoints.fields import Floats, Integers
from qtaml.checkpoints.tensor_search import Point, TensorSearch

# Rounds in which ways that no better plan has are dropped; the bound hardly rises after these.
_ROUNDS = 4


def least_priced(tensor: TensorSearch, point: Point, price: float) -> float:
    """Lower bound of error + price x cells of plans of a tensor that leave out what a plan leaves out.

    Every bit has, at least, the lowest error rates of its ways; more than that are errors of their own, of chance s.
    The expected squared error is at least that without any of those, and with one of them alone:

        error >= (1 - sum of s) E_0 + sum over bits b of s_b Q_b E_b,     Q_b = product of 1 - s over the other bits

    with E_0 at the lowest rates and E_b with b wrong. With the largest s of each bit in Q the right side is a sum over
    bits, and least where each bit's own term is. Ways whose bound is above the priced error of a known plan are
    dropped, which lowers what Q has to allow for.

    Args:
        tensor: its search.
        point: the plan.
        price: of a cell.

    Source:
        theory.md 6.11.
    """
    ways = [_allowed(tensor, plane, place) for plane, place in enumerate(point.way.bits)]
    fixed = price * tensor.cells_of_ranges(point.way)
    bound = 0.0
    for _ in range(_ROUNDS):
        least = np.array([tensor.menus[plane].rates[own].min(0) for plane, own in enumerate(ways)])
        error, harms = tensor.at_rates(point.way, least)
        terms = _terms(tensor, ways, least, error, harms, price)
        least_sum = error + sum(float(term.min()) for term in terms) + fixed
        bound = max(bound, least_sum)
        # A margin for the rounding of the sums: the known plan itself must stay.
        room = max(0.0, point.priced(price) * (1 + 1e-9) - least_sum)
        kept = [own[term - term.min() <= room] for own, term in zip(ways, terms, strict=True)]
        if all(len(new) == len(old) for new, old in zip(kept, ways, strict=True)):
            break
        ways = kept
    return bound


def _allowed(tensor: TensorSearch, plane: int, place: int) -> Integers:
    """Ways of a plane: that which leaves it out, if the plan does, and otherwise all but those."""
    left_out = np.array([way.kind == "left_out" for way in tensor.menus[plane].ways])
    return np.array([place]) if left_out[place] else np.flatnonzero(~left_out)


def _terms(
    tensor: TensorSearch, ways: list[Integers], least: Floats, error: float, harms: Floats, price: float
) -> list[Floats]:
    """What each way of each plane adds to the bound."""
    more = [tensor.menus[plane].rates[own] - least[plane] for plane, own in enumerate(ways)]
    # Chance of an error beyond those at the least rates. Bits that are left out have none.
    chance = [
        np.divide(own, 1 - low, out=np.zeros_like(own), where=low < 1).max(1)
        for own, low in zip(more, least, strict=True)
    ]
    none = np.array([1 - own.max() for own in chance])
    terms = []
    for plane, own in enumerate(ways):
        alone = float(np.prod(np.delete(none, plane)))
        added = alone * (more[plane] @ harms[plane]) - (1 - alone) * chance[plane] * error
        terms.append(added + price * tensor.menus[plane].cells[own])
    return terms
