"""Plans with fewer cells: rows of the tensors with the most weights are no longer stored."""

from dataclasses import replace
from itertools import accumulate

from qtaml.formats import Format, Section, TableLevels, row_length
from qtaml.planning import Design, Plan

_ROWS_AT_ONCE = 64
"""A tensor loses at most so small a part of its rows at once."""


def narrowed(plan: Plan, cells: float) -> Plan | None:
    """A plan with fewer cells: rows of the tensor that stores the most weights, again and again, are no longer stored.

    The most weights, not the most cells: what a design gives many cells for each weight, such as the last layer, whose
    rows are the outputs, has none to spare.

    Args:
        plan: the plan of a design.
        cells: the most that it may take.

    Returns:
        The plan, in which the last rows of some tensors read as one value; None if a tensor had to be left out whole.

    Example:
        >>> import qtaml
        >>> from torch import nn
        >>> plan = qtaml.uniform_msp(nn.Linear(100, 50), p=0.1, protected_bits=0)
        >>> narrowed(plan, 0.6).tensors[0].storage.sections[1].weights
        2100
    """
    fewer = replace(plan, settings=replace(plan.settings, cells=cells)) if isinstance(plan.settings, Design) else plan
    while fewer.cells > cells:
        place, entry = max(enumerate(fewer.tensors), key=lambda one: _stored(one[1].storage.sections))
        row = row_length(entry.shape)
        rows = _stored(entry.storage.sections) // row
        # Of many rows several at once: a plan is counted anew each time.
        if not (kept := rows - max(rows // _ROWS_AT_ONCE, 1)):
            return None
        storage = replace(entry.storage, sections=_first(entry.storage.sections, kept * row))
        fewer = replace(
            fewer, tensors=(*fewer.tensors[:place], replace(entry, storage=storage), *fewer.tensors[place + 1 :])
        )
    return fewer


def _stored(sections: tuple[Section, ...]) -> int:
    """Weights up to the last one of which something is stored."""
    ends = accumulate(section.weights for section in sections)
    return max((end for end, section in zip(ends, sections, strict=True) if section.format.bits), default=0)


def _first(sections: tuple[Section, ...], kept: int) -> tuple[Section, ...]:
    """The sections of so many weights, and nothing of the others."""
    erased = next((one.format for one in sections if not one.format.bits), Format(TableLevels((0.0,))))
    first, left = list[Section](), kept
    for section in sections:
        size = min(section.weights, left)
        left -= size
        first += [Section(size, section.format)] if size else []
        first += [Section(section.weights - size, erased)] if size < section.weights else []
    return tuple(first)
