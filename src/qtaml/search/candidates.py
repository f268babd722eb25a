"""Candidate formats of a weight: fitted, named or even levels under patterns of protections, as a Pareto front."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, combinations_with_replacement

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel, Uniform, WordLaw
from qtaml.formats import (
    EvenLevels,
    Format,
    Granularity,
    NamedLevels,
    Scale,
    Section,
    TableLevels,
    TensorFormat,
)
from qtaml.formats.chunks import chunks
from qtaml.formats.levels import in_eight_bits
from qtaml.formats.scales import of_each
from qtaml.protections import Protection
from qtaml.search.even_levels import fit_even
from qtaml.search.fitting import Fitted, assess, fit_table, read_moments
from qtaml.search.histogram import Histogram
from qtaml.theory.capacity import capacity

# Bins of a tensor's histogram, even in asinh(w): many hold few weights, and there have to be more than levels (2**10).
POINTS = 4096
# Of n protections n**k sets of k kinds can be made, and each gives patterns that are fitted.
_MOST_KINDS = 2
# Longest word of two kinds of protection, and of one. Each pair of kinds gives bits - 1 patterns of each length;
# matrices of 10 bits are the largest that fitting takes.
MIXED_BITS, _MOST_BITS = 6, 10
# Largest distance above the lower convex hull, as a share of the error: after the full fit, and after `settle`, whose
# errors are not final.
_NEAR, ROUGHLY_NEAR = 0.15, 0.5
# Words above this many bits are listed only where their least significant bit fails more rarely than 4**-8, the squared
# step of the finest level that 8 bits resolve: with more errors than that a longer word resolves nothing more.
_LONG = 8
# Longest word whose free table is rounded to 8 bits: its levels are then known to -43 dB, and read to -30 at best.
_EIGHT_BITS = 6
# Share of the cells of a word that its table may cost before even levels are tried.
_NEXT_TO_NOTHING = 1e-3
# Least factor between the residual error rates of two protections. One bit more lowers the quantisation error by four:
# protections closer than that make words that hardly differ.
_GAIN = 4.0

Pattern = tuple[Protection, ...]
"""One protection for each bit, bit 0 first."""


@dataclass(frozen=True)
class Candidate:
    """A format and its mean squared error.

    Attributes:
        format: levels in units of the scale.
        error: E[(value read - weight)**2] over the weights and the errors of the memory, in units of the squared scale.
        shrinkage: 1 - E[value read x weight] / E[weight**2]: the share of the weights that is lost on average.
    """

    format: Format
    error: float
    shrinkage: float = 0.0

    def effect(self, power: float, coherence: float) -> float:
        """Error that is left of it at the best readout gain, where shrinkage adds up in the output.

        With c as the gain, what is lost of all weights together acts `coherence` times as strongly as independent
        errors: E = c**2 a + coherence x power x (c (1 - shrinkage) - 1)**2, where a is the error without that of the
        shrinkage. The least of it over c.

        Args:
            power: mean square of the weights, in units of the squared scale.
            coherence: squared output error of a relative change of all weights, over that of independent errors of
                the same size; at least 1, and infinite where the readout gain is to undo the shrinkage.

        Raises:
            ArgumentError: if the power is below 0, or the coherence below 1.

        Source:
            theory.md 6.6.

        Example:
            >>> half = Candidate(Format(), error=0.5, shrinkage=0.5)
            >>> half.effect(1.0, 1.0), round(half.effect(1.0, 1e9), 6)
            (0.5, 1.0)
        """
        if not power >= 0:
            raise ArgumentError(f"power must be at least 0, got {power!r}")
        if not coherence >= 1:
            raise ArgumentError(f"coherence must be at least 1, got {coherence!r}")
        kept = 1 - self.shrinkage
        rest = max(self.error - power * self.shrinkage**2, 0.0)
        if math.isinf(coherence):
            return rest / kept**2 if kept else math.inf
        whole = coherence * power
        return rest * whole / (rest + whole * kept**2) if whole * kept else max(whole, self.error)


def patterns(
    protections: Sequence[Protection], *, most_cells: float, mixed_bits: int = MIXED_BITS
) -> tuple[Pattern, ...]:
    """Words of 0 to 10 bits under one or two of the protections, the dearer one on the most significant bits.

    Args:
        protections: allowed protections of a bit.
        most_cells: largest number of cells of a word.
        mixed_bits: bits of the longest word under two protections.

    Returns:
        The patterns by ascending cells.

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
    # The set has no order of its own: sorted by cells and then by the cells of each bit, so that menus, and with them
    # the bits of a plan, are the same in every process.
    cheap = [word for word in found if _cells(word) <= most_cells]
    return tuple(sorted(cheap, key=lambda word: (_cells(word), [one.cells for one in word])))


