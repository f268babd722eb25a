"""Some weights of a tensor, in runs at random places: all of a small tensor, enough of a large one."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qtaml._random import child_seed
from qtaml.checkpoints.checkpoint_file import CheckpointTensor
from qtaml.checkpoints.fields import Bytes, Field, Floats, Integers
from qtaml.checkpoints.unit_format import UnitFormat
from qtaml.checkpoints.unit_words import words_of

# Weights of a run, so that a run is one access to the disk, and fewest runs, so that their spread can be told.
_RUN, _FEWEST_RUNS = 512, 16


@dataclass(frozen=True, eq=False)
class UnitSample:
    """Units of a tensor; of units of many weights, cuts of them.

    Attributes:
        unit: their format; of cuts, fields have the places of the first cut.
        words: of each field, shape (units, words).
        run: number of the run that each unit belongs to; shape (units,).
        runs: how many there are.
        factor: units of the tensor for each of these; 1 where all are here.
    """

    unit: UnitFormat
    words: dict[str, Integers]
    run: np.ndarray[tuple[int], np.dtype[np.int64]]
    runs: int
    factor: float

    def total(self, values: Floats) -> tuple[float, float]:
        """Sum over the tensor of a number for each unit, and its standard error: 0 where all units are here."""
        total = self.factor * float(values.sum())
        if self.factor == 1.0:
            return total, 0.0
        sums = np.bincount(self.run, weights=values, minlength=self.runs)
        # Drawn without replacement: what is not looked at is the rest only.
        spread = float(sums.std(ddof=1)) * np.sqrt(self.runs * (1 - 1 / self.factor))
        return total, self.factor * spread


def sample_units(tensor: CheckpointTensor, weights: int) -> UnitSample:
    """About so many weights of a tensor; the same at each call.

    Args:
        tensor: the tensor.
        weights: how many.
    """
    cuts = _cuts(tensor.format)
    units, of_unit = tensor.units * cuts.each, cuts.unit.weights
    length = max(1, _RUN // of_unit)
    runs, wanted = -(-units // length), max(_FEWEST_RUNS, weights // (length * of_unit))
    if runs <= wanted:
        whole, run = words_of(tensor.format, tensor.raw(0, tensor.units)), np.arange(tensor.units) // length
        return UnitSample(tensor.format, whole, run, runs, 1.0)
    generator = np.random.default_rng(child_seed(0, "units", tensor.name))
    # The last run may be shorter than the others, and is left out: it would count too much.
    starts = length * np.sort(generator.choice(units // length, wanted, replace=False))
    if cuts.each == 1:
        parts = _together(tensor, [tensor.raw(start, start + length) for start in starts.tolist()])
        words = words_of(tensor.format, parts)
    else:
        words = _words_of_cuts(tensor, cuts, (starts[:, None] + np.arange(length)).ravel())
    return UnitSample(cuts.unit, words, np.repeat(np.arange(wanted), length), wanted, units / (wanted * length))


def _together(tensor: CheckpointTensor, pieces: list[tuple[Bytes, ...]]) -> tuple[Bytes, ...]:
    return tuple(
        own[0] if part.units == 1 else np.concatenate(own)
        for part, own in zip(tensor.parts, zip(*pieces, strict=True), strict=True)
    )


class _Cuts(NamedTuple):
    """Pieces of a unit of many weights that have all one pattern: rows that share scales, say, a run at a time.

    Attributes:
        unit: the format of each.
        each: how many of them make a unit.
        words: words of each field that each of them is made of, shape (each, words).
    """

    unit: UnitFormat
    each: int
    words: dict[str, Integers]


# Patterns are looked for once for each format, in all its weights.
@lru_cache(maxsize=256)
def _cuts(unit: UnitFormat) -> _Cuts:
    for size in (2**power for power in range(_RUN.bit_length() - 1, 4, -1)):
        if size < unit.weights and unit.weights % size == 0 and all(_is_cut(field, size) for field in unit.fields):
            of_cuts = {field.name: field.word_of.reshape(-1, size) for field in unit.fields}
            # Words in the order of the unit, those of the first cut first.
            own = {name: np.unique(words[0] - words[0, 0]) for name, words in of_cuts.items()}
            words = {name: places[:, :1] + own[name] for name, places in of_cuts.items()}
            fields = [
                replace(
                    field,
                    places=field.places[words[field.name][0]],
                    word_of=np.searchsorted(own[field.name], of_cuts[field.name][0] - of_cuts[field.name][0, 0]),
                )
                for field in unit.fields
            ]
            return _Cuts(replace(unit, weights=size, fields=tuple(fields)), unit.weights // size, words)
    return _Cuts(unit, 1, {})


def _is_cut(field: Field, size: int) -> bool:
    """Whether all runs of so many weights take words in one pattern."""
    words = field.word_of.reshape(-1, size)
    return field.variant_of is None and bool((words - words[:, :1] == words[0] - words[0, 0]).all())


def _words_of_cuts(tensor: CheckpointTensor, cuts: _Cuts, chosen: Integers) -> dict[str, Integers]:
    """Words of some cuts of a tensor, which are counted through all its units."""
    found: dict[str, list[Integers]] = {name: [] for name in cuts.words}
    units, numbers = np.divmod(chosen, cuts.each)
    for unit in np.unique(units).tolist():
        parts, own = tensor.raw(unit, unit + 1), numbers[units == unit]
        for field in tensor.format.fields:
            words = cuts.words[field.name][own]
            taken = replace(field, places=field.places[words.ravel()])
            found[field.name].append(taken.words(parts[field.part]).reshape(words.shape))
    return {name: np.concatenate(words) for name, words in found.items()}
