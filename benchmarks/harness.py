"""What the benchmarks share: one row for each thing timed, and tables and curves of many rows."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from rich.table import Table

from qtaml.showing import Curve, Panel

COLUMNS = ("what", "size", "time", "reference", "its time", "reference / time", "note")
GROWTH = ("weights", "tensors", "reads", "samples")
_FEWEST_SIZES = 3


@dataclass(frozen=True)
class Measurement:
    """One thing timed next to one reference in the same run.

    Attributes:
        subject: what the row belongs to, such as "sensitivity".
        what: what was timed. Rows of the same subject and name at several sizes make a curve.
        size: how large it was.
        unit: unit of the size, such as "weights".
        seconds: time it took.
        reference: what it is compared with.
        reference_seconds: time of the reference.
        note: what else was seen.
    """

    subject: str
    what: str
    size: int
    unit: str
    seconds: float
    reference: str
    reference_seconds: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times as long the reference takes."""
        return self.reference_seconds / self.seconds


@dataclass(frozen=True)
class Record:
    """What one benchmark module measured, and where.

    Attributes:
        module: name of the module.
        command: what makes it again.
        date: day, UTC.
        machine: processor, cores and memory.
        versions: of what was timed.
        seconds: time of the whole module.
        peak_bytes: largest memory of its process.
        measurements: its rows.
    """

    module: str
    command: str
    date: str
    machine: str
    versions: dict[str, str]
    seconds: float
    peak_bytes: int
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class Results:
    """The latest record of each module, by its name."""

    records: dict[str, Record]


def medians(functions: Sequence[Callable[[], object]], repetitions: int) -> list[float]:
    """Median seconds of each function, after one call of each to warm up.

    They take turns, so that what else the machine does falls on all of them alike.
    """
    for function in functions:
        function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repetitions):
        for own, function in zip(times, functions, strict=True):
            start = time.perf_counter()
            function()
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def median_seconds(function: Callable[[], object], repetitions: int) -> float:
    """Median seconds of a function, after one call to warm up."""
    return medians([function], repetitions)[0]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads of torch inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> str:
    """Processor, cores and memory of this machine."""
    try:
        with open("/proc/cpuinfo") as file:
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        models = []
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = models[0] if models else platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {gigabytes:.0f} GiB"


def rows(measurements: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """Texts of the cells of a table, in the order of `COLUMNS`."""
    return [
        (
            row.what,
            f"{row.size:,} {row.unit}",
            duration(row.seconds),
            row.reference,
            duration(row.reference_seconds),
            f"{row.ratio:.3g}",
            row.note,
        )
        for row in measurements
    ]


def duration(seconds: float) -> str:
    """A time in three digits, such as 1.23 ms."""
    unit, name = next(((u, n) for u, n in ((1.0, "s"), (1e-3, "ms")) if seconds >= u), (1e-6, "us"))
    return f"{seconds / unit:.3g} {name}" if seconds < 1000 else f"{seconds:.0f} s"


def terminal_table(title: str, measurements: Sequence[Measurement]) -> Table:
    """A table for a terminal."""
    table = Table(title=title)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in ("what", "reference", "note") else "right")
    for row in rows(measurements):
        table.add_row(*row)
    return table


def markdown_table(measurements: Sequence[Measurement]) -> str:
    """A table in Markdown."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows(measurements)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def growth_panels(measurements: Sequence[Measurement]) -> list[Panel]:
    """How time grows with size: a panel for each unit and subject with something timed at three sizes or more.

    Each curve is named with the exponent of the power law fitted to it.
    """
    panels = []
    for unit in GROWTH:
        own = [row for row in measurements if row.unit == unit]
        for subject, of_subject in groupby(sorted(own, key=lambda row: row.subject), key=lambda row: row.subject):
            curves = _curves(list(of_subject))
            if curves:
                heights = [height for curve in curves for height in curve.mean]
                limits = (min(heights) / 2, max(heights) * 2)
                panels.append(Panel(curves, subject, unit, "seconds", log_x=True, log_y=limits))
    return panels


def _curves(measurements: Sequence[Measurement]) -> list[Curve]:
    """A curve for each thing timed, and for its reference."""
    points: dict[str, dict[int, float]] = {}
    for row in measurements:
        points.setdefault(row.what, {})[row.size] = row.seconds
        points.setdefault(row.reference, {})[row.size] = row.reference_seconds
    curves = []
    for name, own in points.items():
        if len(own) >= _FEWEST_SIZES:
            sizes = sorted(own)
            times = [own[size] for size in sizes]
            exponent = np.polyfit(np.log(sizes), np.log(times), 1)[0]
            curves.append(Curve(f"{name} (exponent {exponent:.2f})", sizes, times))
    return curves
