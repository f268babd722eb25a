"""Plans of all bits of a short word at once: what several left-out bits are read as has to change together."""

from collections.abc import Sequence

import numpy as np

from qtaml.checkpoints.fields import Floats, Integers
from qtaml.checkpoints.tensor_law import TABLE_BITS
from qtaml.checkpoints.tensor_search import Point, TensorSearch, TensorWay

# Factors of the price of a cell at which the ways of a plane are chosen that take part.
_PRICES = (1.0, 0.2, 5.0)
# Ways of a plane that take part, where there are few planes.
_MOST_WAYS = 8
# Plans that are handed on, those of the cells nearest to the plan that they were made from.
_MOST_KEPT = 256


def joint_plans(tensor: TensorSearch, way: TensorWay, price: float, most: int) -> list[Point]:
    """Plans that differ from one in any bits of one field, of up to eight bits, and in its range.

    The expected squared error of a field, beside the others as they are, is

        E = E_0 + sum over stored words w and read words r of C(w, r) P(r given w)

    with P the product over the bits: all plans together are C contracted with each bit's own ways, one bit after the
    other. Of the ways of a bit take part that of the plan, those that leave it out, raw ones, and the best at prices
    around its own, until there are as many as allowed.

    Args:
        tensor: its search.
        way: the plan.
        price: of a cell.
        most: plans that are compared for each field and range.

    Returns:
        Those of ascending cells and falling error.

    Source:
        theory.md 6.11.
    """
    found = []
    for field, planes in enumerate(tensor.fields_of(TABLE_BITS)):
        width = planes.stop - planes.start
        if width > 1:
            each = min(_MOST_WAYS, int(most ** (1 / width) + 1e-9))
            ways = _taking_part(tensor, way, price, planes, each)
            for other in tensor.other_ranges(way, field):
                found += _front_of(tensor, other, field, planes, ways)
    return found


def _taking_part(tensor: TensorSearch, way: TensorWay, price: float, planes: slice, most: int) -> list[Integers]:
    """Places in its menu of the ways of each plane that are tried, at most so many each."""
    chosen = []
    for plane, errors in list(enumerate(tensor.changes(way)))[planes]:
        menu = tensor.menus[plane]
        left_out = np.array([one.kind == "left_out" for one in menu.ways])
        raw = [place for place, one in enumerate(menu.ways) if one.kind == "raw"]
        orders = [np.argsort(np.where(left_out, np.inf, errors + factor * price * menu.cells)) for factor in _PRICES]
        # The first of each price, then the second of each.
        best = np.stack(orders, 1).ravel().tolist()
        ranked = dict.fromkeys([way.bits[plane], *np.flatnonzero(left_out).tolist(), *raw, *best])
        chosen.append(np.sort(np.array(list(ranked)[:most])))
    return chosen


def _front_of(tensor: TensorSearch, way: TensorWay, field: int, planes: slice, ways: Sequence[Integers]) -> list[Point]:
    """The plans of all ways of the planes of a field that no other has both fewer cells and less error than."""
    menus = tensor.menus[planes]
    error, gains = tensor.misreads(way, field)
    errors = error + _contracted(gains, [menu.rates[own] for menu, own in zip(menus, ways, strict=True)])
    others = tensor.cells(way) - sum(
        float(menu.cells[place]) for menu, place in zip(menus, way.bits[planes], strict=True)
    )
    cells = np.full(1, others)
    for menu, own in zip(menus, ways, strict=True):
        cells = np.add.outer(cells, menu.cells[own]).ravel()
    order = np.lexsort((errors, cells))
    least = np.minimum.accumulate(errors[order])
    front = order[np.flatnonzero(np.diff(least, prepend=np.inf) < 0)]
    nearest = np.argsort(np.abs(cells[front] - tensor.cells(way)), kind="stable")
    front = front[nearest[:_MOST_KEPT]]
    found = []
    for place in front.tolist():
        places = np.unravel_index(place, [len(own) for own in ways])
        bits = tuple(int(own[one]) for own, one in zip(ways, places, strict=True))
        whole = (*way.bits[: planes.start], *bits, *way.bits[planes.stop :])
        found.append(Point(float(cells[place]), max(0.0, float(errors[place])), way._replace(bits=whole)))
    return found


def _contracted(gains: Floats, rates: Sequence[Floats]) -> Floats:
    """The sum of gains times the chance of each word that is read, for all ways of the bits; those of bit 0 vary least.

    Args:
        gains: for each stored word and each that is read, shape (2**bits, 2**bits).
        rates: (p01, p10) of each way of each bit, bit 0 first, shape (ways, 2) each.
    """
    bits = len(rates)
    # Stored and read bits of one position side by side, bit 0 first.
    axes = [axis for bit in reversed(range(bits)) for axis in (bit, bits + bit)]
    left = gains.reshape((2,) * (2 * bits)).transpose(axes).reshape(4, -1)
    for own in rates:
        p01, p10 = own.T
        chances = np.stack([1 - p01, p01, p10, 1 - p10], 1)
        # The bit's own axis goes last, and the next bit comes to the front.
        left = (left.reshape(4, -1).T @ chances.T).reshape(-1)
    return left
