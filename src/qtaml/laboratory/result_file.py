"""Results on disk: rows of numbers with how they came to be."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from qtaml import _files
from qtaml.laboratory.laboratory import Manifest


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
