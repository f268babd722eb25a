"""A sweep: the tasks that its file describes, measured, as rows and as a table."""

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter
from rich.table import Table

from qtaml import _files
from qtaml._tables import captioned_table
from qtaml.errors import ArgumentError, QtamlError
from qtaml.faults import AnyFault
from qtaml.laboratory.cases import Case, OwnNetwork
from qtaml.laboratory.laboratory import Laboratory, Measured, Record, Task
from qtaml.laboratory.sweep_file import Description, NetworkEntry, Storage
from qtaml.measuring import Estimate
from qtaml.networks import NETWORK_FILES
from qtaml.planning import Settings

_DATA_FILES = (".npz", ".safetensors")


@dataclass(frozen=True)
class Entry:
    """One task of a sweep, with the method, budget and memory it stands for.

    Attributes:
        storage: the method, its budget and the memory.
        task: the task.
    """

    storage: Storage
    task: Task

    @property
    def fault(self) -> AnyFault:
        """The memory."""
        return self.storage.settings.fault


@dataclass(frozen=True)
class Row:
    """One task of a sweep and what was measured.

    Attributes:
        network: its name.
        method: its name in the sweep.
        settings: of the method, as JSON, without those that are as by default.
        tune: those of the training for the plan, likewise, and its loss; None without such a training.
        fault: the memory, as JSON.
        p: its flip probability, if its kind has one.
        overhead: budget asked; None for a method without, or whose settings say it.
        training_seed: which trained network.
        metric: what was measured.
        spent: overhead that the plan takes.
        predicted_error: output error that the plan predicts; None if it does not.
        clean: accuracy outside the leaking memory.
        mean: the metric over the reads, with its interval.
        refused: why the task was not measured; None if it was.
        record: file of the record in the folder of measurements, with the metric of each read.
        caution: why the interval may be too narrow; empty if nothing says so.
    """

    network: str
    method: str
    settings: str
    tune: str | None
    fault: str
    p: float | None
    overhead: float | None
    training_seed: int
    metric: str
    spent: float | None
    predicted_error: float | None
    clean: float | None
    mean: Estimate | None
    refused: str | None
    record: str
    caution: str = ""


Outcome = Record | QtamlError | None
"""Outcome of a task: its record, the error that refused it, or None if it is not measured yet."""


def entries(sweep: Description, folder: Path) -> tuple[Entry, ...]:
    """The tasks of a sweep, in the order of its file.

    Networks that are not built in are put into the folder, each file under the SHA-256 of its content: a sweep goes on
    with what it began with, and finds its measurements again wherever the files were.

    Args:
        sweep: the description.
        folder: that of the measurements.

    Raises:
        StoredFileError: if a file of a network cannot be read.
        ArgumentError: if the module of a network is not there.
    """
    asked = sweep.file
    found = []
    for entry in asked.networks:
        # Without "{seed}" all seeds would measure the same weights.
        several = entry.model is None or "{seed}" in (entry.weights or "")
        for seed in asked.training_seeds if several else asked.training_seeds[:1]:
            own = None if entry.model is None else own_network(entry, seed, sweep.path.parent, folder)
            for storage in sweep.storages:
                case = Case(
                    entry.name,
                    storage.settings,
                    metric=asked.metric,
                    own=own,
                    tune=storage.tune,
                    loss=storage.loss,
                )
                found.append(Entry(storage, Task(case, seed, asked.trials, asked.seed)))
    return tuple(found)


def own_network(entry: NetworkEntry, seed: int, base: Path, folder: Path) -> OwnNetwork:
    """A network that is not built in, with its files put into the folder.

    Args:
        entry: what the sweep says of it.
        seed: replaces "{seed}" in the name of the weights.
        base: folder from which the sweep names files.
        folder: that of the measurements.

    Raises:
        StoredFileError: if a file cannot be read.
        ArgumentError: if the module is not there, or data are no arrays.
    """
    assert entry.model is not None
    assert entry.calibration is not None
    assert entry.test is not None
    for key, name in (("calibration", entry.calibration), ("test", entry.test), ("train", entry.train)):
        if name is not None and not name.endswith(_DATA_FILES):
            raise ArgumentError(
                f"{key} of {entry.name} must be .npz or .safetensors, got {name!r}; a sweep has no tokenizer: of a "
                "text give token numbers, and as labels the next ones (-100 for none)"
            )

    def put(name: str) -> str:
        content = _files.read_bytes(base / name)
        kept = f"{_files.sha256(content)}{Path(name).suffix}"
        # A file of this name has this content.
        if not (inputs_folder(folder) / kept).exists():
            _files.write_bytes(inputs_folder(folder) / kept, content)
        return kept

    program = entry.model.endswith(NETWORK_FILES)
    return OwnNetwork(
        model=put(entry.model) if program else entry.model,
        code="" if program else _code(entry.model),
        weights=None if entry.weights is None else put(entry.weights.replace("{seed}", str(seed))),
        calibration=put(entry.calibration),
        test=put(entry.test),
        train=None if entry.train is None else put(entry.train),
    )


