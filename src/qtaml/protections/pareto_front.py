"""Pareto front of all protections for a given cell, by cells for each bit and residual error rate."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import get_args

from qtaml import _checks
from qtaml.protections.base import DECODERS, Decoder
from qtaml.protections.bch import Bch
from qtaml.protections.block_code import BlockCode
from qtaml.protections.hamming import Hamming
from qtaml.protections.plain import HardenedCell, Ideal, Raw
from qtaml.protections.repetition import Repetition

AnyProtection = Raw | Ideal | HardenedCell | Repetition | Hamming | Bch | BlockCode
"""Union of all protections; a new class is added here."""


def pareto_front(
    p01: float,
    p10: float,
    *,
    decoders: Iterable[Decoder] = ("none", "majority", "algebraic", "iterative"),
    hardened: Sequence[HardenedCell] = (),
    bits: int | None = None,
) -> tuple[AnyProtection, ...]:
    """Pareto front of protections in cells for each bit and mean residual rate (p01 + p10)/2.

    Args:
        p01: probability that a raw cell reads 1 where 0 is stored.
        p10: probability that it reads 0 where 1 is stored.
        decoders: allowed classes of decoder; with "ideal" the paper's ideal code is among them.
        hardened: better cells to choose from, besides the codes.
        bits: data bits that share a protection; codes of larger blocks are left out. None for no limit.

    Returns:
        By ascending cells and strictly falling mean error rate.

    Raises:
        ArgumentError: if a rate is no probability, a decoder is none of `DECODERS`, or `bits` is below 1.

    Example:
        >>> for protection in pareto_front(0.0, 0.1, decoders=("none", "majority"))[:3]:
        ...     print(protection, protection.cells, round(sum(protection.residual(0.0, 0.1)) / 2, 6))
        Raw() 1 0.05
        Repetition(copies=2, ones=1) 2 0.005
        Repetition(copies=3, ones=1) 3 0.0005
    """
    rates = _checks.probability("p01", p01), _checks.probability("p10", p10)
    allowed = {_checks.one_of("decoders", decoder, DECODERS) for decoder in decoders}
    families = (family.candidates(*rates) for family in get_args(AnyProtection))
    everything: list[AnyProtection] = [*chain.from_iterable(families), *hardened]
    most = max(one.block[0] for one in everything) if bits is None else _checks.integer("bits", bits, 1)
    fitting = [one for one in everything if one.block[0] <= most]
    candidates = [one for one in fitting if one.decoder in allowed or one.kind == "raw"]
    left = [(one, one.residual(*rates)) for one in candidates]
    # A vote on a very asymmetric cell may be wrong more often than right about one of the two values.
    useful = [(one, sum(pair) / 2) for one, pair in left if one.kind == "raw" or max(pair) <= 0.5]
    found: list[AnyProtection] = []
    least = math.inf
    # Sorted by cost, a protection is on the front exactly if it lowers the rate of the last; of equals the first stays.
    for one, error in sorted(useful, key=lambda both: (both[0].cells, both[1])):
        if error < least:
            found.append(one)
            least = error
    return tuple(found)
