"""The search for plans of one tensor: its bits' storage and ranges, by descent at a price of a cell."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from qtaml.checkpoints.fields import Floats
from qtaml.checkpoints.storage_menu import PlaneMenu
from qtaml.checkpoints.tensor_law import FieldReads, TensorLaw
from qtaml.checkpoints.word_range import WordRange


class TensorWay(NamedTuple):
    """A plan of a tensor.

    Attributes:
        bits: place in its menu of each plane, field after field, bit 0 first.
        ranges: place in its menu of each field.
    """

    bits: tuple[int, ...]
    ranges: tuple[int, ...]


class Point(NamedTuple):
    """What a plan of a tensor costs and leaves.

    Attributes:
        cells: of the tensor.
        error: its part of the error of the plan.
        way: the plan.
    """

    cells: float
    error: float
    way: TensorWay

    def priced(self, price: float) -> float:
        """Error and cells at a price."""
        return self.error + price * self.cells


class TensorSearch:
    """Plans of one tensor.

    Args:
        law: of its words.
        menus: of its planes.
        ranges: of its fields.
        scale: its part in the error of the plan, for each unit of squared error.
    """

    def __init__(
        self,
        law: TensorLaw,
        menus: Sequence[Sequence[PlaneMenu]],
        ranges: Sequence[Sequence[WordRange | None]],
        scale: float,
    ) -> None:
        self._law, self._scale, self._ranges = law, scale, ranges
        self._widths = [len(own) for own in menus]
        self.menus = [plane for own in menus for plane in own]
        self.found: dict[TensorWay, Point] = {}
        self._harms: dict[TensorWay, Floats] = {}

    def reads(self, way: TensorWay) -> list[FieldReads]:
        """How its fields are read under a plan."""
        rates = iter([tuple(menu.rates[place].tolist()) for menu, place in zip(self.menus, way.bits, strict=True)])
        return [
            FieldReads(tuple(next(rates) for _ in range(width)), own[place])
            for width, own, place in zip(self._widths, self._ranges, way.ranges, strict=True)
        ]

    def point(self, way: TensorWay) -> Point:
        """Cells and exact error of a plan."""
        if way not in self.found:
            error = self._scale * self._law.error(self.reads(way))
            self.found[way] = Point(self.cells(way), error, way)
        return self.found[way]

    def cells(self, way: TensorWay) -> float:
        """Cells of a plan."""
        planes = sum(float(menu.cells[place]) for menu, place in zip(self.menus, way.bits, strict=True))
        return planes + self.cells_of_ranges(way)

    def cells_of_ranges(self, way: TensorWay) -> float:
        """Those of the ranges that are kept beside the words."""
        chosen = (own[place] for own, place in zip(self._ranges, way.ranges, strict=True))
        return sum(one.cells for one in chosen if one is not None)

    def best(self, price: float) -> Point:
        """The best plan that the search finds at a price of a cell."""
        nearest = min(self.found.values(), key=lambda one: one.priced(price), default=None)
        starts = list(self.cold_starts()) if nearest is None else [nearest.way]
        return min((self.descend(way, price) for way in starts), key=lambda one: one.priced(price))

    def cold_starts(self) -> Iterator[TensorWay]:
        """The best protection of all bits, none of any, and nothing stored."""
        ranged = tuple(len(own) - 1 for own in self._ranges)
        yield TensorWay(tuple(int(menu.rates.sum(1).argmin()) for menu in self.menus), ranged)
        yield TensorWay(tuple(_plain(menu) for menu in self.menus), ranged)
        yield TensorWay((0,) * len(self.menus), (0,) * len(ranged))

    def descend(self, way: TensorWay, price: float) -> Point:
        """From a plan by changes that lower error and price, until no one change does."""
        point = self.point(way)
        while True:
            better = min(self._changed(point, price), key=lambda one: one.priced(price), default=point)
            if better.priced(price) >= point.priced(price) * (1 - 1e-12):
                return point
            point = better

    def _changed(self, point: Point, price: float) -> Iterator[Point]:
        """The best change of one bit, all such changes together, and each change of a range."""
        chosen, gains = list(point.way.bits), []
        for plane, options in enumerate(self.changes(point.way)):
            priced = options + price * self.menus[plane].cells
            gains.append(float(priced[chosen[plane]] - priced.min()))
            chosen[plane] = int(priced.argmin()) if gains[-1] > 0 else chosen[plane]
        if max(gains) > 0:
            first = int(np.argmax(gains))
            alone = (*point.way.bits[:first], chosen[first], *point.way.bits[first + 1 :])
            for bits in {alone, tuple(chosen)}:
                yield self.point(point.way._replace(bits=bits))
        yield from self._other_ranges(point.way)

    def _other_ranges(self, way: TensorWay) -> Iterator[Point]:
        for field, options in enumerate(self._ranges):
            for place in range(len(options)):
                if place != way.ranges[field]:
                    ranges = (*way.ranges[:field], place, *way.ranges[field + 1 :])
                    yield self.point(way._replace(ranges=ranges))

    def at_rates(self, way: TensorWay, rates: Floats) -> tuple[float, Floats]:
        """Error, and what it gains from each bit always wrong over never, at other error rates than those of a plan.

        Args:
            way: the plan, whose ranges count.
            rates: (p01, p10) of each plane, shape (planes, 2).

        Returns:
            (error, gains of shape (planes, 2)).
        """
        rows = iter([tuple(row) for row in rates.tolist()])
        reads = [own._replace(rates=tuple(next(rows) for _ in own.rates)) for own in self.reads(way)]
        return self._scale * self._law.error(reads), self._scale * np.concatenate(self._law.harms(reads))

    def linear(self, way: TensorWay, share: float) -> list[Floats]:
        """Errors of the ways of each plane, beside others at a share of the error rates of a plan, less a number."""
        rates = np.array([menu.rates[place] for menu, place in zip(self.menus, way.bits, strict=True)])
        _, harms = self.at_rates(way, share * rates)
        return [menu.rates @ harm for menu, harm in zip(self.menus, harms, strict=True)]

    def misreads(self, way: TensorWay, field: int) -> tuple[float, Floats]:
        """Error of a plan without errors of a field, and what words of it read as others add; see `TensorLaw`."""
        error, gains = self._law.misreads(self.reads(way), field)
        return self._scale * error, self._scale * gains

    def fields_of(self, most_bits: int) -> list[slice]:
        """Planes of each field, none of one of more bits."""
        ends = np.cumsum(self._widths).tolist()
        return [
            slice(end - width, end if width <= most_bits else end - width)
            for end, width in zip(ends, self._widths, strict=True)
        ]

    def other_ranges(self, way: TensorWay, field: int) -> list[TensorWay]:
        """A plan with each range of a field."""
        places = range(len(self._ranges[field]))
        return [way._replace(ranges=(*way.ranges[:field], one, *way.ranges[field + 1 :])) for one in places]

    def changes(self, way: TensorWay) -> list[Floats]:
        """Exact error with each other way of each plane, less a number of the plane; shape (ways,) each."""
        if way not in self._harms:
            if len(self._harms) > 64:
                self._harms.clear()
            self._harms[way] = self._scale * np.concatenate(self._law.harms(self.reads(way)))
        return [menu.rates @ harm for menu, harm in zip(self.menus, self._harms[way], strict=True)]

    def neighbours(self, way: TensorWay) -> Iterator[Point]:
        """Plans that differ in one bit, or one range, with their exact errors."""
        point = self.point(way)
        yield from self._other_ranges(way)
        for plane, errors in enumerate(self.changes(way)):
            menu, now = self.menus[plane], way.bits[plane]
            for place in range(len(menu.ways)):
                if place != now:
                    cells = point.cells + float(menu.cells[place] - menu.cells[now])
                    error = max(0.0, point.error + float(errors[place] - errors[now]))
                    bits = (*way.bits[:plane], place, *way.bits[plane + 1 :])
                    yield Point(cells, error, way._replace(bits=bits))


def _plain(menu: PlaneMenu) -> int:
    return next((place for place, way in enumerate(menu.ways) if way.kind == "raw"), 0)
