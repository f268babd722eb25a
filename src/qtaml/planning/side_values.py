"""What a network's side values cost: scales, tables and whatever else has to be right before a weight can be read."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby

import numpy as np
import scipy
from numpy.typing import NDArray

from qtaml import _checks
from qtaml.faults import FaultModel, Several
from qtaml.faults.static_cells import KnownCells
from qtaml.planning.hardened_cells import Price
from qtaml.protections import BlockCode, HardenedCell, pareto_front

SIDE_BITS = 16
"""Bits of a side value."""
SIDE_FAILURE = 1e-6
"""Largest probability that any side value of a network is read wrong, on the worst of its memories."""
_MOST_FEW, _MOST_COPIES, _GROWTH = 63, 10**7, 1.15
"""Copies of a vote: all odd numbers to the first, then by this factor to the most."""
_ORDERS = range(5, 11)
"""BCH codes of 2**m - 1 bits."""
_AT_ONCE = 256
"""Ways to store side values of which it is computed at once how often they fail."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def side_cells(fault: FaultModel, values: int, decoders: Sequence[str], hardened: Sequence[HardenedCell] = ()) -> float:
    """Memory cells of so many side values of 16 bits, all of which are right but for a chance of 1e-6.

    Whichever of these is the cheapest: a vote on copies of each bit, which is allowed always, since the values are read
    once, when the memory is switched on; where algebraic decoders are allowed, shortened BCH codes around votes, in
    whole blocks; where iterative ones are, also around block codes, if there are so many words that each has no more
    than one bit in a block, which can be wrong altogether. The paper's ideal code takes two cells a bit.

    Args:
        fault: how the memory fails; of several memories the worst counts.
        values: number of side values.
        decoders: classes of decoder that are allowed.
        hardened: better cells to choose from.

    Raises:
        ArgumentError: if the number is below 0.

    Source:
        theory.md 5.3.

    Example:
        >>> from qtaml.faults import Uniform
        >>> [round(side_cells(Uniform(0.1), 100, (kind,)) / 100, 1) for kind in ("ideal", "algebraic", "majority")]
        [32.0, 104.8, 592.0]
    """
    return side_storage(fault, values, decoders, hardened)[0]


def side_storage(
    fault: FaultModel,
    values: int,
    decoders: Sequence[str],
    hardened: Sequence[HardenedCell] = (),
    price: Price = "cells",
) -> tuple[float, float]:
    """(cells, refreshes) of side values, each in units of a plain cell's, in the way of the least price.

    Arguments and errors as for `side_cells`; the price is that of `Design`.
    """
    return _of_network(fault, _checks.integer("values", values, 0), tuple(decoders), tuple(hardened), price)


# Of budgets and choices by the hundred many need as many values.
@lru_cache(maxsize=4096)
def _of_network(
    fault: FaultModel, values: int, decoders: tuple[str, ...], hardened: tuple[HardenedCell, ...], price: Price
) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    if "ideal" in decoders:
        return 2.0 * SIDE_BITS * values, 2.0 * SIDE_BITS * values
    key = _by_refreshes if price == "refreshes" else _by_area

    def least(member: FaultModel) -> tuple[float, float]:
        ways = []
        if isinstance(member, KnownCells):
            masked = _masked(SIDE_BITS * values, member)
            ways.append((masked, masked))
            member = member.cells
        for area, rate, *rates in _bare_cells(member, hardened):
            cells = area * _cells(SIDE_BITS * values, decoders, *rates)
            ways.append((cells, cells * rate))
        return min(ways, key=key)

    return max(map(least, fault.members if isinstance(fault, Several) else (fault,)), key=key)


def _by_area(storage: tuple[float, float]) -> float:
    return storage[0]


def _by_refreshes(storage: tuple[float, float]) -> float:
    return storage[1]


def _bare_cells(fault: FaultModel, hardened: Sequence[HardenedCell]) -> Iterable[tuple[float, float, float, float]]:
    yield (1.0, 1.0, *fault.mean_rates)
    for cell in hardened:
        yield (cell.cells, cell.refreshes, *cell.residual(*fault.mean_rates))


