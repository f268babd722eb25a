"""Results on disk: rows of numbers with their manifest.

On disk rows are flat: an estimate x is written as x, x_low and x_high.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pydantic

from qtaml import _files
from qtaml.errors import ArgumentError
from qtaml.laboratory.laboratory import Manifest
from qtaml.measuring import Estimate

_ENDS = {"value": "", "low": "_low", "high": "_high"}


def result_json(title: str, rows: Sequence[Any], manifest: Manifest) -> str:
    """A result as it is written: title, flat rows and manifest as a JSON object."""
    for row in rows:
        if not is_dataclass(row):
            raise ArgumentError(f"rows must be records, got {row!r}")
    record = {"title": title, "rows": [flat_row(row) for row in rows], "manifest": _plain(manifest)}
    # NaN and infinity are not JSON: other programs would refuse the whole file.
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def save_result(path: Path, title: str, rows: Sequence[Any], manifest: Manifest) -> None:
    """Write a result, atomically.

    Raises:
        StoredFileError: if it cannot be written.
    """
    _files.write_text(path, result_json(title, rows, manifest))


def read_results(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Title and flat rows of a result that `save_result` wrote.

    Raises:
        StoredFileError: if the file cannot be read, or holds no result.
    """
    found = _files.from_json(_Result, _files.read_bytes(path), str(path))
    return found.title, found.rows


@dataclass(frozen=True)
class _Result:
    """What is read of a result file."""

    title: str
    rows: list[dict[str, Any]]


def flat_row(row: Any) -> dict[str, Any]:
    """Fields of a row as they are written: an estimate x as x, x_low and x_high, None for each where there is none.

    What the intervals cover is not written: the experiment says it.

    Args:
        row: a record whose estimates are fields of type `Estimate` or `Estimate | None`.
    """
    # By the declared type: None alone does not say whether it stands for an estimate or for a number.
    kinds = get_type_hints(type(row))
    flat: dict[str, Any] = {}
    for name, kept in _plain(row).items():
        if kinds[name] in (Estimate, Estimate | None):
            flat |= {f"{name}{end}": None if kept is None else kept[part] for part, end in _ENDS.items()}
        else:
            flat[name] = kept
    return flat


def nested_row(flat: Mapping[str, Any], covers: str) -> dict[str, Any]:
    """Fields of a row from those that `flat_row` made.

    Args:
        flat: names and values, as they are written.
        covers: what the intervals cover.

    Example:
        >>> nested_row({"p": 0.1, "x": 2.0, "x_low": 1.0, "x_high": 3.0}, "reads")
        {'p': 0.1, 'x': Estimate(value=2.0, low=1.0, high=3.0, covers='reads', caution='')}
    """
    estimates = {name for name in flat if f"{name}_low" in flat}
    ends = {f"{name}{end}" for name in estimates for end in ("_low", "_high")}
    return {
        name: value if name not in estimates or value is None else _estimate(flat, name, covers)
        for name, value in flat.items()
        if name not in ends
    }


def _estimate(flat: Mapping[str, Any], name: str, covers: str) -> Estimate:
    return Estimate(flat[name], flat[f"{name}_low"], flat[f"{name}_high"], covers)


def _plain(record: Any) -> Any:
    return pydantic.TypeAdapter[Any](type(record)).dump_python(record, mode="json")
