"""`qtaml explore`: many results on one HTML page, over any two of their numbers."""

from pathlib import Path
from typing import Annotated

import typer

from qtaml.errors import StoredFileError
from qtaml.laboratory import read_results
from qtaml.showing import save_explorer


def explore_command(
    results: Annotated[
        list[Path],
        typer.Argument(help="Result files of a sweep or an exploration (.json), or the folders that hold them."),
    ],
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("explorer.html"),
) -> None:
    """Write one HTML page to look through results: axes, filters, Pareto front, every row. It needs no server."""
    paths = [path for given in results for path in _result_files(given)]
    found = [(path, *read_results(path)) for path in paths]
    several = len(found) > 1
    rows = [row | ({"file": path.name} if several else {}) for path, _, own in found for row in own]
    title = found[0][1] if not several else ", ".join(dict.fromkeys(title for _, title, _ in found))
    save_explorer(rows, title, out, source=", ".join(map(str, paths)))
    typer.echo(f"explorer: {out}, {len(rows):,} rows")


def _result_files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = sorted(given.glob("[!.]*.json"))
    if not found:
        raise StoredFileError(f"{given} holds no result: `qtaml sweep` writes one into its folder")
    return found
