"""What a weight can be stored as: formats with fitted levels, from the cheapest to the best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, combinations_with_replacement

import numpy as np
import torch
from scipy import special

from qtaml.faults import FaultModel, WordLaw
from qtaml.formats import Format, Granularity, Histogram, Protection, Section, TensorFormat, fit
from qtaml.theory.capacity import capacity

_POINTS = 1024
_MOST_KINDS = 2
_MIXED_BITS, _MOST_BITS = 6, 8
"""Longest word of two kinds of protection, and of one."""
_NEAR = 0.15
"""How far above the hull for Gaussian weights a format may lie, to be fitted to others, as a share of the error."""
_GAIN = 4.0
"""By how much a protection must lower the error rate to be worth having beside a cheaper one."""

Pattern = tuple[Protection, ...]
"""One protection for each bit, bit 0 first."""


@dataclass(frozen=True)
class Candidate:
    """A format, and what is lost with it.

    Attributes:
        format: levels fitted to weights of root mean square 1.
        error: mean squared error of what is read, over such a weight and the errors of the memory.
    """

    format: Format
    error: float


def patterns(protections: Sequence[Protection], *, most_cells: float) -> tuple[Pattern, ...]:
    """Words of 0 to 8 bits under one or two of the protections, the dearer one on the most significant bits.

    Args:
        protections: what a bit can be protected by.
        most_cells: cells of the dearest word.

    Returns:
        The patterns, cheapest first.

    Example:
        >>> from qtaml.formats import Ideal, Raw
        >>> [[bit.kind for bit in pattern] for pattern in patterns([Raw(), Ideal()], most_cells=3)]
        [[], ['raw'], ['raw', 'raw'], ['ideal'], ['raw', 'raw', 'raw'], ['raw', 'ideal']]
    """
    ascending = sorted(protections, key=lambda protection: protection.cells)
    found: set[Pattern] = {()}
    for kinds in combinations(range(len(ascending)), min(_MOST_KINDS, len(ascending))):
        for bits in range(1, _MOST_BITS + 1):
            for word in combinations_with_replacement([ascending[kind] for kind in kinds], bits):
                if bits <= _MIXED_BITS or len(set(word)) == 1:
                    found.add(word)
    cheap = [word for word in found if _cells(word) <= most_cells]
    return tuple(sorted(cheap, key=lambda word: (_cells(word), [one.cells for one in word])))


def _cells(word: Pattern) -> float:
    return sum(protection.cells for protection in word)


def efficient(protections: Sequence[Protection], fault: FaultModel) -> tuple[Protection, ...]:
    """The protections worth combining in a word.

    No other beats them both in what remains of the errors and in information for each cell (words mix them, and three
    raw cells may carry more than one bit in three), and each is clearly better than the one before.

    Args:
        protections: by falling error rate.
        fault: how the memory fails.

    Returns:
        Those worth combining, by falling error rate.

    Source:
        theory.md 5.1.

    Example:
        >>> from qtaml.faults import Uniform
        >>> from qtaml.formats import protections
        >>> [one.cells for one in efficient(protections(0.1, 0.1, decoders=("none", "majority")), Uniform(0.1))][:4]
        [1, 5, 9, 13]
    """
    rates = {one: fault.behind((one,)).rates(1) for one in protections}
    information = {one: capacity(rate.p01[0], rate.p10[0]) / one.cells for one, rate in rates.items()}
    remains = {one: (rate.p01[0] + rate.p10[0]) / 2 for one, rate in rates.items()}
    best = [
        one
        for index, one in enumerate(protections)
        if information[one] > max((information[other] for other in protections[index + 1 :]), default=0.0)
    ]
    found: list[Protection] = []
    for one in best:
        if not found or remains[one] * _GAIN <= remains[found[-1]]:
            found.append(one)
    return tuple(found)


@lru_cache(maxsize=16)
def gaussian_menu(protections: tuple[Protection, ...], fault: FaultModel, most_cells: float) -> tuple[Candidate, ...]:
    """Formats that are near the best for Gaussian weights: what is worth fitting to any weights.

    Args:
        protections: what a bit can be protected by.
        fault: how the memory fails.
        most_cells: cells of the dearest word.

    Returns:
        Candidates, each dearer and better than the one before.
    """
    middles = special.ndtri((np.arange(_POINTS) + 0.5) / _POINTS)
    gaussian = Histogram(middles / np.sqrt((middles**2).mean()), np.ones(_POINTS))
    found = []
    for word in patterns(efficient(protections, fault), most_cells=most_cells):
        best = fit(gaussian, _law(word, fault), patience=0)
        found.append(Candidate(Format(len(word), protections=word, table=tuple(best.table.tolist())), best.error))
    return _near_hull(improving(_by_cells(found)), _NEAR)


def normalised(weight: torch.Tensor, granularity: Granularity) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights in units of the root mean square of their tensor, or of their row, and that root mean square.

    Args:
        weight: a tensor; of rows (first dimension) if they are asked for.
        granularity: "tensor" or "row".

    Returns:
        (relative, scale), float64, of shape (1 or rows, weights of each) and (1 or rows, 1). Where all weights are zero
        the scale is zero, and so are the relative ones.
    """
    values = weight.detach().double().reshape(len(weight) if granularity == "row" else 1, -1)
    scale = values.square().mean(1, keepdim=True).sqrt()
    return values / torch.where(scale > 0, scale, 1.0), scale