def _cells(word: Pattern) -> float:
    return sum(protection.cells for protection in word)


def efficient(protections: Sequence[Protection], fault: FaultModel) -> tuple[Protection, ...]:
    """Pareto front of residual error rate and capacity per cell, thinned so that each entry lowers the rate fourfold.

    Capacity per cell counts, not cells, because words mix protections: three raw cells may carry more than one bit in
    three.

    Args:
        protections: by falling error rate.
        fault: how the memory fails.

    Returns:
        The front, by falling error rate.

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


def normalised(
    weight: torch.Tensor, scale: Scale, granularity: Granularity
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights divided by their scale, the scales, and the number of weights of each scale.

    Args:
        weight: a tensor.
        scale: a rule that needs no fault model: the root mean square, or the largest magnitude.
        granularity: how many weights share a scale.

    Returns:
        (relative, scales, counts), float64: relative weights of shape (weights,), scales and counts of `scale_shape`. A
        scale whose weights are all zero is zero, and so are the relative weights.
    """
    storage = TensorFormat((Section(weight.numel(), Format()),), scale, granularity)
    # The rule asks for a fault model, on which neither of these scales depends.
    scales = storage.scale_of(weight.detach(), Uniform(0.0))
    flat, divisor = weight.detach().reshape(-1), torch.where(scales > 0, scales, 1.0)
    relative = torch.empty(flat.shape, dtype=torch.float64, device=flat.device)
    for where in chunks([slice(0, weight.numel())], flat.device):
        relative[where] = flat[where].double() / of_each(divisor, where, weight.shape, granularity)
    length = weight.numel() // math.prod(scales.shape[:1])
    counts = torch.full_like(scales, weight.numel() / scales.numel())
    if not isinstance(granularity, str):
        counts = torch.full_like(scales, granularity)
        # The last group of a row may be shorter.
        counts[:, -1] = length - granularity * (scales.shape[1] - 1)
    return relative, scales, counts


def named_menu(
    weights: Histogram, levels: NamedLevels, protections: Sequence[Protection], fault: FaultModel
) -> list[Candidate]:
    """Words of a named table with 0, 1, ... most significant bits under each protection.

    Args:
        weights: in units of the full scale.
        levels: the table.
        protections: allowed protections of the most significant bits; the others are raw.
        fault: how the memory fails.

    Returns:
        Candidates; errors in units of the squared scale.
    """
    base = Format(levels)
    formats = dict.fromkeys(base.protect(count, by) for by in protections for count in range(base.bits + 1))
    return [_assessed(fmt, assess(weights, fmt.law(fault), fmt.readout())) for fmt in formats]


def fitted_menu(
    weights: Histogram, candidates: Sequence[Candidate], fault: FaultModel, *, value_cells: float = math.inf
) -> list[Candidate]:
    """Candidates fitted to the weights of a tensor: each with a free table, and with evenly spaced levels.

    Args:
        weights: of root mean square 1.
        candidates: formats fitted to similar weights, to start from.
        fault: how the memory fails.
        value_cells: cells of a side value, as a share of a weight's. Even levels, which need two values, are left out
            where a table that can only be better costs next to nothing.

    Returns:
        One or two candidates for each given one, with tables rounded to what is stored of them.
    """
    found = []
    for candidate in candidates:
        law = law_behind(candidate.format.protections, fault)
        # Beside the given table the fit starts cold as well: heavy tails gain up to 14 dB by that.
        tables = [kept_table(fit_table(weights, law, patience=0, starts=[candidate.format.readout()]))]
        # Two side values in place of 2**bits: small tensors live on even levels.
        if law.bits and value_cells * 2**law.bits > _NEXT_TO_NOTHING * candidate.format.cells:
            first, step = kept_values(fit_even(weights, law))
            tables.append(first + step * np.arange(2**law.bits))
        # Assessed as rounded: the error is that of the table which is stored.
        for table in tables:
            fmt = replace(candidate.format, levels=TableLevels(tuple(table.tolist())))
            found.append(_assessed(fmt, assess(weights, law, table)))
    return found


def _assessed(fmt: Format, fitted: Fitted) -> Candidate:
    return Candidate(fmt, fitted.error, fitted.shrinkage)


