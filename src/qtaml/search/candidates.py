"""What a weight can be stored as: formats with fitted levels, from the cheapest to the best."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, combinations_with_replacement

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import special

from qtaml.faults import FaultModel, Uniform, WordLaw
from qtaml.formats import EvenLevels, Format, Granularity, NamedLevels, Scale, Section, TableLevels, TensorFormat
from qtaml.formats.scales import of_each
from qtaml.protections import Protection
from qtaml.search.even_levels import fit_even
from qtaml.search.fitting import Fitted, assess, fit, settle
from qtaml.search.histogram import Histogram
from qtaml.theory.capacity import capacity

_GAUSSIAN_POINTS, _POINTS = 1024, 4096
_MOST_KINDS = 2
_MIXED_BITS, _MOST_BITS = 6, 10
"""Longest word of two kinds of protection, and of one."""
_NEAR, _ROUGHLY_NEAR = 0.15, 0.5
"""How far above the hull a format may lie to be worth a thought, as a share of the error; and after a first look."""
_LONG = 8
"""Longer words are of no use where errors are more frequent than their finest levels are worth."""
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


def patterns(
    protections: Sequence[Protection], *, most_cells: float, mixed_bits: int = _MIXED_BITS
) -> tuple[Pattern, ...]:
    """Words of 0 to 10 bits under one or two of the protections, the dearer one on the most significant bits.

    Args:
        protections: what a bit can be protected by.
        most_cells: cells of the dearest word.
        mixed_bits: bits of the longest word under two protections.

    Returns:
        The patterns, cheapest first.

    Example:
        >>> from qtaml.protections import Ideal, Raw
        >>> [[bit.kind for bit in pattern] for pattern in patterns([Raw(), Ideal()], most_cells=3)]
        [[], ['raw'], ['raw', 'raw'], ['ideal'], ['raw', 'raw', 'raw'], ['raw', 'ideal']]
    """
    ascending = sorted(protections, key=lambda protection: protection.cells)
    found: set[Pattern] = {()}
    for kinds in combinations(range(len(ascending)), min(_MOST_KINDS, len(ascending))):
        for bits in range(1, _MOST_BITS + 1):
            for word in combinations_with_replacement([ascending[kind] for kind in kinds], bits):
                if bits <= mixed_bits or len(set(word)) == 1:
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
        >>> from qtaml.protections import pareto_front
        >>> [one.cells for one in efficient(pareto_front(0.1, 0.1, decoders=("none", "majority")), Uniform(0.1))][:4]
        [1, 5, 9, 13]
    """
    rates = {one: fault.behind((one,) * fault.shortest_word).mean_rates for one in protections}
    information = {one: capacity(*rate) / one.cells for one, rate in rates.items()}
    remains = {one: sum(rate) / 2 for one, rate in rates.items()}
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
    middles = special.ndtri((np.arange(_GAUSSIAN_POINTS) + 0.5) / _GAUSSIAN_POINTS)
    gaussian = Histogram(middles / np.sqrt((middles**2).mean()), np.ones(_GAUSSIAN_POINTS))
    mixed_bits = max(_MIXED_BITS, fault.shortest_word)
    words = [
        word
        for word in patterns(efficient(protections, fault), most_cells=most_cells, mixed_bits=mixed_bits)
        if _useful(word, fault)
    ]
    rough = [_candidate(word, settle(gaussian, _law(word, fault))) for word in words]
    promising = [one.format.protections for one in worthwhile(rough, _cells_of, near=_ROUGHLY_NEAR)]
    found = [_candidate(word, fit(gaussian, _law(word, fault), patience=0)) for word in promising]
    return worthwhile(found, _cells_of)


