"""What the bits of one position of a field may be stored in: cells and error rates of each way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtaml.checkpoints.checkpoint_plan import BitStorage, IndependentFault, LeftOut
from qtaml.checkpoints.fields import Floats
from qtaml.planning.side_values import SIDE_BITS, side_cells
from qtaml.protections import Decoder, Repetition, pareto_front

# Scales of few words are worth votes that no menu of weights has: a flip may be worth 1e12 weights.
_FEW_WORDS, _MORE_COPIES = 2**14, (17, 21, 25, 31, 37, 45, 53, 63)


@dataclass(frozen=True, eq=False)
class PlaneMenu:
    """Ways to store all bits of one position of a field of a tensor, by ascending cells.

    Attributes:
        ways: the storage.
        cells: of all the bits.
        rates: (p01, p10) of each way, shape (ways, 2).
    """

    ways: tuple[BitStorage, ...]
    cells: Floats
    rates: Floats


class StorageMenu:
    """Menus of a memory."""

    def __init__(self, fault: IndependentFault, decoders: Sequence[Decoder]) -> None:
        self._rates, self._decoders = fault.mean_rates, decoders
        self._longest = max(one.block[0] for one in pareto_front(*self._rates, decoders=decoders))
        self.side_value = side_cells(fault, 1, tuple(decoders))
        self._votes = [Repetition.best(copies, *self._rates) for copies in _MORE_COPIES if "majority" in decoders]
        self._known: dict[tuple[int, bool, bool], PlaneMenu] = {}

    def of(self, words: int, left_out: tuple[bool, bool]) -> PlaneMenu:
        """The menu of a plane.

        Args:
            words: how many bits the plane has.
            left_out: whether it may be left out and read as 0, and as 1.
        """
        if (words, *left_out) not in self._known:
            self._known[words, *left_out] = self._made(words, left_out)
        return self._known[words, *left_out]

    def held(self, value: bool) -> PlaneMenu:
        """The menu of a bit of the one word of a tensor that is not to be read wrong, since a weight is divided by it.

        Args:
            value: the bit.
        """
        way = LeftOut(1 if value else 0, self.side_value / SIDE_BITS)
        return PlaneMenu((way,), np.array([way.cells]), np.array([way.residual(*self._rates)]))

    def _made(self, words: int, left_out: tuple[bool, bool]) -> PlaneMenu:
        # Shorter codes for fewer words.
        front = pareto_front(*self._rates, decoders=self._decoders, bits=min(words, max(self._longest, _FEW_WORDS)))
        stored: list[BitStorage] = [*front, *(self._votes if words < _FEW_WORDS else [])]
        ways: list[BitStorage] = [LeftOut(value, self.side_value / SIDE_BITS) for value in (0, 1) if left_out[value]]
        for one in sorted(stored, key=lambda one: (one.cells_for(words), sum(one.residual(*self._rates)))):
            if all(_lower(one.residual(*self._rates), other.residual(*self._rates)) for other in ways):
                ways.append(one)
        order = sorted(ways, key=lambda one: one.cells_for(words))
        return PlaneMenu(
            tuple(order),
            np.array([one.cells_for(words) for one in order]),
            np.array([one.residual(*self._rates) for one in order]),
        )


def _lower(rates: tuple[float, float], others: tuple[float, float]) -> bool:
    """Whether one of two rates is below the other's."""
    return rates[0] < others[0] or rates[1] < others[1]