def fitted_menu(relative: torch.Tensor, candidates: Sequence[Candidate], fault: FaultModel) -> tuple[Candidate, ...]:
    """Candidates fitted to some weights, those near the lower convex hull of error over cells.

    Args:
        relative: weights of root mean square 1, any shape.
        candidates: formats fitted to similar weights, to start from.
        fault: how the memory fails.

    Returns:
        Candidates, each dearer and better than the one before.
    """
    weights = Histogram.of(relative, bins=_POINTS)
    found = []
    for candidate in candidates:
        start, word = candidate.format, candidate.format.protections
        best = fit(weights, _law(word, fault), patience=0, starts=[start.readout()])
        found.append(Candidate(replace(start, table=tuple(best.table.tolist())), best.error))
    return _near_hull(improving(_by_cells(found)), _NEAR)


def _law(word: Pattern, fault: FaultModel) -> WordLaw:
    return fault.behind(word).law(len(word)) if word else WordLaw(())


def plain_menu(
    weight: torch.Tensor, protections: Sequence[Protection], fault: FaultModel, bits: int
) -> tuple[Candidate, ...]:
    """Evenly spaced levels with the most significant bits protected: what TAC and Uniform-MSP choose from.

    The error is the variance of what is read, which is what an exact mean correction leaves.

    Args:
        weight: the tensor.
        protections: what the most significant bits can be protected by; raw cells among them are the others.
        fault: how the memory fails.
        bits: bits of a word.

    Returns:
        Candidates, each dearer and better than the one before; errors in units of the tensor's mean square.
    """
    base = Format(bits)
    storage = TensorFormat((Section(weight.numel(), base),))
    (amount,) = storage.label_amounts(*storage.encode(weight, fault))
    energy = float(weight.double().square().sum()) or 1.0
    formats = {base.protect(count, by) for by in protections for count in range(bits + 1)}
    return improving(_by_cells([Candidate(fmt, float(amount @ fmt.read_variance(fault)) / energy) for fmt in formats]))


def improving(ascending: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Candidates by ascending price, without those that a cheaper one equals."""
    better: list[Candidate] = []
    for one in ascending:
        if not better or one.error < better[-1].error:
            better.append(one)
    return tuple(better)


def _by_cells(found: Iterable[Candidate]) -> list[Candidate]:
    return sorted(found, key=lambda one: (one.format.cells, one.error))


def _near_hull(better: Sequence[Candidate], tolerance: float) -> tuple[Candidate, ...]:
    cells, errors = (np.array(column) for column in zip(*((c.format.cells, c.error) for c in better), strict=True))
    hull = [0]
    while hull[-1] < len(better) - 1:
        rest = np.arange(hull[-1] + 1, len(better))
        slopes = (errors[hull[-1]] - errors[rest]) / (cells[rest] - cells[hull[-1]])
        hull.append(int(rest[np.argmax(slopes)]))
    at_hull = np.interp(cells, cells[hull], errors[hull])
    return tuple(one for one, least in zip(better, at_hull, strict=True) if one.error <= (1 + tolerance) * least)
