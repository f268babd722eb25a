"""Words for Gaussian weights, from which those of each tensor are fitted."""

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

import numpy as np
from scipy import special

from qtaml.faults import FaultModel
from qtaml.formats import Format, TableLevels
from qtaml.protections import Protection
from qtaml.search.candidates import (
    MIXED_BITS,
    ROUGHLY_NEAR,
    Candidate,
    Pattern,
    cells_of,
    efficient,
    law_behind,
    patterns,
    useful,
    worthwhile,
)
from qtaml.search.fitting import fit, settle
from qtaml.search.histogram import Histogram

# Quantiles of the Gaussian, no fewer than levels (2**10 at most).
_POINTS = 1024
# Largest distance above the lower convex hull, as a share of the error. A tensor's own law and the price of its tables
# move the hull, so near misses are fitted again.
_NEAR = 0.05


@lru_cache(maxsize=16)
def gaussian_menu(
    protections: tuple[Protection, ...], fault: FaultModel, most_cells: float, alone: tuple[Protection, ...] = ()
) -> tuple[Candidate, ...]:
    """Formats near the lower convex hull of error over cells for Gaussian weights; they are then fitted to each tensor.

    Args:
        protections: allowed protections of a bit.
        fault: how the memory fails.
        most_cells: largest number of cells of a word.
        alone: protections each of which may be the only one of these that a plan has: formats near the hull of what
            has no other of them are listed too.

    Returns:
        Candidates by ascending cells; without `alone` by falling error too.
    """
    # A memory of multi-level cells or of one p for each bit may hold no shorter words than this.
    mixed_bits = max(MIXED_BITS, fault.shortest_word)
    words = [
        word
        for word in patterns(efficient(protections, fault), most_cells=most_cells, mixed_bits=mixed_bits)
        if useful(word, fault)
    ]
    # A first look without exchange of labels, which takes most of the time of a fit.
    rough = [_of_gaussian(word, fault, rough=True) for word in words]
    promising = [one.format.protections for one in _near_hulls(rough, alone, ROUGHLY_NEAR)]
    found = [_of_gaussian(word, fault, rough=False) for word in promising]
    return _near_hulls(found, alone, _NEAR)


def _near_hulls(found: Sequence[Candidate], alone: Sequence[Protection], near: float) -> tuple[Candidate, ...]:
    """`worthwhile` of all, and of those that have only one of some protections, by ascending cells."""
    parts = [found, *(only_behind(found, one, alone) for one in alone)]
    kept = dict.fromkeys(one for part in parts for one in worthwhile(part, cells_of, near=near))
    return tuple(sorted(kept, key=lambda one: one.format.cells))


def only_behind(found: Iterable[Candidate], wanted: Protection, among: Iterable[Protection]) -> list[Candidate]:
    """Candidates without any other of some protections than a wanted one."""
    unwanted = set(among) - {wanted}
    return [one for one in found if unwanted.isdisjoint(one.format.protections)]


# Networks of other sizes have other codes, but share most words.
@lru_cache(maxsize=4096)
def _of_gaussian(word: Pattern, fault: FaultModel, *, rough: bool) -> Candidate:
    weights, law = _gaussian(), law_behind(word, fault)
    fitted = settle(weights, law) if rough else fit(weights, law, patience=0)
    return Candidate(Format(TableLevels(tuple(fitted.table.tolist())), word), fitted.error)


@cache
def _gaussian() -> Histogram:
    middles = special.ndtri((np.arange(_POINTS) + 0.5) / _POINTS)
    # Quantiles fall short of the variance by the tails beyond them: scaled to a root mean square of 1.
    return Histogram(middles / np.sqrt((middles**2).mean()), np.ones(_POINTS))
