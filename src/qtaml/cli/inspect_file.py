"""`qtaml inspect`: what a checkpoint file holds, and what its flipped bits do."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from qtaml.checkpoints import inspect, open_checkpoint
from qtaml.cli.options import JsonOption

FileArgument = Annotated[
    Path, typer.Argument(help="A checkpoint: .gguf, .safetensors, .onnx or .tflite.", metavar="FILE")
]


def inspect_command(
    file: FileArgument,
    bits: Annotated[bool, typer.Option("--bits", help="A line for each bit, not one for each field.")] = False,
    weights: Annotated[int, typer.Option(help="Weights of each tensor that are looked at.", min=1)] = 8192,
    as_json: JsonOption = False,
) -> None:
    """Say what a checkpoint holds: bits of a weight with its scales, and what one flipped bit does."""
    found = inspect(open_checkpoint(file), weights=weights)
    if as_json:
        typer.echo(found.to_json(), nl=False)
        return
    Console().print(found.table(every_bit=bits))
