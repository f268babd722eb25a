"""What a weight can be stored as: formats with fitted levels, from the cheapest to the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import torch

from qtaml.faults import FaultModel, WordLaw
from qtaml.formats import Format, Granularity, Protection, Section, TensorFormat
from qtaml.formats.fitting import Histogram, fit
from qtaml.theory.capacity import capacity

_POINTS = 2048

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


def patterns(protections: Sequence[Protection], *, most_bits: int, most_cells: float) -> tuple[Pattern, ...]:
    """Every choice of protections for words of 0 to `most_bits` bits, the dearest on the most significant bits.

    Args:
        protections: what a bit can be protected by.
        most_bits: bits of the longest word.
        most_cells: cells of the dearest word.

    Returns:
        The patterns, cheapest first.

    Example:
        >>> from qtaml.formats import Ideal, Raw
        >>> [[bit.kind for bit in pattern] for pattern in patterns([Raw(), Ideal()], most_bits=2, most_cells=3)]
        [[], ['raw'], ['raw', 'raw'], ['ideal'], ['raw', 'ideal']]
    """
    ascending = sorted(protections, key=lambda protection: protection.cells)
    found = [
        pattern
        for bits in range(most_bits + 1)
        for pattern in combinations_with_replacement(ascending, bits)
        if sum(protection.cells for protection in pattern) <= most_cells
    ]
    return tuple(sorted(found, key=lambda pattern: sum(protection.cells for protection in pattern)))


def efficient(protections: Sequence[Protection], fault: FaultModel) -> tuple[Protection, ...]:
    """The protections that no other beats both in what remains of the errors and in information for each cell.

    Words mix them: three bits in raw cells may carry more than one in three cells.

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
        >>> [one.kind for one in efficient(protections(0.1, 0.1, decoders=("none", "majority")), Uniform(0.1))][:3]
        ['raw', 'repetition', 'repetition']
    """
    found: list[Protection] = []
    best = 0.0
    for one in reversed(protections):
        rates = fault.behind((one,)).rates(1)
        information = capacity(rates.p01[0], rates.p10[0]) / one.cells
        if information > best:
            best = information
            found.append(one)
    return tuple(reversed(found))


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


def fitted_menu(
    relative: torch.Tensor,
    choices: Sequence[Pattern],
    fault: FaultModel,
    *,
    tolerance: float = 0.0,
    kicks: int = 24,
) -> tuple[Candidate, ...]:
    """The best formats with fitted levels: those on the lower convex hull of error over cells, or near it.

    Args:
        relative: weights of root mean square 1, any shape.
        choices: patterns of protections.
        fault: how the memory fails.
        tolerance: how far above the hull an error may lie to be kept, as a share of it.
        kicks: effort of each fit; see `fit`.

    Returns:
        Candidates, each dearer and better than the one before.
    """
    weights = Histogram.of(relative, bins=_POINTS)
    found = []
    for choice in choices:
        law = fault.behind(choice).law(len(choice)) if choice else WordLaw(())
        best = fit(weights, law, kicks=kicks)
        found.append(Candidate(Format(len(choice), protections=choice, table=tuple(best.table.tolist())), best.error))
    return _near_hull(_improving(found), tolerance)


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
    return _improving([Candidate(fmt, float(amount @ fmt.read_variance(fault)) / energy) for fmt in formats])


def _improving(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Candidates in the order of their cells, without those that a cheaper one equals."""
    better: list[Candidate] = []
    for one in sorted(found, key=lambda one: (one.format.cells, one.error)):
        if not better or one.error < better[-1].error:
            better.append(one)
    return tuple(better)


def _near_hull(better: Sequence[Candidate], tolerance: float) -> tuple[Candidate, ...]:
    cells, errors = (np.array(column) for column in zip(*((c.format.cells, c.error) for c in better), strict=True))
    hull = [0]
    while hull[-1] < len(better) - 1:
        rest = np.arange(hull[-1] + 1, len(better))
        slopes = (errors[hull[-1]] - errors[rest]) / (cells[rest] - cells[hull[-1]])
        hull.append(int(rest[np.argmax(slopes)]))
    at_hull = np.interp(cells, cells[hull], errors[hull])
    return tuple(one for one, least in zip(better, at_hull, strict=True) if one.error <= (1 + tolerance) * least)
