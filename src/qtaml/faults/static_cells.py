"""Static errors: the same weak cells of a chip fail in every read."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from qtaml import _checks
from qtaml._random import child_seed, torch_generator
from qtaml.device import RetentionCell
from qtaml.errors import ArgumentError
from qtaml.faults.base import AllBitsAlike, FaultModel, WordLaw, check_bits
from qtaml.faults.lognormal import lognormal_rates
from qtaml.protections import BitProtection, Raw
from qtaml.sampling.recipe import StaticRecipe, static_recipe
from qtaml.sampling.sampler import check_words, flip_asymmetric, read_static

Array = NDArray[np.float64]

# Quantiles of thickness, for all numbers of traps together. p is nearly a step of thickness, and which quantile holds
# the step moves the mean of p by at most its share of all cells: 1.5e-5 without traps.
_KINDS_OF_CELLS = 1 << 16
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class StaticCells(AllBitsAlike):
    """Cells of several classes, equally many of each; the class of each cell is fixed for a chip.

    With hundreds of electrons in a cell, p is nearly a step of its thickness: most cells never fail and a few always
    do. Reads of a chip are then far from independent: the same weights are wrong in every read. The law of a bit,
    averaged over chips, has the mean rates sum_k p_k/classes. Only bits that are read from several cells (repetition,
    codes) are drawn anew in each read, at the residual of the mean rates.

    Attributes:
        p01: probability of reading 1 where 0 is stored, for each class of cells, in [0, 1]; 2, 4, ... or 256 classes.
        p10: probability of reading 0 where 1 is stored; the same as `p01` if not given.
        chip: number of the chip. None for another chip in every read.

    Raises:
        ArgumentError: if a probability is outside [0, 1], or the number of classes is not as said.

    Source:
        theory.md 2.4.

    Example:
        >>> words = torch.zeros(6, dtype=torch.uint8)
        >>> chip = StaticCells(p01=(0.0, 1.0), chip=3)  # half of the cells are always wrong
        >>> torch.equal(chip.corrupt(words, seed=0, place="a"), chip.corrupt(words, seed=1, place="a"))
        True
        >>> chip.rates(bits=1)
        BitErrorRates(p01=(0.5,), p10=(0.5,))
    """

    p01: tuple[float, ...]
    p10: tuple[float, ...] = ()
    chip: int | None = 0
    kind: Literal["static_cells"] = field(default="static_cells", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p01", tuple(self.p01))
        object.__setattr__(self, "p10", tuple(self.p10) or self.p01)
        for name, rates in (("p01", self.p01), ("p10", self.p10)):
            checked = tuple(_checks.probability(f"{name}[{i}]", p) for i, p in enumerate(rates))
            object.__setattr__(self, name, checked)
        if len(self.p01) not in (2, 4, 8, 16, 32, 64, 128, 256) or len(self.p01) != len(self.p10):
            raise ArgumentError(
                f"p01 and p10 must hold 2, 4, 8, ... or 256 classes of cells, got {len(self.p01)} and {len(self.p10)}"
            )
        if self.chip is not None:
            _checks.integer("chip", self.chip, 0)

    def __str__(self) -> str:
        """Mean rates and number of classes: the rates of all of them would fill a page.

        Example:
            >>> print(StaticCells(p01=(0.0, 1.0), chip=3))
            StaticCells(mean p01=0.5, p10=0.5, 2 classes, chip=3)
        """
        p01, p10 = (sum(rates) / len(rates) for rates in (self.p01, self.p10))
        return f"StaticCells(mean p01={p01:.3g}, p10={p10:.3g}, {len(self.p01)} classes, chip={self.chip})"

    @staticmethod
    def from_cell(
        cell: RetentionCell, window: float, *, charged: int | None = None, classes: int = 64, chip: int | None = 0
    ) -> "StaticCells":
        """The weak cells of chips whose cells differ in thickness and in their number of traps.

        Cells are sorted by their lost-bit probability and cut into classes of equal share; the rate of a class is the
        mean over its cells, so the mean over classes is `cell.flip_probability(window)`.

        Args:
            cell: a cell with a spread of thickness or with traps.
            window: time between refreshes, in seconds.
            charged: the bit that a charged cell stands for: only that bit can be lost. None for the paper's symmetric
                errors.
            classes: number of classes, 2, 4, ... or 256.
            chip: number of the chip; None for another chip in every read.

        Raises:
            ArgumentError: if the window is not above 0, or as the class itself.

        Source:
            theory.md 2.4.

        Example:
            >>> from qtaml.device import preset
            >>> cell = preset("gaincell_2t_sion")
            >>> weak = StaticCells.from_cell(cell, window=20e-6)
            >>> round(weak.rates(1).p10[0], 3), round(cell.flip_probability(window=20e-6), 3)
            (0.053, 0.053)
            >>> round(weak.p10[0], 3), round(weak.p10[-1], 3)  # the weakest and the strongest class of cells
            (1.0, 0.0)
        """
        _checks.integer("classes", classes, 2, 256)
        if charged is not None:
            _checks.integer("charged", charged, 0, 1)
        p = _mean_by_class(*cell.kinds_of_cells(window, _KINDS_OF_CELLS), classes)
        never = (0.0,) * classes
        return StaticCells(never if charged == 1 else p, never if charged == 0 else p, chip)

    @staticmethod
    def lognormal(p: float, sigma: float, classes: int = 256, chip: int | None = None) -> "StaticCells":
        """Cells with lognormal error rates, clipped at 0.5, of mean p: min(c exp(sigma z_k), 0.5) at quantiles z_k.

        Args:
            p: mean flip probability, in [0, 0.5).
            sigma: standard deviation of the logarithm of the rates, at least 0.
            classes: number of classes, 2, 4, ... or 256.
            chip: number of the chip; None for another chip in every read.

        Raises:
            ArgumentError: if an argument is not as said.

        Source:
            paper, section 5.7.

        Example:
            >>> cells = StaticCells.lognormal(0.1, sigma=1.0)
            >>> round(cells.rates(1).p01[0], 12), round(cells.p01[0], 3), round(cells.p01[-1], 3)
            (0.1, 0.5, 0.004)
        """
        _checks.integer("classes", classes, 2, 256)
        return StaticCells(lognormal_rates(p, sigma, classes, largest=0.5), chip=chip)

    def of_chip(self, chip: int) -> "StaticCells":
        """The memory of one chip, with its weak cells, whatever number this one has."""
        return replace(self, chip=chip)

    def for_bits(self, bits: int) -> "FaultModel":
        """The fault model of words of `bits` bits."""
        return _ClassesOfCells(_rates(self.p01, self.p10, bits), self.chip)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        """The same faults as seen behind one protection for each bit position, bit 0 first."""
        # Chips differ in which of their cells are weak, and share the rates of the classes.
        return _ClassesOfCells(_rates_behind(self.p01, self.p10, tuple(protections)), self.chip)


def _mean_by_class(p: Array, share: Array, classes: int) -> tuple[float, ...]:
    # The cumulative loss over the cumulative share is interpolated, so that a kind of cells on a border between classes
    # is split between them, and the total is kept.
    order = np.argsort(-p)
    cells = np.concatenate([[0.0], np.cumsum(share[order])])
    lost = np.concatenate([[0.0], np.cumsum((share * p)[order])])
    edges = np.interp(np.arange(classes + 1) / classes * cells[-1], cells, lost)
    return tuple(map(float, np.clip(np.diff(edges) * classes, 0.0, 1.0)))


@dataclass(frozen=True)
class _Rates:
    """Error rates (p01, p10) for each class of cells and each bit position, and what is made of them."""

    of_class: tuple[tuple[tuple[float, float], ...], ...]

    @cached_property
    def means(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Rates p01 and p10 of each bit position, over all classes."""
        positions, count = list(zip(*self.of_class, strict=True)), len(self.of_class)
        p01, p10 = (tuple(sum(rates[i] for rates in position) / count for position in positions) for i in (0, 1))
        return p01, p10

    @cached_property
    def by_position(self) -> Array:
        """Rates of shape (2, bits, classes): p01, then p10."""
        return np.array(self.of_class).transpose(2, 1, 0)

    @cached_property
    def recipe(self) -> StaticRecipe:
        return static_recipe(*self.by_position)

    def behind(self, protections: Sequence[BitProtection]) -> "_Rates":
        # The cells of one code word are of different classes: together they see the mean rates of all classes.
        means = list(zip(*self.means, strict=True))
        return _Rates(
            tuple(
                tuple(
                    protection.residual(*(of_class if protection.one_cell else of_all))
                    for of_class, of_all, protection in zip(positions, means, protections, strict=True)
                )
                for positions in self.of_class
            )
        )