def inputs_folder(folder: Path) -> Path:
    """Where the files of networks that are not built in are kept."""
    return folder / "inputs"


def measure_sweep(laboratory: Laboratory, wanted: Sequence[Entry]) -> list[Outcome]:
    """Measure the tasks of a sweep; one that is refused does not keep the others from being measured."""
    return list(laboratory.attempt([entry.task for entry in wanted], "measuring plans"))


def rows(laboratory: Laboratory, wanted: Sequence[Entry], outcomes: Sequence[Outcome]) -> tuple[Row, ...]:
    """A row for each task that was measured or refused."""
    pairs = zip(wanted, outcomes, strict=True)
    return tuple(_row(laboratory, entry, outcome) for entry, outcome in pairs if outcome is not None)


def _row(laboratory: Laboratory, entry: Entry, outcome: Record | QtamlError) -> Row:
    task = entry.task
    record = outcome if isinstance(outcome, Record) else None
    return Row(
        network=task.case.network,
        method=entry.storage.name,
        settings=_asked(entry.storage.settings),
        tune=None if (tune := entry.storage.tune) is None else _asked(tune, loss=entry.storage.loss),
        fault=json.dumps(asdict(entry.fault)),
        p=getattr(entry.fault, "p", None),
        overhead=entry.storage.overhead,
        training_seed=task.training_seed,
        metric=task.case.metric,
        spent=record.overhead if record else None,
        predicted_error=record.predicted_error if record else None,
        clean=record.clean if record else None,
        mean=record.result.estimate if record else None,
        refused=str(outcome) if isinstance(outcome, QtamlError) else None,
        caution=record.result.caution if record else "",
        record=laboratory.place.record_path(laboratory.place.key(task)).name,
    )


def _asked(settings: Settings, **more: str) -> str:
    adapter: TypeAdapter[Settings] = TypeAdapter(type(settings))
    return json.dumps(adapter.dump_python(settings, mode="json", exclude={"fault"}, exclude_defaults=True) | more)


def table(wanted: Sequence[Entry], outcomes: Sequence[Outcome]) -> Table:
    """The measurements, each a mean over the trainings of a network."""
    kinds: dict[str, tuple[Entry, list[Record]]] = {}
    for entry, outcome in zip(wanted, outcomes, strict=True):
        if isinstance(outcome, Record):
            # A user's network has another file of weights for each seed, and all of these are one kind.
            kind = _files.to_json(replace(entry.task.case, own=None)) + entry.storage.name
            kinds.setdefault(kind, (entry, []))[1].append(outcome)
    grid = captioned_table(
        title="The sweep, mean over trainings",
        caption="mean [95% interval over trainings and reads; over reads and test samples for a single training]; the "
        "overhead is what plans take; !: too few samples or reads for such scores, `caution` in the file says why",
    )
    for name in ("network", "memory", "method"):
        grid.add_column(name)
    for name in ("overhead", *sorted({entry.task.case.metric for entry in wanted})):
        grid.add_column(name, justify="right", no_wrap=True)
    for entry, records in kinds.values():
        measured = Measured(tuple(records))
        grid.add_row(
            entry.task.case.network,
            str(entry.fault),
            entry.storage.name,
            f"{measured.overhead:.4g}",
            f"{measured.estimate:.3g}{' !' if any(record.result.caution for record in records) else ''}",
        )
    return grid


def _code(model: str) -> str:
    """SHA-256 of the source of the module that a network's factory is in."""
    # An installed command does not search the current folder, where a user's module lies.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module = model.partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise ArgumentError(f"model {model!r} cannot be imported: {error}") from error
    if found is None or found.origin is None:
        raise ArgumentError(
            f"model {model!r} must be a .pt2, .onnx, .tflite or .gguf file, or package.module:factory, and there is no "
            f"{module}"
        )
    # Modules that this one imports are not hashed: to know them, it would have to run.
    return _files.sha256(_files.read_bytes(Path(found.origin)))
