"""Tables of measurements as CSV files whose header names each quantity with its unit."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qtaml import _checks, _files
from qtaml.errors import StoredFileError

# Seconds in each unit of time.
_TIMES = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# K at 0 of each unit of temperature.
_TEMPERATURES = {"K": 0.0, "C": 273.15, "°C": 273.15}
_HEADER = re.compile(r"^(?P<name>[^(\[]*?)\s*[(\[](?P<unit>[^)\]]*)[)\]]$")
_TIME_COLUMNS = ("time", "after", "by", "window")
_COUNTS = ("failing", "cells")
# Columns that are read; any others are the user's own.
_COLUMNS = (*_TIME_COLUMNS, "temperature", *_COUNTS, "chip")
# Another name of something that counts: such a column is not left out without a word.
_LIKE_A_COLUMN = re.compile(
    r"fail|error|lost|held|reten|refresh|window|temp|count|chip|volt|\b(bits?|cells?|die|number|n|vdd)\b"
)


class Column(NamedTuple):
    """Place of a column, and its unit."""

    place: int
    unit: str


class UnitTable(NamedTuple):
    """Columns by name, and rows with the numbers of their lines."""

    path: Path
    columns: Mapping[str, Column]
    rows: Sequence[tuple[int, list[str]]]

    def text(self, row: tuple[int, list[str]], name: str) -> str:
        """What a row says in a column; nothing where it ends before."""
        place = self.columns[name].place
        return row[1][place].strip() if place < len(row[1]) else ""

    def number(self, row: tuple[int, list[str]], name: str, text: str | None = None) -> float:
        """A number in SI units."""
        text = self.text(row, name) if text is None else text
        try:
            number = _checks.real(name, float(text))
        except ValueError:
            raise StoredFileError(
                f"{self.path}, line {row[0]}: {name} must be a number, with its unit in the header, got {text!r}"
            ) from None
        unit = self.columns[name].unit
        if name == "temperature":
            kelvin = number + _TEMPERATURES[unit]
            if kelvin <= 0:
                raise StoredFileError(
                    f"{self.path}, line {row[0]}: temperature must be above 0 K, got {number:g} {unit}"
                    + (": is it in C?" if unit == "K" else "")
                )
            return kelvin
        if number < 0:
            raise StoredFileError(f"{self.path}, line {row[0]}: {name} must be at least 0, got {text!r}")
        if name in _COUNTS and not number.is_integer():
            raise StoredFileError(
                f"{self.path}, line {row[0]}: {name} must be a whole number, a count and no share, got {text!r}"
            )
        return number * _TIMES.get(unit, 1.0)

    def chip(self, row: tuple[int, list[str]]) -> str:
        """Name of the chip of a row, empty if no column says."""
        return self.text(row, "chip") if "chip" in self.columns else ""

    def chips(self) -> list[int]:
        """Number of the chip of each row."""
        names = [self.chip(row) for row in self.rows]
        numbers = {name: number for number, name in enumerate(sorted(set(names)))}
        return [numbers[name] for name in names]

    def counts(self) -> list[float]:
        """Cells of each row, 1 if no column says."""
        return [self.number(row, "cells") if "cells" in self.columns else 1.0 for row in self.rows]

    def temperatures(self) -> list[float]:
        """K of each row."""
        return [self.number(row, "temperature") for row in self.rows]


def read_table(path: Path) -> UnitTable:
    """A CSV file with a header; lines that begin with # are skipped.

    Raises:
        StoredFileError: if it cannot be read, a row has more fields than the header, or a unit is missing, unknown or
            not the same for all times.
    """
    try:
        text = _files.read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StoredFileError(f"{path} is not a text in UTF-8: {error}") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    rows = [(number, _fields(path, number, line)) for number, line in lines]
    if len(rows) < 2:
        raise StoredFileError(f"{path} must have a header and at least one row, got {len(rows)} lines")
    header = rows[0][1]
    for number, fields in rows[1:]:
        if any(one.strip() for one in fields[len(header) :]):
            raise StoredFileError(
                f"{path}, line {number}: a row must have at most the {len(header)} fields of the header, got "
                f"{len(fields)}: is a comma meant as the decimal sign?"
            )
    return UnitTable(path, _columns(path, header), rows[1:])


def _fields(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise StoredFileError(f"{path}, line {number}: each row must be one line of CSV: {error}") from error


def _columns(path: Path, header: Sequence[str]) -> dict[str, Column]:
    """Columns by name; units of times and temperatures are needed, known, and the same for all times."""
    columns = {}
    for place, text in enumerate(header):
        found = _HEADER.match(text.strip())
        name = (found["name"] if found else text).strip().lower()
        unit = found["unit"].strip() if found else ""
        known = _TIMES if name in _TIME_COLUMNS else _TEMPERATURES if name == "temperature" else {"": 1.0}
        if name not in _COLUMNS and _LIKE_A_COLUMN.search(name):
            raise StoredFileError(
                f"{path}: the header must name what counts by {', '.join(_COLUMNS)}, got {text.strip()!r}: rename that "
                "column, or leave it out"
            )
        if name in _COLUMNS:
            if unit not in known:
                wanted = f"a unit in brackets, one of {', '.join(known)}" if known != {"": 1.0} else "no unit"
                raise StoredFileError(f"{path}: the header of column {name!r} must have {wanted}, got {text.strip()!r}")
            if name in columns:
                raise StoredFileError(f"{path}: the header must have {name!r} once, got it twice")
            columns[name] = Column(place, unit)
    units = {column.unit for name, column in columns.items() if name in _TIME_COLUMNS}
    if len(units) > 1:
        raise StoredFileError(f"{path}: all times must have one unit, got {' and '.join(sorted(units))}")
    return columns
