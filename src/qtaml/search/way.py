"""One way to store all tensors, a menu for each: what an allocation of cells to it costs, again and again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from qtaml.formats import Levels
from qtaml.planning.allocation import Choice, Options, SplitAllocation
from qtaml.protections import Protection
from qtaml.search.menus import TensorMenu


@dataclass(frozen=True)
class Gains:
    """Gains of a round of the search.

    Attributes:
        squared: of independent errors, for each tensor.
        coherent: whether the error by shrinkage grows with them from its value at the trained weights.
        fed_back: share of the error of each tensor that is left where rounding errors are fed back; all of it if a
            tensor is not here.
    """

    squared: Mapping[str, float]
    coherent: bool
    fed_back: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Way:
    """A menu for each tensor, at the gains of a round.

    Attributes:
        menus: of each tensor.
        ratios: squared gain of each over that at the trained weights.
        coherent: as `Gains.coherent`.
    """

    menus: Sequence[TensorMenu]
    ratios: Sequence[float]
    coherent: bool

    @cached_property
    def options(self) -> list[Options]:
        """Options of each group of weights."""
        pairs = zip(self.menus, self.ratios, strict=True)
        return [option for menu, ratio in pairs for option in menu.options(ratio, ratio if self.coherent else 1.0)]

    @cached_property
    def incoherent(self) -> list[Options]:
        """The same if shrinkage acted as independent errors do."""
        pairs = zip(self.menus, self.ratios, strict=True)
        return [option for menu, ratio in pairs for option in menu.incoherent(ratio)]

    @cached_property
    def floor(self) -> float:
        """Cells of the cheapest words."""
        return sum(option.weights * option.cells[0] for option in self.options)

    @cached_property
    def fixed(self) -> float:
        """Cells besides words and tables."""
        return sum(menu.fixed for menu in self.menus)

    def choices(self, cells: float, emphasis: Mapping[str, float]) -> tuple[Choice, ...]:
        """The best allocation of so many cells by the sum of effects, those of each tensor times its emphasis."""
        factors = np.repeat([emphasis[menu.name] for menu in self.menus], [len(menu.sizes) for menu in self.menus])
        return self._allocation(cells, factors)

    def by_menu(self, choices: Sequence[Choice]) -> list[tuple[TensorMenu, Sequence[Choice]]]:
        """The choices of each tensor."""
        found, start = [], 0
        for menu in self.menus:
            found.append((menu, choices[start : start + len(menu.sizes)]))
            start += len(menu.sizes)
        return found

    def counted(self, choices: Sequence[Choice]) -> tuple[float, int]:
        """Cells of all words in whole blocks, and number of side values."""
        protected, side_values, shared = Counter[Protection](), 0, Counter[Levels]()
        for menu, own in self.by_menu(choices):
            counted = menu.counted(tuple(own))
            for protection, bits in counted.bits:
                protected[protection] += bits
            side_values += counted.side_values
            shared.update(counted.shared)
        # Tables that tensors share count once.
        side_values -= sum((tensors - 1) * levels.side_values for levels, tensors in shared.items())
        return sum(protection.cells_for(bits) for protection, bits in protected.items()), side_values

    @cached_property
    def _allocation(self) -> SplitAllocation:
        return SplitAllocation(self.options)
