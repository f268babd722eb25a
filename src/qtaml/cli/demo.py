"""`qtaml demo`: a digit network stored by several methods at several budgets, as a table and a picture."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qtaml.cli.options import FlipProbabilityOption, JsonOption, SeedOption
from qtaml.errors import QtamlError
from qtaml.laboratory import Laboratory, cells_needed, result_json, save_result
from qtaml.showing import save_figure

# A part of the methods and budgets of the whole study, so that it takes minutes.
DEMO_CELLS = (0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
DEMO_PLAIN_CELLS = (1.0, 1.01, 1.02, 1.03, 1.05, 1.125, 1.25)
DEMO_METHODS = (*cells_needed.PAPERS, "design, table and majority", cells_needed.EVERYTHING)


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder for the picture, the numbers and what they are made of.")] = Path(
        "out/demo"
    ),
    p: FlipProbabilityOption = 0.10,
    trials: Annotated[int, typer.Option(help="Reads of the memory for each point.")] = 30,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a network on handwritten digits, store it in a leaking memory in many ways: a table and a picture."""
    # Before minutes of training, not after them.
    if not all(map(find_spec, ("sklearn", "matplotlib"))):
        raise QtamlError("the demo needs scikit-learn and matplotlib: pip install 'qtaml[digits,plot]'")
    laboratory = Laboratory(out, trials=trials, training_seeds=(seed,), seed=seed)
    rows = cells_needed.compute(
        laboratory, networks=("SmallCNN",), cells=DEMO_CELLS, plain_cells=DEMO_PLAIN_CELLS, methods=DEMO_METHODS, p=p
    )
    manifest = laboratory.manifest()
    save_result(out / "storage.json", cells_needed.TITLE, rows, manifest)
    picture = save_figure(cells_needed.draw(rows), out / "storage.png")
    if as_json:
        typer.echo(result_json(cells_needed.TITLE, rows, manifest), nl=False)
        return
    Console().print(cells_needed.table_over_cells(rows))
    typer.echo(f"picture: {picture}\nnumbers: {out / 'storage.json'}")
