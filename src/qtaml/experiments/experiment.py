"""What an experiment is: rows of numbers, and how they are shown."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pydantic
from rich.table import Table

from qtaml import _files
from qtaml.experiments.laboratory import Laboratory, Manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = TypeVar("Row")


@dataclass(frozen=True)
class Experiment(Generic[Row]):
    """A table or figure of the paper.

    Attributes:
        title: what it shows.
        compute: the rows, flat records with the interval of each estimate beside it, from a laboratory.
        table: the rows as a table.
        draw: the rows as a picture; None for a table only.
    """

    title: str
    compute: Callable[[Laboratory], tuple[Row, ...]]
    table: Callable[[Sequence[Row]], Table]
    draw: "Callable[[Sequence[Row]], Figure] | None" = None


def result_json(title: str, rows: Sequence[Any], manifest: Manifest) -> str:
    """A result as it is kept: title, rows and manifest as a JSON object."""
    record = {"title": title, "rows": [_plain(row) for row in rows], "manifest": _plain(manifest)}
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def save_result(path: Path, title: str, rows: Sequence[Any], manifest: Manifest) -> None:
    """Write a result, atomically.

    Raises:
        StoredFileError: if it cannot be written.
    """
    _files.write_text(path, result_json(title, rows, manifest))


def _plain(record: Any) -> Any:
    return pydantic.TypeAdapter[Any](type(record)).dump_python(record, mode="json")
