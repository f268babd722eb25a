"""The paper's networks, stored, read and measured: every measurement once, whoever asks for it."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import qtaml
from qtaml import _checks, _files
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.errors import QtamlError
from qtaml.evaluate import (
    Accuracy,
    Estimate,
    NegativeLogLikelihood,
    OutputError,
    Result,
    SampleMetric,
    evaluate,
    networks_interval,
)
from qtaml.experiments import cases
from qtaml.experiments.cases import METHODS, Case
from qtaml.memory import store
from qtaml.networks import RECIPES, Data, trained
from qtaml.planning import Plan

_Call = Callable[[Callable[..., None], Sequence[tuple[Any, ...]], str], None]


@dataclass(frozen=True)
class Task:
    """A case for one trained network: what is measured, and kept, as a whole.

    Attributes:
        case: what is stored, and how.
        training_seed: which trained network.
        trials: reads.
        seed: seed of calibration and errors.
    """

    case: Case
    training_seed: int
    trials: int
    seed: int


@dataclass(frozen=True)
class Record:
    """What was measured of a task.

    Attributes:
        task: the task.
        overhead: overhead that the plan takes.
        predicted_error: output error that the plan predicts; None if it does not.
        clean: accuracy (of texts, negative log-likelihood) of the network outside the leaking memory.
        result: the metric over the reads.
        seconds: how long the measurement took.
    """

    task: Task
    overhead: float
    predicted_error: float | None
    clean: float
    result: Result
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What was measured of a case, over all trained networks of its kind.

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
            result = self.records[0].result
            return Estimate(result.mean, result.low, result.high)
        estimate = networks_interval(self.values)
        if self.records[0].task.case.metric == "accuracy":
            return Estimate(estimate.mean, max(estimate.low, 0.0), min(estimate.high, 1.0))
        return estimate

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
        seconds: how long it took, with what was already there not measured again.
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

    An interrupted run goes on where it was; what two experiments share is measured once. A measurement is found again
    only if its task, the sources of the package and the versions below it are the same. Every process computes with
    one thread, so that results do not depend on the number of processors.

    Args:
        folder: where trained networks and measurements are kept.
        trials: reads of each plan, at least 2.
        training_seeds: seeds of the trained networks; each case is measured on all of them.
        seed: seed of calibration and errors.
        workers: parallel processes; as many as processors if not given. 1 measures in this process.

    Raises:
        ArgumentError: if an argument has a value that is not allowed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     laboratory = Laboratory(folder, trials=2, training_seeds=(0,), workers=1)
        ...     measured, = laboratory.measure([Case("SmallCNN", "uniform_msp", {"protected_bits": 8})])
        >>> measured.overhead, bool(measured.estimate.mean > 0.95)
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
    ) -> None:
        self.folder = Path(folder)
        self.trials = _checks.integer("trials", trials, 2)
        self.training_seeds = tuple(_checks.integer("training_seeds", one, 0) for one in training_seeds)
        self.seed = _checks.integer("seed", seed, 0)
        self.workers = _checks.integer("workers", workers or os.cpu_count() or 1, 1)
        self._started = time.monotonic()

    def network(self, name: str, training_seed: int) -> tuple[nn.Module, Data]:
        """A trained network and its data."""
        with one_thread():
            return _trained(name, training_seed, self.folder)

    def plan(self, case: Case, training_seed: int) -> Plan:
        """How a case stores one trained network."""
        with one_thread():
            return _plan(_files.to_json(case), training_seed, self.seed, self.folder)

    def measure(self, cases: Sequence[Case], description: str = "measuring") -> list[Measured]:
        """Measure cases on all trained networks.

        Args:
            cases: what to measure.
            description: what the progress bar says.

        Returns:
            One for each case, in their order.

        Raises:
            ArgumentError: if a network, a method or one of its settings is unknown or not allowed.
            QtamlError: if a worker process dies.
        """
        tasks = [self.task(case, seed) for case in cases for seed in self.training_seeds]
        records, width = self.run(tasks, description), len(self.training_seeds)
        return [Measured(tuple(records[start : start + width])) for start in range(0, len(records), width)]

    def task(self, case: Case, training_seed: int) -> Task:
        """A case for one trained network."""
        return Task(case, training_seed, self.trials, self.seed)

    def run(self, tasks: Sequence[Task], description: str = "measuring") -> list[Record]:
        """Measure tasks; those already in the folder are read from it. Arguments and errors as for `measure`."""
        for task in tasks:
            _checks.one_of("network", task.case.network, RECIPES)
            _checks.one_of("method", task.case.method, METHODS)
        paths = [_record_path(self.folder, _key(task)) for task in tasks]
        missing = {path: task for path, task in zip(paths, tasks, strict=True) if not path.exists()}
        # Tasks of one plan go to one process, which plans once.
        ordered = sorted(missing.values(), key=_plan_key)
        groups = [tuple(group) for _, group in groupby(ordered, _plan_key)]
        untrained = {(task.case.network, task.training_seed) for task in ordered}
        with self._processes(len(groups)) as call:
            call(_train, [(name, seed, self.folder) for name, seed in sorted(untrained)], "training")
            call(_measure, [(group, self.folder) for group in groups], description)
        return [_files.from_json(Record, _files.read_bytes(path), str(path)) for path in paths]

    def manifest(self) -> Manifest:
        """How the results of this laboratory came to be, up to now."""
        return Manifest(
            self.seed,
            self.trials,
            self.training_seeds,
            _files.versions(),
            _source(),
            datetime.now(UTC).isoformat(timespec="seconds"),
            round(time.monotonic() - self._started, 1),
        )

    @contextmanager
    def _processes(self, jobs: int) -> Iterator[_Call]:
        """A function that does jobs in parallel processes, or in this one if that is as good."""
        if self.workers == 1 or jobs < 2:
            yield _call_here
            return
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self.workers, jobs), context, _leave_interrupts_to_the_parent)

        def call(function: Callable[..., None], arguments: Sequence[tuple[Any, ...]], description: str) -> None:
            running = [pool.submit(function, *one) for one in arguments]
            for done in track(running, description, as_completed(running)):
                done.result()

        try:
            yield call
        except BrokenProcessPool as error:
            raise QtamlError(
                "a worker process died, perhaps for lack of memory; run again to go on from what is measured"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _call_here(function: Callable[..., None], arguments: Sequence[tuple[Any, ...]], description: str) -> None:
    for one in track(arguments, description):
        function(*one)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _train(name: str, training_seed: int, folder: Path) -> None:
    with one_thread():
        _trained(name, training_seed, folder)


def _measure(tasks: Sequence[Task], folder: Path) -> None:
    """Measure tasks that share a plan, and keep each record."""
    with one_thread():
        for task in tasks:
            start, case = time.monotonic(), task.case
            model, data = _trained(case.network, task.training_seed, folder)
            plan = _plan(_plan_key(task)[0], task.training_seed, task.seed, folder)
            metric, clean = _metrics(case, model, data)
            result = evaluate(
                store(model, plan),
                metric,
                trials=task.trials,
                fault=case.read_fault,
                seed=child_seed(task.seed, "reads", task.training_seed),
            )
            seconds = round(time.monotonic() - start, 3)
            record = Record(task, plan.overhead, plan.predicted_error, clean(model), result, seconds)
            _files.write_text(_record_path(folder, _key(task)), _files.to_json(record))


def _metrics(case: Case, model: nn.Module, data: Data) -> tuple[SampleMetric, Callable[[nn.Module], float]]:
    """What to measure of reads, and of the clean network."""
    if case.metric == "log_likelihood":
        likelihood = NegativeLogLikelihood(data.test_inputs)
        return likelihood, likelihood
    accuracy = Accuracy(data.test_inputs, data.test_labels)
    return (accuracy if case.metric == "accuracy" else OutputError(model, data.calibration)), accuracy


@lru_cache(maxsize=32)
def _trained(name: str, training_seed: int, folder: Path) -> tuple[nn.Module, Data]:
    return trained(name, seed=training_seed, cache=folder / "networks")


@lru_cache(maxsize=32)
def _plan(case_json: str, training_seed: int, seed: int, folder: Path) -> Plan:
    case = _files.from_json(Case, case_json, "a case")
    model, data = _trained(case.network, training_seed, folder)
    return case.plan(model, data, child_seed(seed, "plan", training_seed))


def _plan_key(task: Task) -> tuple[str, int, int]:
    """What decides the plan of a task."""
    case = task.case
    return _files.to_json(Case(case.network, case.method, case.settings, case.fault)), task.training_seed, task.seed


def _key(task: Task) -> str:
    """Name under which a task's record is kept: all that its numbers depend on."""
    content = _files.to_json(task) + _source() + repr(sorted(_files.versions().items()))
    return _files.sha256(content.encode())[:32]


def _record_path(folder: Path, key: str) -> Path:
    return folder / "measurements" / f"{key}.json"


@lru_cache(maxsize=1)
def _source() -> str:
    """SHA-256 of the sources that plan, read and measure: all but those that only ask and show."""
    root = Path(qtaml.__file__).parent
    measuring = (Path(__file__), Path(cases.__file__))
    shown = {"cli", "report", "experiments"}
    found = (path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in shown or path in measuring)
    files = sorted(found)
    texts = (f"{path.relative_to(root).as_posix()} {_files.sha256(path.read_bytes())}" for path in files)
    return _files.sha256("\n".join(texts).encode())


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, so that sums are taken in one order whatever the number of processors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
