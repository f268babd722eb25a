"""Allocations that a search attempts, and what each of them is expected to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from qtaml.planning.allocation import Choice
from qtaml.search.emphasis import exchanged
from qtaml.search.expectation import Expectations
from qtaml.search.tried import Tried
from qtaml.search.way import Gains, Way, Ways


class Attempts:
    """Allocations of one network, by forward passes with the weights that are expected to be read.

    Args:
        ways: to store all tensors.
        expectations: of the network.
        feedback: whether rounding errors are fed back, where layers show how they act together.
    """

    def __init__(self, ways: Ways, expectations: Expectations, *, feedback: bool = False) -> None:
        self._ways, self._expectations, self._feedback = ways, expectations, feedback

    def of_emphasis(
        self, way: Way, cells: float, gains: Gains, emphasis: Mapping[str, float], near: Tried | None
    ) -> Tried:
        """The allocation of an emphasis, at readout gains that were best for another one or those of each tensor."""
        choices = self._ways.within(way, emphasis, cells)
        if near and near.way is way and choices == near.choices:
            return replace(near, emphasis=emphasis)
        return self.of_choices(way, gains, emphasis, choices, near)

    def of_choices(
        self, way: Way, gains: Gains, emphasis: Mapping[str, float], choices: Sequence[Choice], near: Tried | None
    ) -> Tried:
        """An allocation; arguments as for `of_emphasis`."""
        storages = way.storages(choices)
        if self._feedback:
            storages = self._expectations.fed_back(storages)
        outlook = self._expectations.outlook(storages, gains.squared, near.outlook.gains if near else None)
        return Tried(way, emphasis, choices, storages, outlook, outlook.error)

    def settled(self, one: Tried, gains: Gains, near: Tried | None = None) -> Tried:
        """An allocation at its best readout gains, or at those of another one where they are better than its own."""
        if near is None:
            outlook = self._expectations.balanced(one.storages, gains.squared, one.outlook.gains)
        else:
            outlook = self._expectations.at(one.storages, gains.squared, near.outlook.gains)
        return replace(one, outlook=outlook, error=outlook.error) if outlook.error < one.error else one

    def exchanged(self, starts: Sequence[Tried], cells: float, gains: Gains, *, most: int) -> list[Tried]:
        """What exchanges between two groups of weights lead to, the best first (`emphasis.exchanged`)."""

        def near(one: Tried) -> Iterator[Tried]:
            for choices in self._ways.exchanges(one.way, one.choices, cells):
                yield self.of_choices(one.way, gains, one.emphasis, choices, one)

        return exchanged(starts, near, lambda one: self.settled(one, gains), most=most)
