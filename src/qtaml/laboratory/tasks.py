"""One measurement: the task, the key of its record, and the function that a worker process runs."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

import qtaml
from qtaml import _checks, _files
from qtaml._random import child_seed
from qtaml._threads import one_thread
from qtaml.errors import ArgumentError, QtamlError, StoredFileError
from qtaml.laboratory import cases
from qtaml.laboratory.cases import Case, OwnNetwork, Samples
from qtaml.measuring import Accuracy, NegativeLogLikelihood, OutputError, Result, SampleMetric, evaluate
from qtaml.memory import store
from qtaml.model import Batch
from qtaml.networks import Data, trained
from qtaml.planning import Plan
from qtaml.training import needs_labels, tune

if sys.platform != "win32":
    import fcntl

Loader = Callable[[OwnNetwork, Path], tuple[nn.Module, Samples]]
"""Makes a network that is not built in from its files, which are in a folder."""

# Offsets of locks are signed numbers of 64 bits, and the lock ends one byte further on.
_PLACES = 2**62


@dataclass(frozen=True)
class Task:
    """A case for one trained network: the unit that is measured and recorded.

    Attributes:
        case: the network, the method and the fault model.
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
    """The measurement of a task.

    Attributes:
        task: the task.
        overhead: overhead that the plan takes.
        predicted_error: output error that the plan predicts; None if it does not.
        clean: the metric of the network outside the leaking memory; of an output error, the metric of its task.
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
class Place:
    """Where and how worker processes measure; the same for all tasks of a run.

    Attributes:
        folder: where trained networks and measurements are kept.
        origin: sources and versions of the process that asks; see `origin`.
        load: makes networks that are not built in.
    """

    folder: Path
    origin: str
    load: Loader | None = None

    def key(self, task: Task) -> str:
        """Name of a task's record: SHA-256, cut to 128 bits, of the task, the sources and the versions."""
        # 128 bits: two of a billion tasks share a key with a probability of 1e-21.
        return _files.sha256((_files.to_json(task) + self.origin).encode())[:32]

    def record_path(self, key: str) -> Path:
        """File of the record."""
        return self.folder / "measurements" / f"{key}.json"

    def network(self, case: Case, training_seed: int) -> tuple[nn.Module, Data | Samples]:
        """The trained network of a case and its data."""
        if case.own is None:
            return built_in(case.network, training_seed, self.folder)
        assert self.load is not None
        return _loaded(case.own, self.folder, self.load)


def train(name: str, training_seed: int, folder: Path) -> None:
    """Have a built-in network trained, by one process only; the others wait for it."""
    with one_thread(), claimed(folder, f"{name}-{training_seed}", wait=True):
        built_in(name, training_seed, folder)


def measure(tasks: Sequence[Task], place: Place, wait: bool) -> list[tuple[Task, QtamlError]]:
    """Measure tasks that share a plan, and write each record as soon as it is made.

    Records that exist already, from a process that died on the way or from another run, are not made again.

    Args:
        tasks: what to measure.
        place: where.
        wait: wait if another process is at these tasks, and measure what it leaves; else leave them to it.

    Returns:
        Tasks that were refused, with the reason.

    Raises:
        QtamlError: if this process runs another version of something than the one that asks.
    """
    if place.origin != origin():
        raise QtamlError(
            "a worker process must run the same sources and versions of qtaml, torch, numpy, scipy and Python as the "
            "process that asks; install the same on all machines, and do not change it meanwhile"
        )
    refused = []
    with one_thread(), claimed(place.folder, repr(plan_key(tasks[0])), wait) as mine:
        # Records are looked for after the claim: the process that held it before may have written some of them.
        for task in tasks if mine else ():
            path = place.record_path(place.key(task))
            if path.exists():
                continue
            try:
                _files.write_text(path, _files.to_json(_measure(task, place)))
            except QtamlError as error:
                refused.append((task, error))
    return refused


def _measure(task: Task, place: Place) -> Record:
    start, case = time.monotonic(), task.case
    model, data = place.network(case, task.training_seed)
    metric, clean = _metrics(case, model, data)
    stored, plan = _stored(_json_without_reads(case), task.training_seed, task.seed, place)
    result = evaluate(
        store(stored, plan, calibration=data.calibration),
        metric,
        trials=task.trials,
        fault=case.read_fault,
        rewrite=stored if plan.by_chip else None,
        # The same for every method and budget: they are compared under common random numbers.
        seed=child_seed(task.seed, "reads", task.training_seed),
    )
    outside = float(clean.scores(model).double().mean())
    seconds = round(time.monotonic() - start, 3)
    return Record(task, plan.overhead, plan.predicted_error, outside, result, seconds)


def _metrics(case: Case, model: nn.Module, data: Data | Samples) -> tuple[SampleMetric, SampleMetric]:
    """The metric of the reads, and that of the clean network."""
    metrics = data.metrics if isinstance(data, Samples) else _of_built_in(data, case.metric)
    clean = metrics.get(case.metric, next(iter(metrics.values())))
    if case.metric == "output_error":
        return OutputError(model, data.calibration), clean
    _checks.one_of("metric", case.metric, (*metrics, "output_error"))
    return clean, clean


def _of_built_in(data: Data, metric: str) -> Mapping[str, SampleMetric]:
    if metric == "log_likelihood":
        return {metric: NegativeLogLikelihood(data.test_inputs)}
    return {"accuracy": Accuracy(data.test_inputs, data.test_labels)}


