"""Options that several commands share."""

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
SeedOption = Annotated[int, typer.Option(help="Seed: the same seed gives the same result.", min=0)]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Measure on this Ray cluster, whose machines all see the folder; 'local' starts one. Needs qtaml[ray].",
    ),
]