def normalised(
    weight: torch.Tensor, scale: Scale, granularity: Granularity
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights in units of their scale, the scales, and how many weights have each.

    Args:
        weight: a tensor.
        scale: a rule that needs no fault model: the root mean square, or the largest magnitude.
        granularity: how many weights share a scale.

    Returns:
        (relative, scales, counts), float64, of shape (weights,), and of `scale_shape` twice. Where all weights of a
        scale are zero the scale is zero, and so are the relative ones.
    """
    storage = TensorFormat((Section(weight.numel(), Format()),), scale, granularity)
    scales = storage.scale_of(weight.detach(), Uniform(0.0))
    flat, whole = weight.detach().reshape(-1).double(), slice(0, weight.numel())
    divisor = of_each(torch.where(scales > 0, scales, 1.0), whole, weight.shape, granularity)
    length = weight.numel() // math.prod(scales.shape[:1])
    counts = torch.full_like(scales, weight.numel() / scales.numel())
    if not isinstance(granularity, str):
        counts = torch.full_like(scales, granularity)
        counts[:, -1] = length - granularity * (scales.shape[1] - 1)
    return flat / divisor, scales, counts


def named_menu(
    relative: torch.Tensor, levels: NamedLevels, protections: Sequence[Protection], fault: FaultModel
) -> list[Candidate]:
    """Words of a named table with their most significant bits under each protection.

    Args:
        relative: weights in units of the full scale.
        levels: the table.
        protections: what the most significant bits can be protected by; the others are raw.
        fault: how the memory fails.

    Returns:
        Candidates; errors in units of the squared scale.
    """
    weights, base = Histogram.of(relative, bins=_POINTS), Format(levels)
    formats = dict.fromkeys(base.protect(count, by) for by in protections for count in range(base.bits + 1))
    return [Candidate(fmt, assess(weights, fmt.law(fault), fmt.readout()).error) for fmt in formats]


def fitted_menu(relative: torch.Tensor, candidates: Sequence[Candidate], fault: FaultModel) -> list[Candidate]:
    """Candidates fitted to some weights: each with a table of its own, and with evenly spaced levels.

    Args:
        relative: weights of root mean square 1, any shape.
        candidates: formats fitted to similar weights, to start from.
        fault: how the memory fails.

    Returns:
        Candidates, as given twice. The numbers in their tables are such as 16 bits hold.
    """
    weights = Histogram.of(relative, bins=_POINTS)
    found = []
    for candidate in candidates:
        law = _law(candidate.format.protections, fault)
        tables = [_kept(fit(weights, law, patience=0, starts=[candidate.format.readout()]).table)]
        if law.bits:
            first, step = _kept(fit_even(weights, law))
            tables.append(first + step * np.arange(2**law.bits))
        for table in tables:
            fmt = replace(candidate.format, levels=TableLevels(tuple(table.tolist())))
            found.append(Candidate(fmt, assess(weights, law, table).error))
    return found


def _kept(values: ArrayLike) -> NDArray[np.float64]:
    """Values as they are kept: in 16 bits."""
    return np.asarray(values, dtype=np.float16).astype(np.float64)


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
    base = Format(EvenLevels(bits))
    storage = TensorFormat((Section(weight.numel(), base),))
    (amount,) = storage.label_amounts(*storage.encode(weight, fault))
    energy = float(weight.double().square().sum()) or 1.0
    formats = {base.protect(count, by) for by in protections for count in range(bits + 1)}
    found = [Candidate(fmt, float(amount @ fmt.read_variance(fault)) / energy) for fmt in formats]
    return improving(sorted(found, key=lambda one: (one.format.cells, one.error)))


def improving(ascending: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Candidates by ascending price, without those that a cheaper one equals."""
    better: list[Candidate] = []
    for one in ascending:
        if not better or one.error < better[-1].error:
            better.append(one)
    return tuple(better)


def worthwhile(
    found: Iterable[Candidate], price: Callable[[Format], float], *, near: float = _NEAR
) -> tuple[Candidate, ...]:
    """Candidates near the lower convex hull of error over price, each dearer and better than the one before.

    Args:
        found: candidates.
        price: cells of a weight in a format.
        near: how far above the hull a candidate may lie, as a share of the error.
    """
    priced = {one: price(one.format) for one in found}
    better = improving(sorted(priced, key=lambda one: (priced[one], one.error)))
    cells, errors = (np.array(column) for column in zip(*((priced[c], c.error) for c in better), strict=True))
    hull = [0]
    while hull[-1] < len(better) - 1:
        rest = np.arange(hull[-1] + 1, len(better))
        slopes = (errors[hull[-1]] - errors[rest]) / (cells[rest] - cells[hull[-1]])
        hull.append(int(rest[np.argmax(slopes)]))
    at_hull = np.interp(cells, cells[hull], errors[hull])
    return tuple(one for one, least in zip(better, at_hull, strict=True) if one.error <= (1 + near) * least)


def _useful(word: Pattern, fault: FaultModel) -> bool:
    """Whether the memory holds such a word, and its errors do not drown its finest levels."""
    if word and not fault.holds(len(word)):
        return False
    return len(word) <= _LONG or max(word[0].residual(*fault.mean_rates)) <= 4.0**-_LONG


def _candidate(word: Pattern, fitted: Fitted) -> Candidate:
    return Candidate(Format(TableLevels(tuple(fitted.table.tolist())), word), fitted.error)


def _cells_of(fmt: Format) -> float:
    return fmt.cells