def _masked(bits: int, known: KnownCells) -> float:
    """Least cells of votes on bits to which a mask is added; the number of the mask is kept by votes alone.

    Masks are the words of a random linear code of h bits. Of F bits whose votes the stuck copies decide, one mask makes
    all right but for a chance of 2**(F - h); of n bits, each decided with a rate f, but for (1 + f)**n 2**-h. Votes in
    which no more than `held` copies may be held at the wrong value still have to bear what the map does not know.
    """
    (low, high), noise, least = known.held_at, max(known.left), math.inf
    for copies in range(1, _MOST_FEW, 2):
        if bits * copies >= least:
            break
        for held in range(copies // 2 + 1):
            wrong = bits * float(scipy.stats.binom.sf(copies // 2 - held, copies - held, noise))
            if wrong > SIDE_FAILURE / 2:
                break
            decided = float(scipy.stats.binom.sf(held, copies, low) + scipy.stats.binom.sf(held, copies, high))
            number = math.ceil(bits * math.log2(1 + decided) + math.log2(2 / SIDE_FAILURE))
            least = min(least, bits * copies + _cells(number, (), *known.cells.mean_rates))
    return least


def _cells(bits: int, decoders: Sequence[str], p01: float, p10: float) -> float:
    copies = _copies()
    wrong = _wrong_votes(copies, p01, p10)
    enough = copies[bits * wrong <= SIDE_FAILURE]
    least = float(bits * enough[0]) if len(enough) else math.inf
    if "algebraic" not in decoders:
        return least
    for code in ((copies, wrong), *(_block_codes(p01, p10) if "iterative" in decoders else ())):
        least = _coded(bits, *code, least=least)
    return least


@lru_cache(maxsize=64)
def _block_codes(p01: float, p10: float) -> list[tuple[Floats, Floats, int]]:
    """Cells and rate of errors of a bit behind the codes of the Pareto front, with the bits of their blocks."""
    front = pareto_front(p01, p10, decoders=("iterative",))
    codes = sorted((one for one in front if isinstance(one, BlockCode)), key=lambda one: one.data_bits)
    found = []
    for words, same in groupby(codes, key=lambda one: one.data_bits):
        pairs = [(one.cells, max(one.residual(p01, p10))) for one in same]
        found.append((*np.array(pairs).T, words))
    return found


def _coded(bits: int, inner: Floats | Integers, wrong: Floats, words: int = 1, *, least: float) -> float:
    """Least cells of shortened BCH codes whose bits take so many cells and are wrong so often.

    Args:
        bits: data bits.
        inner: cells of a bit, for each way to store it.
        wrong: its rate of errors.
        words: least number of code words.
        least: cells of another way, if that takes no more.
    """
    length, data, corrects = _bch_codes()
    blocks = np.maximum(-(-bits // data), words)
    # Shortened to what each block holds: the bits that are left out are known to be 0.
    stored = length - data - (-bits // blocks)
    cells = inner[:, np.newaxis] * (blocks * stored)
    # The cheapest first, some at a time: to know how often each of them fails takes a hundred times as long.
    ways, codes = np.nonzero(cells < least)
    order = np.argsort(cells[ways, codes])
    for some in np.split(order, range(_AT_ONCE, len(order), _AT_ONCE)):
        way, code = ways[some], codes[some]
        fails = blocks[code] * scipy.stats.binom.sf(corrects[code], stored[code], wrong[way])
        if (right := fails <= SIDE_FAILURE).any():
            return float(cells[way, code][right].min())
    return least


@lru_cache(maxsize=1)
def _copies() -> Integers:
    many = _MOST_FEW * _GROWTH ** np.arange(1, math.log(_MOST_COPIES / _MOST_FEW) / math.log(_GROWTH) + 1)
    return np.concatenate((np.arange(1, _MOST_FEW + 1, 2), many.astype(np.int64) | 1))


def _wrong_votes(copies: Integers, p01: float, p10: float) -> Floats:
    """Larger of the two rates at which the likelier value of so many copies is the wrong one."""
    least = np.finfo(np.float64).tiny
    zeros, ones = math.log((1 - p01) / max(p10, least)), math.log((1 - p10) / max(p01, least))
    needed = np.ceil(copies * (zeros / (zeros + ones))).clip(1, copies)
    wrong = scipy.stats.binom.sf(needed - 1, copies, p01), scipy.stats.binom.sf(copies - needed, copies, p10)
    return np.asarray(np.maximum(*wrong))


@lru_cache(maxsize=1)
def _bch_codes() -> tuple[Integers, Integers, Integers]:
    """Stored bits, data bits, and errors corrected of the primitive BCH codes."""
    codes = []
    for length in (2**order - 1 for order in _ORDERS):
        # The parity bits of a code that corrects t errors: as many as there are powers of 2 times 1, 3, ..., 2t - 1.
        roots: set[int] = set()
        for corrects in range(1, length // 2):
            roots |= {(2 * corrects - 1) * 2**power % length for power in range(length.bit_length())}
            if len(roots) >= length:
                break
            codes.append((length, length - len(roots), corrects))
    # Of codes with equal parity the one that corrects the most.
    best = {code[:2]: code for code in codes}
    length, data, corrects = np.array(list(best.values()), np.int64).T
    return length, data, corrects
