"""One HTML file that holds everything it needs: style, code and data."""

import base64
import gzip
import hashlib
import html
import json
import math
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from qtaml.errors import StoredFileError

Kind = Literal["report", "explorer"]
_CODE = ("vendor/d3-7.9.0.min.js", "vendor/plot-0.6.17.umd.min.js", "common.js", "virtual_table.js")
_OWN: dict[Kind, tuple[str, ...]] = {
    "report": ("report_view.js", "report_pictures.js", "report_tensors.js", "report.js"),
    "explorer": ("explorer.js",),
}
_PLACE = re.compile(r"<!-- put (\w+) -->")


def page(kind: Kind, title: str, lead: str, data: Any) -> str:
    """A page as HTML text.

    Data are packed: JSON, gzip, base64. So no name in them can be markup, and 100,000 rows fit into a megabyte. The
    page's own policy forbids every request, and every script but those that stand here.

    Args:
        kind: which page.
        title: of the window, as text.
        lead: what is read where no script runs, as text.
        data: what its script takes, as JSON can hold it.

    Example:
        >>> text = page("explorer", "<b>", "", {})
        >>> "<title>&lt;b&gt;</title>" in text
        True
    """
    scripts = [_source(name) for name in (*_CODE, *_OWN[kind])]
    parts = {
        "policy": _policy(scripts),
        "title": html.escape(title),
        "lead": html.escape(lead),
        "style": _source("style.css"),
        "body": _source(f"{kind}.html"),
        "data": packed(data),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    # What is put in is never looked through again.
    template = _PLACE.split(_source("page.html"))
    return "".join(parts[part] if number % 2 else part for number, part in enumerate(template))


def page_path(path: str | Path) -> Path:
    """The path of a page, checked before minutes of measuring.

    Raises:
        StoredFileError: if its name does not end in .html, or something else than a regular file is there.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise StoredFileError(f"cannot write {path}: a page must end in .html")
    if path.exists() and not path.is_file():
        raise StoredFileError(f"cannot write {path}: it is not a regular file")
    return path


def packed(data: Any) -> str:
    """Data as the pages unpack them; the same data always give the same text."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    # Replaced: file names that are no text have lone surrogates, which UTF-8 cannot hold.
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), mtime=0)).decode()


def short(number: float | None) -> float | int | None:
    """A number to five digits, as pages show it; None for one that JSON cannot hold.

    Example:
        >>> short(0.123456789), short(12345.678), short(float("inf"))
        (0.12346, 12346, None)
    """
    if number is None or not math.isfinite(number):
        return None
    rounded = float(f"{number:.5g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _policy(scripts: list[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


@cache
def _source(name: str) -> str:
    return (files("qtaml.showing") / "web" / name).read_text("utf-8")
