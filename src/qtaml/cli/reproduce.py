"""`qtaml reproduce`: a table or figure of the paper from one command."""

from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console

from qtaml import _checks, _files
from qtaml.cli.options import JsonOption, SeedOption
from qtaml.experiments import error_law, methods
from qtaml.report import save_figure

RESULTS: dict[str, ModuleType] = {"figure1": error_law, "figure8": methods}
"""What can be reproduced: modules with `compute(seed=...)`, `table` and `draw`."""


def reproduce_command(
    name: Annotated[str, typer.Argument(help=f"What to reproduce: {', '.join(RESULTS)}.")],
    out: Annotated[Path, typer.Option(help="Folder for the numbers and the picture.")] = Path("results"),
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compute a table or figure of the paper anew: numbers as JSON, a picture, and a table."""
    experiment = RESULTS[_checks.one_of("name", name, RESULTS)]
    result = experiment.compute(seed=seed)
    _files.write_text(out / f"{name}.json", result.to_json())
    picture = save_figure(experiment.draw(result), out / f"{name}.png")
    if as_json:
        typer.echo(result.to_json(), nl=False)
        return
    Console().print(experiment.table(result))
    typer.echo(f"picture: {picture}\nnumbers: {out / f'{name}.json'}")
