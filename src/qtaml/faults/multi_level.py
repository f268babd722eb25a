"""Cells that hold several bits: charge loss moves a cell to a neighbouring level, so its bits fail together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from qtaml import _checks
from qtaml._random import torch_generator
from qtaml.device import MultiLevelCell
from qtaml.errors import ArgumentError
from qtaml.faults.base import FaultModel, WordLaw
from qtaml.protections import BitProtection
from qtaml.sampling.recipe import transition_recipe
from qtaml.sampling.sampler import check_words, read_transitions


@dataclass(frozen=True)
class MultiLevel(FaultModel):
    """Each group of b neighbouring bits of a word lies in a cell of 2**b levels; cells fail independently.

    Attributes:
        groups: for each cell of a word, from the least significant bits up, the probability of reading each of its 2**b
            labels (inner) given the stored one (outer). A single one serves every cell of a word.

    Raises:
        ArgumentError: if a row does not hold probabilities that sum to 1, or the size is not 2, 4, 8 or 16.

    Source:
        theory.md 4, multi-level cell.

    Example:
        >>> falls = MultiLevel((((1.0, 0.0), (0.25, 0.75)),))  # a charged cell is read empty in a quarter of the reads
        >>> falls.rates(bits=2)
        BitErrorRates(p01=(0.0, 0.0), p10=(0.25, 0.25))
    """

    groups: tuple[tuple[tuple[float, ...], ...], ...]
    kind: Literal["multi_level"] = field(default="multi_level", repr=False)

    def __post_init__(self) -> None:
        groups = tuple(tuple(tuple(map(float, row)) for row in group) for group in self.groups)
        object.__setattr__(self, "groups", groups)
        for number, group in enumerate(self.groups):
            if len(group) not in (2, 4, 8, 16) or any(len(row) != len(group) for row in group):
                raise ArgumentError(f"groups[{number}] must be a square matrix of 2, 4, 8 or 16 labels")
            for row in group:
                for p in row:
                    _checks.probability(f"groups[{number}]", p)
                # Sums of rounded probabilities, from a file for example, are not exactly 1.
                if abs(sum(row) - 1) > 1e-9:
                    raise ArgumentError(f"groups[{number}] must have rows that sum to 1, got a sum of {sum(row)!r}")

    @staticmethod
    def from_cell(cell: MultiLevelCell, window: float) -> "MultiLevel":
        """The errors of a multi-level cell after a window.

        Args:
            cell: its levels, references and labels.
            window: time between refreshes, in seconds.

        Raises:
            ArgumentError: if the window is not above 0.

        Example:
            >>> from qtaml.device import Rectangular
            >>> levels = MultiLevelCell(Rectangular(3.15, 3.0, 0.42), (0, 100, 200, 300), (50, 150, 250), 1e13)
            >>> [round(p, 3) for p in MultiLevel.from_cell(levels, window=37.0).rates(bits=8).p01[:2]]
            [0.121, 0.0]
        """
        # Differences of tails may leave the range of probabilities by a rounding error.
        rows = cell.label_matrix(window)
        return MultiLevel((tuple(tuple(map(float, row)) for row in rows.clip(0.0, 1.0)),))

    def law(self, bits: int) -> WordLaw:
        """Exact law of a word of `bits` bits."""
        return WordLaw(tuple(np.array(group) for group in self._for_bits(bits)))

    def holds(self, bits: int) -> bool:
        """Whether words of `bits` bits fill whole cells."""
        widths = [len(group).bit_length() - 1 for group in self.groups]
        return bits == sum(widths) or (len(widths) == 1 and bits % widths[0] == 0)

    def behind(self, protections: Sequence[BitProtection]) -> "MultiLevel":
        """The same faults as seen behind one protection for each bit position, bit 0 first.

        A bit that is read from several cells fails independently of the others: its copies, or the bits of its code,
        lie in cells that hold no other bit of the word.
        """
        rates = self.rates(len(protections))
        raw = zip(rates.p01, rates.p10, protections, strict=True)
        # None marks bits that stay in their cell: only they keep failing together.
        left = [
            None if one.one_cell and one.residual(p01, p10) == (p01, p10) else one.residual(p01, p10)
            for p01, p10, one in raw
        ]
        groups, start = [], 0
        for group in self._for_bits(len(protections)):
            width = len(group).bit_length() - 1
            groups.append(_with_protected_bits(group, left[start : start + width]))
            start += width
        return MultiLevel(tuple(groups))

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        """Words as read once; see `FaultModel.corrupt`."""
        check_words(words, bits, in_place=in_place)
        groups = self._for_bits(bits)
        if words.device.type == "cpu":
            return read_transitions(words, transition_recipe(groups), seed=seed, in_place=in_place)
        read = _read_elsewhere(words, groups, seed)
        return words.copy_(read) if in_place else read

    def _for_bits(self, bits: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
        widths = [len(group).bit_length() - 1 for group in self.groups]
        if not self.holds(bits):
            raise ArgumentError(f"bits must fill the cells of {widths} bits each, got {bits}")
        return self.groups * (bits // sum(widths))


def _read_elsewhere(words: torch.Tensor, groups: Sequence[tuple[tuple[float, ...], ...]], seed: int) -> torch.Tensor:
    """Words read on any device, by inversion: the label whose share of [0, 1) holds a uniform number.

    The law is that of the CPU, the bits drawn are others.
    """
    generator = torch_generator(seed, "multi-level", device=words.device)
    stored_words = words.int()
    result, start = torch.zeros_like(stored_words), 0
    for group in groups:
        width = len(group).bit_length() - 1
        # Without the last bound: it may round to below 1, and a uniform number above it would be a label too many.
        bounds = torch.tensor(group, dtype=torch.float64, device=words.device).cumsum(1)[:, :-1]
        stored = stored_words >> start & len(group) - 1
        uniform = torch.rand(words.shape, dtype=torch.float64, device=words.device, generator=generator)
        label = torch.zeros_like(stored)
        for column in bounds.T:
            label += uniform >= column[stored.long()]
        result |= label << start
        start += width
    return (result | stored_words >> start << start).to(words.dtype)


def _with_protected_bits(
    group: tuple[tuple[float, ...], ...], left: Sequence[tuple[float, float] | None]
) -> tuple[tuple[float, ...], ...]:
    """Matrix of a cell some of whose bits are protected: these fail independently, at their residual rates `left`."""
    mask = sum(1 << position for position, rates in enumerate(left) if rates is not None)
    # First the raw bits alone, with protected ones read as stored; then the errors of the protected ones on top.
    rows = np.zeros((len(group), len(group)))
    for stored, row in enumerate(group):
        for read, p in enumerate(row):
            rows[stored, read & ~mask | stored & mask] += p
    alone = np.eye(1)
    for rates in left:
        # Higher positions to the left: the first factor of a Kronecker product is the most significant.
        p01, p10 = rates or (0.0, 0.0)
        alone = np.kron(np.array([[1 - p01, p01], [p10, 1 - p10]]), alone)
    # Sums of probabilities may exceed 1 by a rounding error.
    return tuple(tuple(map(float, row)) for row in (rows @ alone).clip(max=1.0))