@lru_cache(maxsize=8)
def built_in(name: str, training_seed: int, folder: Path) -> tuple[nn.Module, Data]:
    """A trained built-in network and its data."""
    return trained(name, seed=training_seed, cache=folder / "networks")


@lru_cache(maxsize=2)
def _loaded(own: OwnNetwork, folder: Path, load: Loader) -> tuple[nn.Module, Samples]:
    # A factory may draw the weights that it comes with: the same ones in every process.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return load(own, folder)


def planned(case: Case, training_seed: int, seed: int, place: Place) -> Plan:
    """Plan of a case for one trained network."""
    return _plan(_planned_json(case), training_seed, seed, place)


@lru_cache(maxsize=32)
def _plan(case_json: str, training_seed: int, seed: int, place: Place) -> Plan:
    case = _files.from_json(Case, case_json, "a case")
    model, data = place.network(case, training_seed)
    return case.plan(model, data, child_seed(seed, "plan", training_seed))


@lru_cache(maxsize=2)
def _stored(case_json: str, training_seed: int, seed: int, place: Place) -> tuple[nn.Module, Plan]:
    """The network of a case as it is stored, trained for its plan if that is asked, and the plan."""
    case = _files.from_json(Case, case_json, "a case")
    model, data = place.network(case, training_seed)
    first = planned(replace(case, settings=case.tune_for or case.settings), training_seed, seed, place)
    if case.tune is None:
        return model, first
    inputs, labels = _training_samples(data)
    if needs_labels(case.loss) and labels is None:
        raise ArgumentError(f"train must hold labels for loss={case.loss!r}")
    # By all that the training depends on: what was interrupted goes on from its last epoch.
    key = _files.sha256(f"{place.origin} {case_json} {training_seed} {seed}".encode())[:32]
    found = tune(
        model,
        first,
        (inputs, labels) if needs_labels(case.loss) else inputs,
        replace(case.tune, seed=child_seed(seed, "tuning", training_seed)),
        loss=case.loss,
        checkpoint=place.folder / "tuned" / key,
    )
    if case.tune_for is None:
        return found.model, found.plan
    return found.model, case.plan(found.model, data, child_seed(seed, "plan", training_seed))


def _training_samples(data: Data | Samples) -> tuple[Batch, torch.Tensor | None]:
    if isinstance(data, Data):
        return data.train_inputs, data.train_labels
    if data.train is None:
        raise ArgumentError("train must be given for a network that is tuned")
    return data.train


def plan_key(task: Task) -> tuple[str, int, int, str]:
    """Everything that a task's plan depends on; sorted by it, tasks of one network are neighbours."""
    return task.case.network, task.training_seed, task.seed, _planned_json(task.case)


def _planned_json(case: Case) -> str:
    # Cases that differ in read fault, metric or training only share a plan.
    return _files.to_json(Case(case.network, case.settings, own=case.own))


def _json_without_reads(case: Case) -> str:
    # Cases that differ in read fault or metric only share a training.
    return _files.to_json(replace(case, read_fault=None, metric="accuracy"))


@lru_cache(maxsize=1)
def origin() -> str:
    """Sources and versions, on which numbers depend besides the task."""
    return source() + repr(sorted(_files.versions().items()))


@lru_cache(maxsize=1)
def source() -> str:
    """SHA-256 of the sources and tables that plan, read and measure: all but the rooms that only ask and show."""
    root = Path(qtaml.__file__).parent
    measuring = (Path(__file__), Path(cases.__file__))
    # A change of what is only shown must not repeat measurements.
    shown = {"cli", "export", "overview", "showing", "laboratory", "exploration"}
    every = (path for kind in ("*.py", "*.json") for path in root.rglob(kind))
    # File systems list folders in different orders.
    files = sorted(path for path in every if path.relative_to(root).parts[0] not in shown or path in measuring)
    texts = (f"{path.relative_to(root).as_posix()} {_files.sha256(path.read_bytes())}" for path in files)
    return _files.sha256("\n".join(texts).encode())


@contextmanager
def claimed(folder: Path, name: str, wait: bool) -> Iterator[bool]:
    """Claim a piece of work for this process, by a byte-range lock, which the system drops when the process dies.

    Where the file system has no locks every claim succeeds: work may then be done twice, with the same result.

    Args:
        folder: shared by all processes that may do the work.
        name: of the work.
        wait: wait until nobody else has it.

    Yields:
        Whether this process holds the claim.

    Raises:
        StoredFileError: if nothing can be written into the folder.
    """
    if sys.platform == "win32":
        yield True
        return
    # One byte of one file for each piece of work: the system drops the lock with the process, and no files pile up.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = open(folder / ".claims", "a")  # noqa: SIM115
    except OSError as error:
        raise StoredFileError(f"cannot write {folder}: {error.strerror}") from error
    # A POSIX lock belongs to the process and ends when it closes any handle of the file: claims must not be nested.
    with opened as file:
        try:
            flags = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
            fcntl.lockf(file, flags, 1, child_seed(0, name) % _PLACES)
            mine = True
        # Systems differ in the error that says that another process has the lock.
        except (BlockingIOError, PermissionError):
            mine = False
        except OSError:
            mine = True
        yield mine
