"""A laboratory: measures cases in parallel processes, each once, and keeps the records in a folder as a memo."""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from qtaml import _checks, _files
from qtaml._progress import track
from qtaml._threads import one_thread
from qtaml.errors import QtamlError
from qtaml.laboratory.cases import Case
from qtaml.laboratory.tasks import (
    Loader,
    Place,
    Record,
    Task,
    built_in,
    measure,
    origin,
    plan_key,
    planned,
    source,
    train,
)
from qtaml.laboratory.workers import Call, LostError, workers
from qtaml.measuring import Estimate, networks_interval
from qtaml.networks import Data
from qtaml.planning import Plan

__all__ = ["Laboratory", "Manifest", "Measured", "Record", "Task"]


@dataclass(frozen=True)
class Measured:
    """The measurements of a case, over all trainings of its network.

    Attributes:
        records: one for each training seed.
    """

    records: tuple[Record, ...]

    @property
    def values(self) -> NDArray[np.float64]:
        """The metric of each read, shape (trained networks, reads)."""
        return np.array([record.result.values for record in self.records])

    @property
    def estimate(self) -> Estimate:
        """Mean and interval; see `networks_interval`. Of a single trained network: over reads and test samples."""
        if len(self.records) == 1:
            return self.records[0].result.estimate
        # Student's t knows no bounds; an accuracy has two.
        estimate = networks_interval(self.values)
        return estimate.within(0.0, 1.0) if self.records[0].task.case.metric == "accuracy" else estimate

    @property
    def overhead(self) -> float:
        """Overhead that the plans take, mean over the trained networks."""
        return float(np.mean([record.overhead for record in self.records]))

    @property
    def clean(self) -> float:
        """Accuracy outside the leaking memory, mean over the trained networks."""
        return float(np.mean([record.clean for record in self.records]))

    def minus(self, other: "Measured") -> Estimate:
        """Difference of two cases, paired read by read: under one seed they share nearly all errors."""
        return networks_interval(self.values - other.values)


def covered(trainings: int) -> str:
    """What the intervals of `Measured.estimate` cover."""
    return "trainings and reads" if trainings > 1 else "reads and test samples"


@dataclass(frozen=True)
class Manifest:
    """How a result came to be.

    Attributes:
        seed: seed of calibration and errors.
        trials: reads of each plan.
        training_seeds: seeds of the trained networks.
        versions: versions of what made it.
        source: SHA-256 of the sources that planned, read and measured.
        finished: when, in UTC.
        seconds: how long it took; records that were already there took no time.
    """

    seed: int
    trials: int
    training_seeds: tuple[int, ...]
    versions: dict[str, str]
    source: str
    finished: str
    seconds: float


