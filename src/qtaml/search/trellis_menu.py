"""Which trellises a tensor may be stored as: a first look, known and fitted tables, wide windows at the end."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from qtaml.errors import ArgumentError
from qtaml.faults import FaultModel
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import Format, TrellisLevels
from qtaml.formats.levels import standard_trellises
from qtaml.protections import Protection
from qtaml.search.candidates import ROUGHLY_NEAR, Candidate, cells_of, efficient, law_behind, worthwhile
from qtaml.search.known_chips import held_at
from qtaml.search.trellis_fitting import Shape, assess_trellis, fit_trellis, gaussian_weights

# Weights of a first look at trellises, and those from which a dozen terms are fitted; shapes of a first look.
_ROUGH_WEIGHTS, _FEW_WEIGHTS = 2**11, 2**12
_ROUGH_SHAPES = (Shape(1, 6, 4), Shape(1, 6, 2), Shape(1, 6), Shape(2, 3), Shape(3, 2), Shape(4, 2))
_LONGER_SHAPES = (Shape(5, 2), Shape(6, 2))
"""Besides where the writer has a map: at 10% weak cells 22.6 and 27.0 dB where words of 5, 6 and 8 bits have 17.1, 20.9
and 26.5 with tables eight times as long. Without a map words are as good (31.9 dB in 6 bits without errors)."""

# Bits of the windows of a menu, at least.
_NARROW = 8


@lru_cache(maxsize=1024)
def _rough(shape: Shape, protection: Protection, fault: FaultModel) -> Candidate:
    """A trellis for Gaussian weights, all bits of a word behind one protection."""
    word = (protection,) * shape.bits
    gaussian, held = gaussian_weights(_ROUGH_WEIGHTS), held_at(fault, word)
    fitted = fit_trellis(gaussian, law_behind(word, fault), shape, terms=shape.few_terms, held=held)
    return Candidate(Format(fitted.levels, word), fitted.error)


def trellis_menu(protections: tuple[Protection, ...], fault: FaultModel, most_cells: float) -> tuple[Format, ...]:
    """Trellises near the lower convex hull of error over cells for Gaussian weights, by ascending cells.

    All bits of a word have one protection. Levels are those of a first look, by short windows; arguments as for
    `gaussian_menu`.
    """
    found = [
        _rough(shape, protection, fault)
        for shape in _ROUGH_SHAPES + (_LONGER_SHAPES if isinstance(fault, KnownCells) else ())
        for protection in (efficient(protections, fault) if fault.holds(shape.bits) else ())
        if shape.bits * protection.cells <= most_cells * shape.weights_per_word
    ]
    return tuple(one.format for one in worthwhile(found, cells_of, near=ROUGHLY_NEAR)) if found else ()


def standard_trellis(
    weights: NDArray[np.float64], shape: Shape, protections: tuple[Protection, ...], fault: FaultModel
) -> TrellisLevels:
    """The standard table of a shape that leaves the least error of weights of root mean square 1."""
    law, held, some = law_behind(protections, fault), held_at(fault, protections), weights[:_FEW_WEIGHTS]
    tables = [one for one in standard_trellises() if Shape(one.bits, one.window, one.weights_per_word) == shape]
    return min(tables, key=lambda levels: assess_trellis(some, law, levels, held=held).error)


def fitted_trellises(weights: NDArray[np.float64], rough: Format, fault: FaultModel, terms: int) -> tuple[Format, ...]:
    """A trellis with a standard table, and with ones that are fitted to a network: of few terms, and of more.

    Args:
        weights: some of all tensors, of root mean square 1.
        rough: one that `trellis_menu` found.
        fault: how the memory fails.
        terms: most terms of a table beyond a short series.
    """
    shape = Shape(rough.bits, -(-_NARROW // rough.bits), rough.levels.weights_per_word)
    law, held = law_behind(rough.protections, fault), held_at(fault, rough.protections)
    levels = standard_trellis(weights, shape, rough.protections, fault)
    found = [Format(levels, rough.protections)]
    for count in sorted({shape.few_terms, min(max(terms, shape.few_terms), shape.values)}):
        some = weights if count > shape.few_terms else weights[:_FEW_WEIGHTS]
        # Few terms from both beginnings: of Gaussian weights that of the standard is better, of heavy tails a new one.
        starts = (levels,) if count > shape.few_terms else (levels, None)
        fits = [fit_trellis(some, law, shape, terms=count, start=one, held=held) for one in starts]
        levels = min(fits, key=lambda one: one.error).levels
        found.append(Format(levels, rough.protections))
    return tuple(found)


def widened_trellis(weights: NDArray[np.float64], fmt: Format, fault: FaultModel, window_bits: int) -> Format:
    """A trellis of a wider window in place of another, with no more side values, for the same weights."""
    if not isinstance(fmt.levels, TrellisLevels):
        return fmt
    shape = Shape(fmt.bits, max(window_bits // fmt.bits, fmt.levels.window), fmt.levels.weights_per_word)
    levels = standard_trellis(weights, shape, fmt.protections, fault)
    # Two numbers a term: no more than the other table has, or the plan would be beyond its budget.
    if terms := fmt.levels.side_values // 2:
        some = weights if terms > shape.few_terms else weights[:_FEW_WEIGHTS]
        law, held = law_behind(fmt.protections, fault), held_at(fault, fmt.protections)
        levels = fit_trellis(some, law, shape, terms=terms, start=levels, held=held).levels
    return Format(levels, fmt.protections)


def assessed_trellis(weights: NDArray[np.float64], fmt: Format, fault: FaultModel) -> Candidate:
    """A trellis for the weights of a tensor, of root mean square 1."""
    if not isinstance(fmt.levels, TrellisLevels):
        raise ArgumentError(f"fmt must be a trellis, got {fmt.levels}")
    law, held = law_behind(fmt.protections, fault), held_at(fault, fmt.protections)
    found = assess_trellis(weights, law, fmt.levels, held=held, seed=1)
    return Candidate(fmt, found.error, found.shrinkage)