def kept_values(values: ArrayLike) -> NDArray[np.float64]:
    """Values rounded to float16, in which long tables and even levels are stored."""
    return np.asarray(values, dtype=np.float16).astype(np.float64)


def kept_table(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """A free table as it is stored: a short one in 8 bits a value."""
    return in_eight_bits(table) if 1 < len(table) <= 2**_EIGHT_BITS else kept_values(table)


# Each tensor is fitted under the same laws, which keep their matrices.
@lru_cache(maxsize=1024)
def law_behind(word: Pattern, fault: FaultModel) -> WordLaw:
    """Law of a word behind its protections."""
    return fault.behind(word).law(len(word)) if word else WordLaw(())


def plain_menu(
    weight: torch.Tensor, protections: Sequence[Protection], fault: FaultModel, bits: int
) -> tuple[Candidate, ...]:
    """Evenly spaced levels with 0 to `bits` most significant bits protected: the options of TAC and Uniform-MSP.

    The error is the variance of the value read, as if the exact mean correction removed all bias.

    Args:
        weight: the tensor.
        protections: allowed protections of the most significant bits; the others are raw.
        fault: how the memory fails.
        bits: bits of a word.

    Returns:
        Candidates by ascending cells and falling error; errors in units of the tensor's mean square.
    """
    storage = TensorFormat((Section(weight.numel(), Format(EvenLevels(bits))),))
    (amount,) = storage.label_amounts(*storage.encode(weight, fault))
    energy = float(weight.double().square().sum()) or 1.0
    variances = _plain_variances(tuple(protections), fault, bits)
    found = [Candidate(fmt, float(amount @ variance) / energy) for fmt, variance in variances.items()]
    # Sorting by both leaves no order to the set that the formats came from, except between equals.
    return improving(sorted(found, key=lambda one: (one.format.cells, one.error)))


@lru_cache(maxsize=16)
def _plain_variances(
    protections: tuple[Protection, ...], fault: FaultModel, bits: int
) -> dict[Format, NDArray[np.float64]]:
    """Variance of the value read of each label, for evenly spaced levels under each protection: of all tensors."""
    formats = {Format(EvenLevels(bits)).protect(count, by) for by in protections for count in range(bits + 1)}
    return {fmt: read_moments(law_behind(fmt.protections, fault), fmt.readout())[1] for fmt in formats}


def improving(ascending: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Pareto front of candidates by ascending price: each has a smaller error than all cheaper ones."""
    better: list[Candidate] = []
    for one in ascending:
        if not better or one.error < better[-1].error:
            better.append(one)
    return tuple(better)


def worthwhile(
    found: Iterable[Candidate],
    price: Callable[[Format], float],
    *,
    near: float = _NEAR,
    error: Callable[[Candidate], float] = lambda one: one.error,
) -> tuple[Candidate, ...]:
    """Candidates near the lower convex hull of error over price, by ascending price and falling error.

    Args:
        found: candidates.
        price: cells of a weight in a format.
        near: largest distance above the hull, as a share of the error.
        error: what counts as the error of a candidate.
    """
    better: list[tuple[float, float, Candidate]] = []
    for priced in sorted(((price(one.format), error(one), one) for one in found), key=lambda priced: priced[:2]):
        if not better or priced[1] < better[-1][1]:
            better.append(priced)
    cells, errors = (np.array([priced[column] for priced in better]) for column in (0, 1))
    # Gift wrapping from the cheapest: the next corner is the steepest descent. Points close above the hull stay, since
    # the price of tables and blocks, which depends on the tensor and the plan, moves it.
    hull = [0]
    while hull[-1] < len(better) - 1:
        rest = np.arange(hull[-1] + 1, len(better))
        slopes = (errors[hull[-1]] - errors[rest]) / (cells[rest] - cells[hull[-1]])
        hull.append(int(rest[np.argmax(slopes)]))
    at_hull = np.interp(cells, cells[hull], errors[hull])
    return tuple(one for (_, lost, one), on_it in zip(better, at_hull, strict=True) if lost <= (1 + near) * on_it)


def useful(word: Pattern, fault: FaultModel) -> bool:
    """Whether the memory holds words of this length, and their finest levels are not lost among the errors."""
    if word and not fault.holds(len(word)):
        return False
    return len(word) <= _LONG or max(word[0].residual(*fault.mean_rates)) <= 4.0**-_LONG


def cells_of(fmt: Format) -> float:
    """Cells of a weight, without tables."""
    return fmt.cells
