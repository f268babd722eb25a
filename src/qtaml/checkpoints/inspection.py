"""What a checkpoint holds: bits of a weight with its scales, and what one flipped bit does."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from qtaml import _checks, _files, _tables
from qtaml._progress import track
from qtaml.checkpoints.checkpoint_file import Checkpoint, CheckpointTensor
from qtaml.checkpoints.fields import Field, Floats, Integers
from qtaml.checkpoints.tensor_law import FieldReads, TensorLaw
from qtaml.checkpoints.unit_sample import sample_units
from qtaml.checkpoints.unit_words import of_words, stored_values
from qtaml.checkpoints.word_law import values_of_weights
from qtaml.formats import Nonfinite


@dataclass(frozen=True)
class BitFlip:
    """What one flip of a bit does, in squared errors of weights, in units of the mean square of a weight of the tensor.

    Attributes:
        bit: its position, 0 the least significant.
        mean: sum of the squared errors of all weights that are made of the word, mean over words.
        worst: the largest of such sums.
        not_finite: share of the flips after which the word is no finite number.
    """

    bit: int
    mean: float
    worst: float
    not_finite: float


@dataclass(frozen=True)
class FieldInspection:
    """A field of a format.

    Attributes:
        name: of the field.
        meaning: of its words.
        word_bits: bits of a word.
        bits: bits that it takes for each weight.
        weights: weights that are made of a word.
        flips: of each bit, the least significant first.
    """

    name: str
    meaning: str
    word_bits: int
    bits: float
    weights: float
    flips: tuple[BitFlip, ...]

    @property
    def mean(self) -> float:
        """What the flip of any bit of the field does, on average."""
        return sum(flip.mean for flip in self.flips) / len(self.flips)

    @property
    def worst(self) -> BitFlip:
        """The bit whose flip does most on average."""
        return max(self.flips, key=lambda flip: flip.mean)


@dataclass(frozen=True)
class FormatInspection:
    """The tensors of one format.

    Attributes:
        name: of the format.
        tensors: how many.
        weights: of all of them.
        bits: bits of a weight, with its scales.
        fields: its fields.
        looked_at: weights whose flips were computed.
    """

    name: str
    tensors: int
    weights: int
    bits: float
    fields: tuple[FieldInspection, ...]
    looked_at: int


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint file holds.

    Attributes:
        path: of the file.
        kind: of the file.
        weights: whose words are known.
        bits: bits of a weight, with its scales.
        formats: those of its tensors, that of the most bits first.
        others: why each other tensor is left as it is, by its name.
        rule: what is read where a word is no finite number.
    """

    path: str
    kind: str
    weights: int
    bits: float
    formats: tuple[FormatInspection, ...]
    others: tuple[tuple[str, str], ...]
    rule: Nonfinite

    def to_json(self) -> str:
        """As indented JSON."""
        return _files.to_json(self)

    def __str__(self) -> str:
        """As a table of plain text."""
        return _tables.as_text(self.table())

    def table(self, *, every_bit: bool = False) -> Table:
        """As a rich table.

        Args:
            every_bit: a line for each bit of each field, not one for each field.
        """
        table = _tables.captioned_table(_title(self), _caption(self, every_bit))
        for column in ("format", "field", "word"):
            table.add_column(column, overflow="fold")
        for column in ("bit", "flip", "worst") if every_bit else ("any flip", "harshest bit", "worst"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("NaN, inf", justify="right")
        for one in self.formats:
            lead = f"{one.name}, {one.bits:.4g} bits" + (f", {one.tensors:,} tensors" if one.tensors > 1 else "")
            for field in one.fields:
                for row in _rows_of(field, every_bit):
                    table.add_row(lead, *row)
                    lead = ""
            table.add_section()
        return table


def inspect(checkpoint: Checkpoint, *, rule: Nonfinite = "clamp", weights: int = 8192) -> Inspection:
    """What a checkpoint holds, how many bits a weight takes with its scales, and what one flipped bit does.

    Args:
        checkpoint: the file.
        rule: what is read where a word is no finite number.
        weights: how many of each tensor are looked at; all of smaller ones.

    Raises:
        ModelError: if it holds weights that are no finite numbers.
        StoredFileError: if the file cannot be read.

    Source:
        theory.md 6.11.
    """
    _checks.integer("weights", weights, 1)
    # Units of one format may be rows of several lengths, so that the name tells formats apart.
    found: dict[tuple[str, ...], list[_Flips]] = defaultdict(list)
    for tensor in track(list(checkpoint.values()), "looking at flips"):
        found[tensor.format.name, *tensor.format.by_name].append(_flips_of(tensor, rule, weights))
    formats = [_inspected(flips) for flips in found.values()]
    return Inspection(
        str(checkpoint.source.path),
        checkpoint.kind,
        checkpoint.weights,
        checkpoint.bits / max(1, checkpoint.weights),
        tuple(sorted(formats, key=lambda one: -one.bits * one.weights)),
        tuple(checkpoint.others.items()),
        rule,
    )


@dataclass(frozen=True)
class _Flips:
    """Of one tensor: weights that were looked at, and (mean, worst, share not finite) of each bit of each field."""

    tensor: CheckpointTensor
    looked_at: int
    harm: dict[str, Floats]


def _flips_of(tensor: CheckpointTensor, rule: Nonfinite, weights: int) -> _Flips:
    sample = sample_units(tensor, weights)
    unit, words = sample.unit, sample.words
    stored = stored_values(tensor.name, unit, words)
    # A tensor of zeros has no mean square: its errors are then as they are.
    power = float((stored**2).mean()) or 1.0
    harm = {}
    none = [FieldReads(((0.0, 0.0),) * field.bits) for field in unit.fields]
    for field, effects in TensorLaw(unit, words, rule).effects(none):
        sums = [of_words(field, effect) / power for effect in effects]
        if tensor.parts[field.part].units < tensor.units:
            # All units share the word: what its flip does to those that were looked at stands for all.
            sums = [sample.factor * one.sum(0, keepdims=True) for one in sums]
        elif unit is not tensor.format:
            # Of a word some of its weights were looked at, which stand for all.
            all_of_word = tensor.format.weights / tensor.format.by_name[field.name].words_of_unit
            sums = [all_of_word * field.words_of_unit / unit.weights * one for one in sums]
        share = [_not_finite(field, words[field.name] ^ 1 << bit) for bit in range(field.bits)]
        harm[field.name] = np.array([[one.mean(), one.max(), lost] for one, lost in zip(sums, share, strict=True)])
    return _Flips(tensor, stored.size, harm)


def _not_finite(field: Field, words: Integers) -> float:
    """Share of words that are no finite number."""
    return 1 - float(np.isfinite(values_of_weights(field, words, "keep")).mean())


def _inspected(flips: Sequence[_Flips]) -> FormatInspection:
    """All tensors of a format: means by their weights, and the worst of all."""
    unit = flips[0].tensor.format
    weights = sum(one.tensor.weights for one in flips)
    shares = np.array([one.tensor.weights / weights for one in flips])[:, None]
    fields = []
    for field in unit.fields:
        harm = np.stack([one.harm[field.name] for one in flips])
        mean, lost = (shares * harm[:, :, 0]).sum(0), (shares * harm[:, :, 2]).sum(0)
        rows = zip(mean.tolist(), harm[:, :, 1].max(0).tolist(), lost.tolist(), strict=True)
        words = sum(one.tensor.words(field.name) for one in flips)
        fields.append(
            FieldInspection(
                field.name,
                field.meaning,
                field.bits,
                field.bits * words / weights,
                weights / words,
                tuple(BitFlip(bit, *row) for bit, row in enumerate(rows)),
            )
        )
    bits = sum(one.tensor.bits for one in flips) / weights
    return FormatInspection(unit.name, len(flips), weights, bits, tuple(fields), sum(one.looked_at for one in flips))


def _rows_of(field: FieldInspection, every_bit: bool) -> list[tuple[str, ...]]:
    shared = f" for {field.weights:.4g}" if field.weights > 1 else ""
    lead = (field.name, f"{field.word_bits} x {field.meaning}{shared}")
    if every_bit:
        shown = reversed(field.flips)
        rows = [(str(flip.bit), f"{flip.mean:.2g}", f"{flip.worst:.2g}", _percent(flip.not_finite)) for flip in shown]
        return [(*(lead if not place else ("", "")), *row) for place, row in enumerate(rows)]
    lost = sum(flip.not_finite for flip in field.flips) / len(field.flips)
    worst = max(flip.worst for flip in field.flips)
    harm = (f"{field.mean:.2g}", f"{field.worst.bit}: {field.worst.mean:.2g}", f"{worst:.2g}", _percent(lost))
    return [(*lead, *harm)]


def _percent(share: float) -> str:
    return f"{share:.2%}" if share else ""


def _title(inspection: Inspection) -> str:
    return (
        f"{inspection.path}: {inspection.kind}, {inspection.weights:,} weights of {inspection.bits:.4g} bits with "
        "their scales"
    )


def _caption(inspection: Inspection, every_bit: bool) -> str:
    rule = {"clamp": "infinity as the largest number, NaN as 0", "zero": "as 0", "keep": "as it is"}[inspection.rule]
    lines = [
        "bits: of a weight, with its scales; word: bits x meaning, and weights that share one",
        "flip: mean squared error that it adds to all the weights of its word, in units of a weight's mean square",
        f"NaN, inf: share of the flips that make one, which is read {rule}",
    ]
    looked_at, weights = sum(one.looked_at for one in inspection.formats), inspection.weights
    if looked_at < weights:
        lines.append(f"computed for {looked_at:,} of the weights, at random places; the worst case is that of these")
    if not every_bit:
        lines.append("every bit: --bits")
    for name, why in inspection.others[:3]:
        lines.append(f"left as it is: {name}: {why}")
    if len(inspection.others) > 3:
        lines.append(f"left as they are: {len(inspection.others) - 3:,} more")
    return "\n".join(lines)
