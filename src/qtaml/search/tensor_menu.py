"""One tensor of a network and what it can be stored as: prices and effects of choices, and the storage they make."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from qtaml.formats import SECTION_VALUES, Correction, Format, Granularity, Levels, Scale, Section, TensorFormat
from qtaml.planning.allocation import Choice, Options
from qtaml.protections import Protection
from qtaml.search.candidates import Candidate

_REMEMBERED = 2**12
"""Choices for a tensor of which the counts are remembered; of rows each is long."""


@dataclass(frozen=True)
class Counted:
    """What is counted of the choices for a tensor.

    Attributes:
        bits: of all words under each protection.
        side_values: of the tensor.
        shared: levels in use that other tensors may share: those of trellises.
    """

    bits: tuple[tuple[Protection, int], ...]
    side_values: int
    shared: frozenset[Levels]


@dataclass(frozen=True)
class TensorMenu:
    """One tensor and what its weights can be stored as.

    Attributes:
        name: its name.
        scale: what its levels are in units of.
        granularity: one scale for the tensor, for each row, or for each group of so many weights of a row.
        correction: how labels are chosen.
        sizes: weights of the tensor, or of each row.
        importance: output error of each for a mean squared error of 1 in units of its squared scale.
        menu: formats by ascending price.
        cells: cells of a weight in each format, with its share of the table.
        fixed: cells that the tensor takes besides, for scales and the like.
        fixed_values: side values of these; 0 if the map counts as free.
        power: mean square of the weights, in units of the squared scale.
        coherence: `Calibration.coherence` of the tensor.
        outliers: weights that are kept beside the words.
    """

    name: str
    scale: Scale
    granularity: Granularity
    correction: Correction
    sizes: tuple[int, ...]
    importance: tuple[float, ...]
    menu: tuple[Candidate, ...]
    cells: tuple[float, ...]
    fixed: float
    fixed_values: int
    power: float = 1.0
    coherence: float = 1.0
    outliers: int = 0

    def options(self, ratio: float, coherent_ratio: float) -> list[Options]:
        """What each group of weights costs and leaves of output error.

        Args:
            ratio: gain of independent errors over that at the trained weights.
            coherent_ratio: the same of the shrinkage of the whole tensor.
        """
        coherence = max(self.coherence * coherent_ratio / ratio, 1.0) if ratio else 1.0
        effects = np.array([one.effect(self.power, coherence) for one in self.menu]) * ratio
        errors = (tuple((weight * effects).tolist()) for weight in self.importance)
        return [Options(size, self.cells, error) for size, error in zip(self.sizes, errors, strict=True)]

    def without(self, unwanted: Callable[[Format], bool]) -> "TensorMenu":
        """The same without some formats."""
        pairs = zip(self.menu, self.cells, strict=True)
        menu, cells = zip(*((one, cells) for one, cells in pairs if not unwanted(one.format)), strict=True)
        return replace(self, menu=menu, cells=cells)

    def incoherent(self, ratio: float) -> list[Options]:
        """The same if shrinkage acted as independent errors do: never more."""
        least = self.coherence if math.isinf(self.coherence) else 1.0
        return replace(self, coherence=least).options(ratio, ratio)

    @property
    def least_cells(self) -> float:
        """Cells of the cheapest way to store the tensor."""
        return self.fixed + sum(self.sizes) * self.cells[0]

    def priced(self, price: float, ratio: float) -> float:
        """Least output error plus price of the cells, tables and scales included."""
        best = price * self.fixed
        for option in self.options(ratio, ratio):
            costs = [
                error + price * option.weights * cells for error, cells in zip(option.errors, option.cells, strict=True)
            ]
            best += min(costs)
        return best

    def parts(self, choices: Sequence[Choice]) -> list[tuple[int, int]]:
        """Runs of weights, in their order, and the place of the format of each in the menu.

        Args:
            choices: one for each of `sizes`.
        """
        runs = [
            (weights, index)
            for size, choice in zip(self.sizes, choices, strict=True)
            for weights, index in ((choice.upgraded, choice.high), (size - choice.upgraded, choice.low))
            if weights
        ]
        weights = Counter[int]()
        for count, index in runs:
            weights[index] += count
        # Of a tensor that is split, a few weights may be left to a stream that needs more words.
        short = {i for i in self._streams.intersection(weights) if not self.menu[i].format.levels.fits(weights[i])}
        most = max(weights, key=lambda index: weights[index])
        return [(count, most if index in short else index) for count, index in runs]

    @cached_property
    def _streams(self) -> frozenset[int]:
        """Formats in which weights share bits."""
        return frozenset(index for index, one in enumerate(self.menu) if one.format.levels.is_stream)

    def storage(self, choices: Sequence[Choice]) -> TensorFormat:
        """How the tensor is stored when its groups get these options."""
        sections = tuple(Section(weights, self.menu[index].format) for weights, index in self.parts(choices))
        return TensorFormat(sections, self.scale, self.granularity, self.correction, outliers=self.outliers)

    @cached_property
    def counted(self) -> Callable[[tuple[Choice, ...]], "Counted"]:
        """What is counted of choices; remembered, since those of most tensors stay from one budget to the next."""
        return lru_cache(_REMEMBERED)(self._counted)

    def _counted(self, choices: tuple[Choice, ...]) -> "Counted":
        parts = self.parts(choices)
        weights, bits = Counter[int](), Counter[Protection]()
        for count, index in parts:
            weights[index] += count
        for index, count in weights.items():
            words = self.menu[index].format.words(count)
            for protection, each in self._bits[index]:
                bits[protection] += each * words
        levels = (self.menu[index].format.levels for index in weights)
        shared = frozenset(one for one in levels if one.window > 1)
        return Counted(tuple(bits.items()), self._side_values([index for _, index in parts]), shared)

    def _side_values(self, formats: Sequence[int]) -> int:
        """What `storage(choices).side_values` is, without making it."""
        if not self.fixed_values:
            return 0
        # Neighbours of one format are one section.
        more = sum(one != other for one, other in pairwise(formats))
        tables = {self._level_numbers[index] for index in formats}
        return self.fixed_values + SECTION_VALUES * more + sum(self._table_values[number] for number in tables)

    @cached_property
    def _level_numbers(self) -> list[int]:
        """For each format the number of its levels: formats may share them."""
        numbers: dict[Levels, int] = {}
        return [numbers.setdefault(one.format.levels, len(numbers)) for one in self.menu]

    @cached_property
    def _table_values(self) -> list[int]:
        """Side values of the levels of each number."""
        return [levels.side_values for levels in dict.fromkeys(one.format.levels for one in self.menu)]

    @cached_property
    def _bits(self) -> list[list[tuple[Protection, int]]]:
        """Bits of a word under each protection, for each format."""
        return [list(Counter(one.format.protections).items()) for one in self.menu]
