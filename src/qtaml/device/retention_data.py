"""Retention measurements from a CSV file: times, or failing bits by window, each at its temperature."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qtaml.device._arrays import Array
from qtaml.device.unit_table import UnitTable, read_table
from qtaml.errors import ArgumentError, StoredFileError


@dataclass(frozen=True)
class RetentionData:
    """Cells that lost their bit at a time between two bounds, by temperature.

    Args:
        after: latest times at which they still had it, s; 0 where unknown.
        by: earliest times at which they had lost it, s; infinite where they never did, equal to `after` where exact.
        temperature: K.
        cells: number of cells in each row.
        chip: number of the chip of each row; all of one if not given.
        source: where the data come from.

    Raises:
        ArgumentError: if lengths differ, a number is out of its range, or no row says when a cell failed.

    Source:
        theory.md 2.10.

    Example:
        >>> data = RetentionData(after=[1e-3, 2e-3], by=[1e-3, np.inf], temperature=[300.0, 300.0], cells=[1, 1])
        >>> data.failures
        1
    """

    after: Sequence[float] | Array
    by: Sequence[float] | Array
    temperature: Sequence[float] | Array
    cells: Sequence[float] | Array
    chip: Sequence[int] | Array = ()
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.chip) == 0:
            object.__setattr__(self, "chip", np.zeros(len(self.after)))
        columns = ("after", "by", "temperature", "cells", "chip")
        for name in columns:
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64).ravel())
        lengths = {len(getattr(self, name)) for name in columns}
        if len(lengths) > 1:
            raise ArgumentError(f"{', '.join(columns)} must be of one length, got {sorted(lengths)}")
        _refuse("temperature", self.temperature, np.asarray(self.temperature) > 0, "above 0 K")
        after, by = np.asarray(self.after), np.asarray(self.by)
        _refuse("after", after, np.isfinite(after) & (after >= 0), "at least 0 and finite")
        _refuse("by", by, (by > 0) & (by >= after), "above 0 and not before `after`")
        _refuse("cells", self.cells, np.asarray(self.cells) >= 0, "at least 0")
        if self.failures == 0:
            raise ArgumentError("by must be finite for some cells: none of the data is of a cell that failed")

    @property
    def failures(self) -> int:
        """Number of cells that failed."""
        return int(np.asarray(self.cells)[np.isfinite(self.by)].sum())

    @property
    def total(self) -> int:
        """Number of cells, each counted at every temperature at which it was measured."""
        return int(np.sum(self.cells))


def read_retention(path: str | Path) -> RetentionData:
    """Retention data from a CSV file whose header names each quantity with its unit.

    A row is one of three kinds, the same throughout a file, each with `temperature (C)` or `(K)`:
    `time (us)`, the retention time of a cell, `>5` if it held longer and `<5` if shorter;
    `after (us)` and `by (us)`, between which a cell failed, either of them empty if unknown;
    `window (us)`, `failing`, `cells`: how many of so many cells had lost their bit. Rows of one temperature are the
    same cells at growing windows; other cells have another text in a column `chip`.
    `cells` may count equal rows of the first two kinds; `chip` is optional, and lets the fit see how chips differ.

    Args:
        path: the file; lines that begin with # are skipped.

    Returns:
        The data.

    Raises:
        StoredFileError: if the file cannot be read, or a unit is missing, unknown or not the same for all times, a
            column is of another kind of rows or has a name like one that counts, or a row is not as described; the
            message names the line.

    Source:
        theory.md 2.10.
    """
    path = Path(path)
    table = read_table(path)
    kind = next((one for one in ("window", "time", "after", "by") if one in table.columns), None)
    if kind is None or "temperature" not in table.columns:
        raise StoredFileError(
            f"{path} must have a column `temperature (C)` and one of `time (us)`, `after (us)` and `by (us)`, or "
            f"`window (us)`, got {', '.join(table.columns) or 'none of them'}"
        )
    kinds = {"window": ("window", "failing"), "time": ("time",)}
    meant = (*kinds.get(kind, ("after", "by")), "temperature", "cells", "chip")
    if other := [name for name in table.columns if name not in meant]:
        raise StoredFileError(f"{path} must have rows of one kind, got {other[0]!r} beside {kind!r}")
    read: Callable[[UnitTable], RetentionData] = {"window": _failing_bits, "time": _times}.get(kind, _intervals)
    try:
        return read(table)
    except ArgumentError as error:
        raise StoredFileError(f"{path}: {error}") from error


def _times(table: UnitTable) -> RetentionData:
    after, by = [], []
    for row in table.rows:
        text = table.text(row, "time")
        number = table.number(row, "time", text[1:] if text.startswith(("<", ">")) else text)
        after.append(0.0 if text.startswith("<") else number)
        by.append(np.inf if text.startswith(">") else number)
    return RetentionData(after, by, table.temperatures(), table.counts(), table.chips(), str(table.path))


def _intervals(table: UnitTable) -> RetentionData:
    def bound(row: tuple[int, list[str]], name: str, unknown: float) -> float:
        known = name in table.columns and table.text(row, name)
        return table.number(row, name) if known else unknown

    after = [bound(row, "after", 0.0) for row in table.rows]
    by = [bound(row, "by", np.inf) for row in table.rows]
    return RetentionData(after, by, table.temperatures(), table.counts(), table.chips(), str(table.path))


class _Test(NamedTuple):
    """One row of failing bits."""

    temperature: float
    chip: str
    window: float
    failing: float
    cells: float
    line: int


def _failing_bits(table: UnitTable) -> RetentionData:
    """The same cells at growing windows: those that fail anew between two of them failed in between."""
    for name in ("failing", "cells"):
        if name not in table.columns:
            raise StoredFileError(f"{table.path} must have a column {name!r} beside `window`")
    tests = sorted(
        _Test(
            table.number(row, "temperature"),
            table.chip(row),
            table.number(row, "window"),
            table.number(row, "failing"),
            table.number(row, "cells"),
            row[0],
        )
        for row in table.rows
    )
    groups = [list(group) for _, group in groupby(tests, key=lambda one: (one.temperature, one.chip))]
    chips = sorted({test.chip for test in tests})
    rows = [(*row, chips.index(group[0].chip)) for group in groups for row in _failed_between(table.path, group)]
    after, by, kelvin, cells, chip = np.array(rows).T
    return RetentionData(after, by, kelvin, cells, chip, str(table.path))


def _failed_between(path: Path, tests: Sequence[_Test]) -> Iterator[tuple[float, float, float, float]]:
    """(after, by, temperature, cells) of cells that were tested at growing windows."""
    before, failed = 0.0, 0.0
    for test in tests:
        place = f"{path}, line {test.line}"
        if test.cells != tests[0].cells:
            raise StoredFileError(
                f"{place}: cells must be as many as in the other rows of this temperature, {tests[0].cells:g}, got "
                f"{test.cells:g}; give other cells another name in a column `chip`"
            )
        if not failed <= test.failing <= test.cells or test.window == before:
            raise StoredFileError(
                f"{place}: failing must grow with the window, at most to {test.cells:g}, with one row for each window, "
                f"got {test.failing:g} after {failed:g}; give other cells another name in a column `chip`"
            )
        yield before, test.window, test.temperature, test.failing - failed
        before, failed = test.window, test.failing
    yield before, np.inf, tests[0].temperature, tests[0].cells - failed


def _refuse(name: str, values: Sequence[float] | Array, right: NDArray[np.bool_], rule: str) -> None:
    wrong = ~right
    if wrong.any():
        raise ArgumentError(f"{name} must be {rule}, got {float(np.asarray(values)[wrong][0])!r}")
