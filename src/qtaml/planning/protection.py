"""Allocation of a budget of protected bits to the tensors of a network, by their predicted output error."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from qtaml import _checks
from qtaml.errors import BudgetError
from qtaml.faults import FaultModel
from qtaml.formats import SECTION_VALUES, Format, Section, TensorFormat
from qtaml.planning.allocation import ALLOCATIONS, Allocation, Choice, Options, allocate, allocated_error, error_bound
from qtaml.planning.base_settings import check_overhead
from qtaml.planning.encode_once import Encode
from qtaml.planning.side_values import side_cells
from qtaml.sensitivity import Gain


@dataclass(frozen=True)
class Protected:
    """Tensor formats with their protection.

    Attributes:
        storages: how each tensor is stored.
        errors: predicted output error of each tensor from its variance, when nothing is corrected and the weights of a
            split tensor are alike.
        gap: predicted error of all tensors over the lower bound of any split allocation, minus 1.
    """

    storages: dict[str, TensorFormat]
    errors: dict[str, float]
    gap: float


def spread_protection(
    weights: Mapping[str, torch.Tensor],
    stored: Mapping[str, TensorFormat],
    gains: Mapping[str, Gain],
    fault: FaultModel,
    *,
    overhead: float,
    allocation: Allocation,
    floors: Mapping[str, int] | None = None,
    encode: Encode = TensorFormat.encode,
) -> Protected:
    """Protect most significant bits where that lowers the predicted output error most.

    Args:
        weights: name to trained tensor.
        stored: how each tensor is stored without protection; all of one number of bits.
        gains: how strongly the errors of each tensor act on the output; only their proportions matter.
        fault: how the memory fails.
        overhead: cells spent beyond a plain memory, as a share of it.
        allocation: "split", "integer" or "greedy".
        floors: least protected bits of each tensor; none if not given.
        encode: encodes a tensor; a memo may stand here.

    Returns:
        The protected tensors, in the order of `weights`.

    Raises:
        ArgumentError: if the overhead is outside [0, 1], or the allocation unknown.
        BudgetError: if floors and scales need more than the overhead; the message names the least overhead.

    Source:
        paper, algorithm 1, step 2.
    """
    overhead = check_overhead(overhead)
    _checks.one_of("allocation", allocation, ALLOCATIONS)
    for given, needed in (("stored", weights), ("gains", weights), ("weights", stored)):
        _checks.covers(given, {"stored": stored, "gains": gains, "weights": weights}[given], needed)
    least = {name: (floors or {}).get(name, 0) for name in weights}
    options = {
        name: protection_options(w, stored[name], gains[name], fault, least[name], encode=encode)
        for name, w in weights.items()
    }
    bits = next(iter(stored.values())).bits
    beside = side_cells(fault, _side_values(weights, stored), ("ideal",))
    choices, gap = _allocate(list(options.values()), overhead, bits, allocation, beside)
    chosen = dict(zip(weights, choices, strict=True))
    storages = {
        name: replace(storage, sections=_sections(storage.sections[0].format, options[name], chosen[name], least[name]))
        for name, storage in stored.items()
    }
    return Protected(storages, {name: allocated_error(options[name], chosen[name]) for name in weights}, gap)


def protection_options(
    weight: torch.Tensor,
    stored: TensorFormat,
    gain: Gain,
    fault: FaultModel,
    floor: int,
    *,
    encode: Encode = TensorFormat.encode,
) -> Options:
    """Cells and predicted output error of a tensor for each number of protected most significant bits.

    Args:
        weight: its trained weights.
        stored: how it is stored without protection.
        gain: how strongly its errors act on the output.
        fault: how the memory fails.
        floor: least protected bits.
        encode: encodes a tensor; a memo may stand here.

    Returns:
        One option for each number of protected bits, from `floor` to all. error = gain x sum over weights of
        Var(read value | stored label), exact for any encoding.

    Source:
        paper, lemma 4.2 and theorem 4.4, here with the exact variance of any encoding.
    """
    base = stored.sections[0].format
    words, scale = encode(stored, weight, fault)
    # How often each label occurs is all that the variance needs: 2**bits numbers instead of one for each weight.
    (amount,) = stored.label_amounts(words, scale)
    formats = [base.protect(count) for count in range(floor, base.bits + 1)]
    errors = tuple(gain.squared * float(amount @ fmt.read_variance(fault)) for fmt in formats)
    return Options(weight.numel(), tuple(fmt.cells for fmt in formats), errors)


def _allocate(
    options: Sequence[Options], overhead: float, bits: int, allocation: Allocation, beside: float
) -> tuple[tuple[Choice, ...], float]:
    """Choices within the overhead, and the excess of their predicted error over its lower bound, as a share of it.

    `beside` are the cells of the side values.
    """
    plain = bits * sum(option.weights for option in options)
    # A share such as 0.1 is not a binary fraction: the product may fall just below a whole number of cells.
    budget = int(plain * (1 + overhead) - beside + 1e-6)
    floor = sum(option.weights * option.cells[0] for option in options)
    if floor > budget:
        least = (floor + beside) / plain - 1
        # Rounded up: whoever asks again for the overhead that the message names must get it.
        named = math.ceil(least * 1e6) / 1e6
        if named > 1:
            raise BudgetError(
                f"no overhead up to 1 suffices: floors of protected bits and scales take {named:g}, "
                f"{beside / plain:g} of it for scales and other numbers beside the words; choose larger groups "
                "(granularity), or lower floors or residual_floor",
                least,
            )
        raise BudgetError(
            f"overhead must be at least {named:g} to give every tensor its floor of protected bits and its scales, "
            f"got {overhead}; "
            "raise it, or lower floors or residual_floor",
            least,
        )
    choices = allocate(options, budget, allocation)
    error = sum(map(allocated_error, options, choices))
    bound = error_bound(options, budget)
    # Without errors (p = 0) every allocation is the best.
    return choices, (error / bound - 1 if bound > 0 else 0.0)


def _side_values(weights: Mapping[str, torch.Tensor], stored: Mapping[str, TensorFormat]) -> int:
    """Side values of all tensors, and those of one section more: an allocation may split one tensor."""
    needed = [stored[name].side_values(weight.shape) for name, weight in weights.items()]
    # Taken off the budget before the allocation, which decides only afterwards whether a tensor is split.
    return sum(needed) + SECTION_VALUES * any(needed)


def _sections(base: Format, option: Options, choice: Choice, floor: int) -> tuple[Section, ...]:
    """Sections of a tensor whose options count protected bits from `floor` on."""
    counts = ((choice.upgraded, choice.high), (option.weights - choice.upgraded, choice.low))
    return tuple(Section(weights, base.protect(floor + index)) for weights, index in counts if weights)


def mixed_sections(weights: int, base: Format, protected_bits: float) -> tuple[Section, ...]:
    """Up to two sections, the first with one protected bit more than the second, whose mean is `protected_bits`."""
    fewer = math.floor(protected_bits)
    # A share such as 0.1 is not a binary fraction: the product may fall just below a whole number of weights.
    first = math.floor((protected_bits - fewer) * weights + 1e-6)
    counts = ((first, fewer + 1), (weights - first, fewer))
    return tuple(Section(count, base.protect(protected)) for count, protected in counts if count)
