"""The plan of a checkpoint whose words are kept: what each bit of each field is stored in."""

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Discriminated
from rich.table import Table

from qtaml import _checks, _files, _tables
from qtaml.checkpoints.checkpoint_file import Checkpoint
from qtaml.checkpoints.word_law import Rates
from qtaml.checkpoints.word_range import WordRange
from qtaml.errors import StoredFileError
from qtaml.faults import Asymmetric, Uniform
from qtaml.formats import Nonfinite
from qtaml.protections import Protection

# Where errors are so large a part of the weights, new words have less of them.
_LARGE = 0.1

IndependentFault = Uniform | Asymmetric
"""Fault models of bits that fail independently and all alike, whatever their place: the law of a weight asks for it."""


@dataclass(frozen=True)
class LeftOut:
    """A bit that no word of a tensor has stored: it is always read as one value.

    Attributes:
        value: 0 or 1.
        cells: of the one bit that says which, a side value of the plan: right but for a chance of 1e-6.

    Raises:
        ArgumentError: if the value is another one, or the cells are below 0.

    Example:
        >>> LeftOut(0, cells=21.0).residual(0.1, 0.1), LeftOut(0, cells=21.0).cells_for(1000)
        ((0.0, 1.0), 21.0)
    """

    value: Literal[0, 1]
    cells: float
    kind: Literal["left_out"] = field(default="left_out", repr=False)

    def __post_init__(self) -> None:
        _checks.integer("value", self.value, 0, 1)
        _checks.non_negative("cells", self.cells)

    def residual(self, p01: float, p10: float) -> tuple[float, float]:
        """Error rates of the bit: one value is never read."""
        return (0.0, 1.0) if self.value == 0 else (1.0, 0.0)

    def cells_for(self, bits: int) -> float:
        """Cells of the bit of the plan, however many words there are."""
        return self.cells


BitStorage = Annotated[Protection | LeftOut, Discriminated(discriminator="kind")]


@dataclass(frozen=True)
class FieldError:
    """What the errors of one field make, beside none in others, where it has a gain of its own.

    Attributes:
        importance: its share in the error of the plan, beyond that of the tensor's whole error.
        error: expected squared error of the weights over their squares.
        standard_error: of `error`; 0 if all weights were looked at.
    """

    importance: float
    error: float
    standard_error: float


@dataclass(frozen=True)
class ProtectedField:
    """How the words of a field are stored.

    Attributes:
        name: of the field.
        words: of the tensor.
        bits: what each bit is stored in, bit 0 first.
        range: outside of which no word was stored, if it is kept beside them.
        alone: the error of this field alone, where it counts more than that of others.
    """

    name: str
    words: int
    bits: tuple[BitStorage, ...]
    range: WordRange | None = None
    alone: FieldError | None = None

    def rates(self, fault: IndependentFault) -> Rates:
        """Error rates of each bit as read, upper bounds where those of a code are."""
        return tuple(bit.residual(*fault.mean_rates) for bit in self.bits)

    @property
    def cells(self) -> float:
        """Cells of its words, and of their range."""
        return sum(bit.cells_for(self.words) for bit in self.bits) + (self.range.cells if self.range else 0.0)


@dataclass(frozen=True)
class ProtectedTensor:
    """How a tensor is stored, and what is expected of it.

    Attributes:
        name: of the tensor.
        format: of its words.
        shape: of its weights.
        bits: that it takes in the file.
        fields: how each of its fields is stored.
        power: sum of the squares of its weights; 1 for a tensor of zeros, whose errors count as they are.
        importance: share of its relative error in the error of the plan.
        error: expected squared error of its weights over `power`.
        standard_error: of `error`; 0 if all weights were looked at.
    """

    name: str
    format: str
    shape: tuple[int, ...]
    bits: int
    fields: tuple[ProtectedField, ...]
    power: float
    importance: float
    error: float
    standard_error: float

    @property
    def alone(self) -> list[FieldError]:
        """Errors of fields alone that count besides."""
        return [one.alone for one in self.fields if one.alone is not None]

    @property
    def cells(self) -> float:
        """Cells that it takes."""
        return sum(one.cells for one in self.fields)


