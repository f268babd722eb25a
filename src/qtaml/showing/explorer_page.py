"""The explorer of many results: any two numbers of them, filtered, as one HTML page."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qtaml import _files
from qtaml.errors import ArgumentError
from qtaml.showing.page import page, page_path, short

# What is looked for first on each axis, by name: the cost across, what it buys upwards.
_ACROSS = ("cells", "spent", "area", "power", "overhead", "p")
_UPWARDS = ("accuracy", "mean", "perplexity", "predicted_error")
_LESS_IS_BETTER = ("perplexity", "error", "area", "power", "energy", "cells", "overhead", "spent", "lost", "seconds")


def explorer_page(rows: Sequence[Mapping[str, Any]], title: str, *, source: str = "") -> str:
    """An explorer as HTML text: one file, which loads nothing and sends nothing.

    Args:
        rows: results, each a mapping from names to numbers, texts, truth values or None; x, x_low and x_high are a
            number with its interval.
        title: what they are.
        source: where they come from.

    Raises:
        ArgumentError: if there is no row, or fewer than two numbers in them.

    Example:
        >>> text = explorer_page([{"cells": 0.3, "accuracy": 0.95}, {"cells": 1.0, "accuracy": 0.99}], "two plans")
        >>> text.startswith("<!doctype html>")
        True
    """
    columns = [
        _column(name, [row.get(name) for row in rows]) for name in dict.fromkeys(key for row in rows for key in row)
    ]
    names = {column["name"] for column in columns}
    for column in columns:
        stem, _, end = column["name"].rpartition("_")
        column["end"] = end in ("low", "high") and stem in names
    numbers = [column["name"] for column in columns if column["number"] and not column["end"]]
    if len(numbers) < 2:
        raise ArgumentError(f"rows must have at least two numbers to be drawn over each other, got {numbers}")
    x = next((name for name in _ACROSS if name in numbers), numbers[0])
    y = next((name for name in _UPWARDS if name in numbers and name != x), next(name for name in numbers if name != x))
    data = {
        "title": title,
        "source": source or title,
        "rows": len(rows),
        "columns": columns,
        "x": x,
        "y": y,
        "low_x": True,
        "low_y": any(word in y for word in _LESS_IS_BETTER),
    }
    return page("explorer", f"{title} - qtaml", f"{title}: {len(rows)} rows.", data)


def save_explorer(rows: Sequence[Mapping[str, Any]], title: str, path: str | Path, *, source: str = "") -> Path:
    """Write an explorer, by an atomic rename; arguments and errors as for `explorer_page`.

    Raises:
        StoredFileError: if it cannot be written, or does not end in .html.
    """
    path = page_path(path)
    _files.write_text(path, explorer_page(rows, title, source=source))
    return path


def _column(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """One column: numbers as they are, texts by their place in a list of those that occur."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        finite = [None if value is None or not math.isfinite(value) else short(value) for value in values]
        return {"name": name, "number": True, "values": finite}
    texts = [None if value is None else value if isinstance(value, str) else str(value) for value in values]
    places = {text: place for place, text in enumerate(dict.fromkeys(text for text in texts if text is not None))}
    codes = [-1 if text is None else places[text] for text in texts]
    return {"name": name, "number": False, "values": codes, "known": list(places)}