@dataclass(frozen=True)
class KnownCells(FaultModel):
    """What is left of the errors of a chip for a writer with a map of its weak cells.

    The map is made from `reads` reads of each of two patterns: a cell that was read wrong under one of them is held at
    what it was read as, one that was wrong in every read of both turns over, and all others are written as they are.
    Errors are those of bits that are meant to be read so: held where a cell is held, turned over where it turns.

    Attributes:
        cells: how the cells fail.
        reads: of each pattern, at least 1.

    Source:
        theory.md 6.9.

    Example:
        >>> weak = StaticCells(p01=(0.0,) * 8 + (1.0,) * 4 + (0.0,) * 4, p10=(0.0,) * 12 + (1.0,) * 4)
        >>> known = KnownCells(weak)
        >>> known.held_at, known.turned, known.left
        ((0.25, 0.25), 0.0, (0.0, 0.0))
    """

    cells: StaticCells
    reads: int = 1

    @cached_property
    def _shares(self) -> Array:
        """Share of all cells that is written as it is, held at 0, held at 1, and turned; for each class."""
        p01, p10 = np.array(self.cells.p01), np.array(self.cells.p10)
        once = [1 - (1 - p) ** self.reads for p in (p01, p10)]
        turned = (p01 * p10) ** self.reads
        low, high = (1 - once[0]) * once[1], once[0] * (1 - once[1])
        return np.stack((1 - low - high - turned, low, high, turned)) / len(p01)

    @property
    def held_at(self) -> tuple[float, float]:
        """Share of the cells that is held at 0, and at 1."""
        shares = self._shares.sum(1)
        return float(shares[1]), float(shares[2])

    @property
    def turned(self) -> float:
        """Share of the cells that turns over."""
        return float(self._shares[3].sum())

    @property
    def kinds(self) -> tuple[tuple[float, float, float], ...]:
        """Share of the cells, and p01 and p10 of what is written, for each kind of cell that the map tells apart."""
        p01, p10 = np.array(self.cells.p01), np.array(self.cells.p10)
        return tuple(
            (float(share.sum()), float(share @ p01 / share.sum()), float(share @ p10 / share.sum()))
            for share in self._shares
            if share.any()
        )

    @cached_property
    def left(self) -> tuple[float, float]:
        """Probability that a bit that is meant to be 0, or 1, is read as the other; 0 where none is meant to be."""
        p01, p10 = np.array(self.cells.p01), np.array(self.cells.p10)
        as_it_is, low, high, turned = self._shares
        # A bit of a cell that is free is 0 as often as 1; that of a held one is what it is held at.
        zeros = np.stack((as_it_is / 2, low, turned / 2)), np.stack((p01, p01, 1 - p10))
        ones = np.stack((as_it_is / 2, high, turned / 2)), np.stack((p10, p10, 1 - p01))
        rates = [float((share * wrong).sum() / max(share.sum(), _TINY)) for share, wrong in (zeros, ones)]
        return rates[0], rates[1]

    @property
    def as_written(self) -> "KnownCells":
        """The same errors, of the bits that are written in place of those that are meant."""
        return _WrittenCells(self.cells, self.reads)

    def held(self, protections: Sequence[BitProtection]) -> tuple[tuple[float, float], ...]:
        """`held_at` of each bit of a word: of raw cells alone there is a map."""
        return tuple(self.held_at if one == Raw() else (0.0, 0.0) for one in protections)

    def law(self, bits: int) -> WordLaw:
        """Law of the word read, given the one that is meant to be read."""
        return WordLaw.of_bits(*((rate,) * bits for rate in self.left))

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        """The same behind protections: what is read from several cells, or from better ones, sees all errors."""
        rates = self.cells.behind(protections).rates(len(protections))
        seen = zip(rates.p01, rates.p10, protections, strict=True)
        return _ClassesOfCells(_Rates((tuple(self.left if one == Raw() else (a, b) for a, b, one in seen),)), None)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        """Words that are meant to be read, as read once."""
        return self.behind((Raw(),) * bits).corrupt(words, bits=bits, seed=seed, place=place, in_place=in_place)