@dataclass(frozen=True)
class CheckpointPlan:
    """How a checkpoint is stored with its words as they are.

    Attributes:
        kind: of the file.
        fault: how the memory fails.
        rule: what is read where a word is no finite number.
        tensors: how each is stored.
        budget: cells that were allowed, as a share of the bits of the file.
        bound: no plan within the budget that leaves out the same bits and keeps the same ranges has less error.
    """

    kind: str
    fault: Annotated[IndependentFault, Discriminated(discriminator="kind")]
    rule: Nonfinite
    tensors: tuple[ProtectedTensor, ...]
    budget: float
    bound: float

    @cached_property
    def cells(self) -> float:
        """Cells as a share of the bits that the tensors take in the file."""
        return sum(one.cells for one in self.tensors) / sum(one.bits for one in self.tensors)

    @cached_property
    def error(self) -> float:
        """Expected squared error of the weights, over their squares: mean over tensors, and fields, by importance."""
        return sum(
            one.importance * one.error + sum(own.importance * own.error for own in one.alone) for one in self.tensors
        )

    @cached_property
    def standard_error(self) -> float:
        """Of `error`, from the weights that were not looked at; 0 if all were."""
        return math.hypot(
            *(
                # Of the same weights: those of fields and of the whole add up.
                one.importance * one.standard_error + sum(own.importance * own.standard_error for own in one.alone)
                for one in self.tensors
            )
        )

    def fits(self, checkpoint: Checkpoint) -> None:
        """Check that this is a plan for a checkpoint.

        Raises:
            StoredFileError: if not.
        """
        planned = [(one.name, one.format, one.shape) for one in self.tensors]
        held = [(one.name, one.format.name, one.shape) for one in checkpoint.values()]
        for mine, other in zip(planned, held, strict=False):
            if mine != other:
                raise StoredFileError(f"the plan is for another checkpoint: it has {mine} where the file has {other}")
        if len(planned) != len(held):
            raise StoredFileError(
                f"the plan is for another checkpoint: it has {len(planned)} tensors, the file {len(held)}"
            )

    def to_json(self) -> str:
        """As indented JSON."""
        return _files.to_json(self)

    @staticmethod
    def from_json(text: str) -> "CheckpointPlan":
        """The plan that `to_json` wrote.

        Raises:
            StoredFileError: if the text is none.
        """
        return _files.from_json(CheckpointPlan, text, "the plan")

    def __str__(self) -> str:
        """As a table of plain text."""
        return _tables.as_text(self.table())

    def table(self) -> Table:
        """As a rich table, a line for each field of each format: the storage that most of its tensors have."""
        lost = "\nerrors are a large part of the weights: quantise anew"
        about = f" +- {self.standard_error:.1g}" if self.standard_error else ""
        table = _tables.captioned_table(
            f"{self.kind}: {self.cells:.4g} cells for each bit of the file, predicted relative error "
            f"{self.error:.3g}{about}",
            f"{self.fault!r}; error: expected squared error of the weights over their squares, mean over tensors\n"
            "behind codes that is an upper bound; bits from the most significant, 0 and 1: not stored, read as that\n"
            f"no plan that leaves out the same bits has less than {self.bound:.3g}"
            + (lost if self.error > _LARGE else ""),
        )
        for column in ("format", "tensors", "cells", "error", "field", "its bits in most tensors"):
            table.add_column(
                column, justify="left" if column in ("format", "field", "its bits in most tensors") else "right"
            )
        for name, group in groupby(sorted(self.tensors, key=lambda one: one.format), key=lambda one: one.format):
            tensors = list(group)
            cells = sum(one.cells for one in tensors) / sum(one.bits for one in tensors)
            counted = [one.importance for one in tensors]
            error = float(np.average([one.error for one in tensors], weights=counted if any(counted) else None))
            lead = (name, str(len(tensors)), f"{cells:.4g}", f"{error:.3g}")
            for place, one in enumerate(tensors[0].fields):
                common, _ = Counter(tensor.fields[place].bits for tensor in tensors).most_common(1)[0]
                ranged = Counter(tensor.fields[place].range is not None for tensor in tensors).most_common(1)[0][0]
                told = _told(common) + (", range" if ranged else "")
                table.add_row(*(lead if not place else ("",) * 4), one.name, told)
            table.add_section()
        return table


def _told(bits: tuple[BitStorage, ...]) -> str:
    """Runs of equal bits, from the most significant one."""
    runs = [(bit, len(list(run))) for bit, run in groupby(reversed(bits))]
    return ", ".join(f"{count} x {_short(bit)}" if count > 1 else _short(bit) for bit, count in runs)


def _short(bit: BitStorage) -> str:
    return str(bit.value) if isinstance(bit, LeftOut) else f"{bit.kind} {bit.cells:.3g}"