class Laboratory:
    """Measures cases, in parallel processes, and keeps each measurement in a folder.

    An interrupted run goes on where it was; what two experiments share is measured once. A record is used again
    only if its task, the sources of the package and the versions below it are the same. Every process computes with
    one thread, so that results do not depend on the number of processors. A task whose process dies is measured
    again. Several laboratories can use one folder at a time: each leaves to the others what they are measuring.

    Args:
        folder: where trained networks and measurements are kept.
        trials: reads of each plan, at least 2.
        training_seeds: seeds of the trained networks; each case is measured on all of them.
        seed: seed of calibration and errors.
        workers: parallel processes; as many as processors if not given. 1 measures in this process.
        ray: address of a Ray cluster, all of whose machines see the folder under the same path, and which says itself
            how many workers there are; "local" starts one of `workers` processes.
        load: makes networks that are not built in; needed for cases with `own` only.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Example:
        >>> import tempfile
        >>> from qtaml.planning import UniformMsp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     laboratory = Laboratory(folder, trials=2, training_seeds=(0,), workers=1)
        ...     measured, = laboratory.measure([Case("SmallCNN", UniformMsp(p=0.1, protected_bits=8))])
        >>> measured.overhead, measured.estimate.value > 0.95
        (1.0, True)
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        trials: int = 30,
        training_seeds: Sequence[int] = (0, 1, 2, 3, 4),
        seed: int = 0,
        workers: int | None = None,
        ray: str | None = None,
        load: Loader | None = None,
    ) -> None:
        # Absolute: a worker may have another current folder.
        self.folder = Path(folder).absolute()
        # Before anything is trained or measured.
        _files.check_folder(self.folder)
        self.trials = _checks.integer("trials", trials, 2)
        self.training_seeds = tuple(_checks.integer("training_seeds", one, 0) for one in training_seeds)
        self.seed = _checks.integer("seed", seed, 0)
        self.workers = None if workers is None else _checks.integer("workers", workers, 1)
        self.ray = ray
        self.place = Place(self.folder, origin(), load)
        # Monotonic: the wall clock may be set during a run of hours.
        self._started = time.monotonic()

    def network(self, name: str, training_seed: int) -> tuple[nn.Module, Data]:
        """A trained network and its data."""
        with one_thread():
            return built_in(name, training_seed, self.folder)

    def plan(self, case: Case, training_seed: int) -> Plan:
        """Plan of a case for one trained network."""
        with one_thread():
            return planned(case, training_seed, self.seed, self.place)

    def measure(self, cases: Sequence[Case], description: str = "measuring") -> list[Measured]:
        """Measure cases on all trained networks.

        Args:
            cases: what to measure.
            description: what the progress bar says.

        Returns:
            One for each case, in their order.

        Raises:
            ArgumentError: if a network is unknown, or settings do not fit it.
            QtamlError: if a task's worker process dies again and again.
        """
        tasks = [self.task(case, seed) for case in cases for seed in self.training_seeds]
        records, width = self.run(tasks, description), len(self.training_seeds)
        return [Measured(tuple(records[start : start + width])) for start in range(0, len(records), width)]

    def task(self, case: Case, training_seed: int) -> Task:
        """A case for one trained network."""
        return Task(case, training_seed, self.trials, self.seed)

    def run(self, tasks: Sequence[Task], description: str = "measuring") -> list[Record]:
        """Measure tasks; those already in the folder are read from it. Arguments and errors as for `measure`."""
        # The first refusal ends the run. Closing the generator ends its worker processes before the error leaves here.
        with closing(self._refused(tasks, description)) as refused:
            for _, error in refused:
                raise error
        return [self._read(self.place.key(task)) for task in tasks]

    def attempt(self, tasks: Sequence[Task], description: str = "measuring") -> list[Record | QtamlError]:
        """Measure tasks, as `run`; of one that is refused, the reason is returned and the others are measured."""
        refused = {self.place.key(task): error for task, error in self._refused(tasks, description)}
        keys = [self.place.key(task) for task in tasks]
        return [refused[key] if key in refused else self._read(key) for key in keys]

    def found(self, tasks: Sequence[Task]) -> list[Record | None]:
        """The records of tasks that are measured already; None for the others."""
        there = self._there()
        keys = [self.place.key(task) for task in tasks]
        return [self._read(key) if key in there else None for key in keys]

    def manifest(self) -> Manifest:
        """How the results of this laboratory came to be, up to now."""
        return Manifest(
            self.seed,
            self.trials,
            self.training_seeds,
            _files.versions(),
            source(),
            datetime.now(UTC).isoformat(timespec="seconds"),
            round(time.monotonic() - self._started, 1),
        )

    def _refused(self, tasks: Sequence[Task], description: str) -> Generator[tuple[Task, QtamlError]]:
        """Measure the tasks that have no record yet, and yield those that are refused, with the error."""
        for task in tasks:
            task.case.check()
        there = self._there()
        missing = {key: task for task in tasks if (key := self.place.key(task)) not in there}
        if not missing:
            return
        # All networks are trained before the first task, so that no two tasks train the same one or wait for it.
        with workers(self.workers, self.ray, len(self._groups(missing))) as call:
            built_ins = {(t.case.network, t.training_seed, self.folder) for t in missing.values() if t.case.own is None}
            for _, result in track(built_ins, "training", call(train, sorted(built_ins))):
                if isinstance(result, LostError):
                    raise result
            # What another laboratory is measuring is left to it at first, and waited for in the end.
            for wait in (False, True):
                for task, error in self._pass(call, missing, wait, description):
                    del missing[self.place.key(task)]
                    yield task, error
                there = self._there()
                missing = {key: task for key, task in missing.items() if key not in there}
                if not missing:
                    return
        # Every group was waited for: a record that is still missing was written into another folder.
        raise QtamlError(f"{self.folder} must be seen by all workers under this path: it lacks what they measured")

    def _pass(
        self, call: Call, missing: dict[str, Task], wait: bool, description: str
    ) -> Generator[tuple[Task, QtamlError]]:
        jobs = [(group, self.place, wait) for group in self._groups(missing)]
        for (group, *_), refused in track(jobs, description, call(measure, jobs)):
            # Which task of the group killed the process is not known: all of them are refused.
            yield from [(task, refused) for task in group] if isinstance(refused, LostError) else refused

    def _groups(self, missing: dict[str, Task]) -> list[tuple[Task, ...]]:
        """Tasks of one plan, which go to one process, which plans once."""
        return [tuple(group) for _, group in groupby(sorted(missing.values(), key=plan_key), plan_key)]

    def _there(self) -> set[str]:
        """Keys of all records in the folder."""
        # One listing: asking for each of thousands of files is slow on a network file system. Hidden files, which *
        # matches too in pathlib, are other programs'.
        return {path.stem for path in (self.folder / "measurements").glob("[!.]*.json")}

    def _read(self, key: str) -> Record:
        path = self.place.record_path(key)
        return _files.from_json(Record, _files.read_bytes(path), str(path))
