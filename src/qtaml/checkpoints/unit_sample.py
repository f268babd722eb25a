"""Some units of a tensor, in runs at random places: all of a small tensor, enough of a large one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qtaml._random import child_seed
from qtaml.checkpoints.checkpoint_file import CheckpointTensor
from qtaml.checkpoints.fields import Bytes, Floats

# Weights of a run, so that a run is one access to the disk, and fewest runs, so that their spread can be told.
_RUN, _FEWEST_RUNS = 512, 16


@dataclass(frozen=True, eq=False)
class UnitSample:
    """Units of a tensor.

    Attributes:
        parts: their bytes, as `CheckpointTensor.raw` gives them.
        run: number of the run that each unit belongs to; shape (units,).
        runs: how many there are.
        factor: units of the tensor for each of these; 1 where all are here.
    """

    parts: tuple[Bytes, ...]
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
    length = max(1, _RUN // tensor.format.weights)
    runs, wanted = -(-tensor.units // length), max(_FEWEST_RUNS, weights // (length * tensor.format.weights))
    if runs <= wanted:
        return UnitSample(tensor.raw(0, tensor.units), np.arange(tensor.units) // length, runs, 1.0)
    generator = np.random.default_rng(child_seed(0, "units", tensor.name))
    # The last run may be shorter than the others, and is left out: it would count too much.
    starts = length * np.sort(generator.choice(tensor.units // length, wanted, replace=False))
    pieces = [tensor.raw(start, start + length) for start in starts.tolist()]
    return UnitSample(
        tuple(_together(tensor, index, [piece[index] for piece in pieces]) for index in range(len(tensor.parts))),
        np.repeat(np.arange(wanted), length),
        wanted,
        tensor.units / (wanted * length),
    )


def _together(tensor: CheckpointTensor, index: int, pieces: Sequence[Bytes]) -> Bytes:
    shared = tensor.parts[index].units == 1
    return pieces[0] if shared else np.concatenate(pieces)