@dataclass(frozen=True)
class _WrittenCells(KnownCells):
    """What is read of words that were chosen with a map, against the words that were written."""

    @cached_property
    def left(self) -> tuple[float, float]:
        as_it_is, low, high, turned = self._shares
        rates = [
            float(share @ np.array(p) / max(share.sum(), _TINY))
            for share, p in (
                ((as_it_is + turned) / 2 + low, self.cells.p01),
                ((as_it_is + turned) / 2 + high, self.cells.p10),
            )
        ]
        return rates[0], rates[1]


@lru_cache(maxsize=64)
def _rates(p01: tuple[float, ...], p10: tuple[float, ...], bits: int) -> _Rates:
    return _Rates(tuple((pair,) * bits for pair in zip(p01, p10, strict=True)))


@lru_cache(maxsize=256)
def _rates_behind(p01: tuple[float, ...], p10: tuple[float, ...], protections: tuple[BitProtection, ...]) -> _Rates:
    return _rates(p01, p10, len(protections)).behind(protections)


@dataclass(frozen=True)
class _ClassesOfCells(FaultModel):
    """The cells of a chip, or of a chip of their own in every read."""

    rates_of: _Rates
    chip: int | None

    def law(self, bits: int) -> WordLaw:
        check_bits(bits, len(self.rates_of.of_class[0]))
        return WordLaw.of_bits(*self.rates_of.means)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        check_bits(len(protections), len(self.rates_of.of_class[0]))
        return _ClassesOfCells(self.rates_of.behind(protections), self.chip)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        check_words(words, bits, in_place=in_place)
        check_bits(bits, len(self.rates_of.of_class[0]))
        if self.chip is None:
            # Classes drawn anew for each read are independent between cells: the errors are those of the mean rates.
            return flip_asymmetric(words, *self.rates_of.means, seed=seed, in_place=in_place)
        # Not of `seed`: the classes of the cells of a place are the same in every read of the chip.
        cells = child_seed(self.chip, "cells", place)
        if words.device.type == "cpu":
            return read_static(words, self.rates_of.recipe, seed=seed, cells=cells, in_place=in_place)
        read = _read_elsewhere(words, self.rates_of.by_position, seed, cells)
        return words.copy_(read) if in_place else read


def _read_elsewhere(words: torch.Tensor, rates: Array, seed: int, cells: int) -> torch.Tensor:
    """Words read on any device: a class and a uniform number for each cell.

    The law is that of the CPU, the bits drawn are others.
    """
    table = torch.from_numpy(np.ascontiguousarray(rates)).to(words.device)
    stored, mask = words.int(), torch.zeros(words.shape, dtype=torch.int32, device=words.device)
    of_cells = torch_generator(cells, "classes of cells", device=words.device)
    of_read = torch_generator(seed, "static cells", device=words.device)
    for position in range(table.shape[1]):
        kind = torch.randint(table.shape[2], words.shape, device=words.device, generator=of_cells)
        rate = table[(stored >> position & 1).long(), position, kind]
        uniform = torch.rand(words.shape, dtype=torch.float64, device=words.device, generator=of_read)
        mask |= (uniform < rate).int() << position
    return (stored ^ mask).to(words.dtype)
