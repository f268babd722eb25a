"""A metric on one chip after the other, each of which is read several times."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from qtaml._random import child_seed
from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault, FaultModel, StaticCells, WordLaw
from qtaml.measuring.metrics import Metric
from qtaml.measuring.reads import checked_scores, reads_differ, scores_of_reads
from qtaml.memory import Memory, store, weak_bits
from qtaml.planning import Plan
from qtaml.protections import BitProtection
from qtaml.sensitivity import Calibration

_READS_AT_A_TIME = 4096
"""Whose seeds are known at once: of a chip that was measured only its number is kept, however many there are."""


def values_of_chips(
    memory: Memory, metric: Metric, chips: Sequence[int], *, trials: int, fault: AnyFault, seed: int
) -> Generator[float, None, None]:
    """The metric of one chip after the other: chip c is the same whatever the others are, and however many.

    Args:
        memory: the stored network.
        metric: as for `evaluate`.
        chips: numbers of the chips.
        trials: reads of each.
        fault: how the memory fails.
        seed: of chips and errors.

    Yields:
        Mean over the reads of a chip, and over the test samples.
    """
    at_a_time = max(_READS_AT_A_TIME // trials, 1)
    for start in range(0, len(chips), at_a_time):
        some = chips[start : start + at_a_time]
        lot = _lot(fault, seed, some, trials)
        found = scores_of_reads(memory, metric, list(lot.chip_of_read), lot)
        for _ in some:
            scores = [checked_scores(metric, next(found), trial)[0].mean() for trial in range(trials)]
            yield float(np.mean(scores))


def values_of_rewritten_chips(
    model: nn.Module,
    plan: Plan,
    metric: Metric,
    chips: Sequence[int],
    *,
    trials: int,
    fault: AnyFault,
    seed: int,
    calibration: Calibration | None = None,
) -> Generator[float, None, None]:
    """The metric of one chip after the other, each written by a writer who knows its weak cells.

    Args:
        model: the trained network.
        plan: how it is stored.
        metric: as for `values_of_chips`, as all other arguments.
        chips: as there.
        trials: as there.
        fault: as there.
        seed: as there; a chip number is the same chip.
        calibration: by what rounding errors are fed back, if they are.

    Yields:
        As there.
    """
    for chip in chips:
        own = _rewritten(model, plan, fault.of_chip(child_seed(seed, "chip", chip)), calibration)
        yield from values_of_chips(own, metric, [chip], trials=trials, fault=fault, seed=seed)


def scores_of_rewritten_reads(
    model: nn.Module,
    plan: Plan,
    metric: Metric,
    seeds: Sequence[int],
    fault: AnyFault,
    calibration: Calibration | None = None,
) -> Iterator[Any]:
    """`scores_of_reads`, each of a chip of its own, which was written by a writer who knows its weak cells."""
    for seed in seeds:
        chip = fault.of_chip(seed)
        yield from scores_of_reads(_rewritten(model, plan, chip, calibration), metric, [seed], chip)


def _rewritten(model: nn.Module, plan: Plan, chip: FaultModel, calibration: Calibration | None) -> Memory:
    """The network as stored for a chip.

    Raises:
        ArgumentError: if the chip has no weak cells that stay where they are: whatever a map said would not hold.
    """
    if not isinstance(chip, StaticCells):
        raise ArgumentError(f"fault must be StaticCells, whose weak cells stay where they are, for rewrite, got {chip}")
    if plan.fed_back and calibration is None:
        raise ArgumentError(
            "memory must be one that qtaml.store made where rewrite is given and rounding errors are fed back: a "
            "loaded one does not know the calibration inputs"
        )
    return store(model, plan, weak_cells=weak_bits(plan, chip, reads=plan.map_reads), calibration=calibration)


def chips_differ(memory: Memory, fault: AnyFault, seed: int) -> bool:
    """Whether a read of the first chip differs from one of the second."""
    lot = _lot(fault, seed, range(2), 1)
    return reads_differ(memory, list(lot.chip_of_read), lot)


@dataclass(frozen=True, eq=False)
class _Lot(FaultModel):
    """Several chips, told apart by the seeds of their reads.

    Attributes:
        fault: of which they are the chips.
        chip_of_read: for the seed of each read, in turn, the seed that stands for its chip.
    """

    fault: FaultModel
    chip_of_read: Mapping[int, int]

    def law(self, bits: int) -> WordLaw:
        return self.fault.law(bits)

    def behind(self, protections: Sequence[BitProtection]) -> FaultModel:
        return self.fault.behind(protections)

    def of_read(self, seed: int) -> FaultModel:
        return _chip(self.fault, self.chip_of_read[seed]).of_read(seed)

    def corrupt(
        self, words: torch.Tensor, *, bits: int = 8, seed: int, place: str = "", in_place: bool = False
    ) -> torch.Tensor:
        return self.fault.corrupt(words, bits=bits, seed=seed, place=place, in_place=in_place)


# A few: threads are at work on chips next to each other, each of which is read several times in turn.
@lru_cache(maxsize=32)
def _chip(fault: FaultModel, number: int) -> FaultModel:
    return fault.of_chip(number)


def _lot(fault: FaultModel, seed: int, chips: Sequence[int], trials: int) -> _Lot:
    seeds = [child_seed(seed, "chip", chip) for chip in chips]
    return _Lot(fault, {child_seed(chip, "trial", trial): chip for chip in seeds for trial in range(trials)})
