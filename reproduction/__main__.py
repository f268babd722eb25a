"""`python -m reproduction`: tables and figures of the paper from one command."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qtaml import _checks
from qtaml.cli.main import exit_code
from qtaml.cli.options import JsonOption, RayOption, SeedOption
from qtaml.errors import QtamlError
from qtaml.laboratory.laboratory import Laboratory
from qtaml.laboratory.result_file import result_json, save_result
from qtaml.showing import save_figure
from reproduction.catalog import CATALOG, PAPER
from reproduction.report import write_page

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def reproduce(
    names: Annotated[list[str] | None, typer.Argument(help=f"What to reproduce: {', '.join(CATALOG)}.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for numbers and pictures.")] = Path("results"),
    work: Annotated[Path, typer.Option(help="Folder that keeps trained networks and measurements.")] = Path(
        "out/laboratory"
    ),
    trials: Annotated[int, typer.Option(help="Reads of each plan.")] = 30,
    trainings: Annotated[int, typer.Option(help="Networks trained of each kind.", min=1)] = 5,
    workers: Annotated[
        int | None, typer.Option(help="Parallel processes; one for each processor if not given.")
    ] = None,
    ray: RayOption = None,
    seed: SeedOption = 0,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Page to write from the results in the folder: that of the one name given, where it has a "
            "page of its own; else on the paper's claims, from all of them."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute tables and figures of the paper anew: numbers as JSON, pictures, and tables.

    Without a name, all those of the paper.
    An interrupted run goes on where it was, and what is measured already is not measured again.
    """
    console = Console()
    for name in names or PAPER:
        experiment = CATALOG[_checks.one_of("name", name, CATALOG)]
        laboratory = Laboratory(
            work,
            trials=trials,
            training_seeds=range(trainings),
            seed=seed,
            workers=workers,
            ray=ray,
            load=experiment.load,
        )
        rows = experiment.compute(laboratory)
        manifest = laboratory.manifest()
        save_result(out / f"{name}.json", experiment.title, rows, manifest)
        picture = save_figure(experiment.draw(rows), out / f"{name}.png") if experiment.draw else None
        if as_json:
            typer.echo(result_json(experiment.title, rows, manifest), nl=False)
            continue
        console.print(experiment.table(rows))
        typer.echo(f"picture: {picture}\n" * bool(picture) + f"numbers: {out / f'{name}.json'}\n")
    if report:
        write_page(out, report, names or [])
        typer.echo(f"report: {report}", err=as_json)


def main() -> None:
    """Run the command; errors that qtaml raises on purpose become one line and an exit code."""
    try:
        app(prog_name="python -m reproduction")
    except QtamlError as error:
        typer.echo(f"reproduction: {error}", err=True)
        sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
