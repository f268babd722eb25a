"""`qtaml export`: a stored network in the files of other programs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from qtaml import _checks
from qtaml.cli.inputs import load_data, load_model, stored_spec
from qtaml.cli.options import LengthOption
from qtaml.errors import ArgumentError
from qtaml.export import write_onnx, write_program, write_state_dict
from qtaml.memory import Memory, load, read_manifest
from qtaml.model import Batch


@dataclass(frozen=True)
class Export:
    """What is to be exported, and where to.

    Attributes:
        stored: folder of the stored network.
        out: the file to write.
        model: the network as the command line names it; None where the stored network says it.
        data: file with inputs.
        length: tokens of a sample, where the data are a text.
        seed: None for the weights as stored; with a seed, as read once with errors.
    """

    stored: Path
    out: Path
    model: str | None
    data: Path | None
    length: int
    seed: int | None

    @property
    def spec(self) -> str:
        """What to load as the network."""
        return stored_spec(self.model, read_manifest(self.stored).source)

    def memory(self) -> Memory:
        """The stored network."""
        return load(self.stored, load_model(self.spec))

    def inputs(self) -> Batch:
        """Inputs to trace the network with."""
        if self.data is None:
            raise ArgumentError(f"--data must name a file with inputs of the network for {self.out.suffix}, got none")
        return load_data(self.data, self.spec, self.length)[0]


def _write_onnx(export: Export) -> None:
    inputs = export.inputs()
    write_onnx(export.memory(), export.out, inputs, seed=export.seed)


def _write_program(export: Export) -> None:
    inputs = export.inputs()
    write_program(export.memory(), export.out, inputs, seed=export.seed)


def _write_state_dict(export: Export) -> None:
    write_state_dict(export.memory(), export.out, seed=export.seed)


WRITERS: dict[str, Callable[[Export], None]] = {
    ".onnx": _write_onnx,
    ".pt2": _write_program,
    ".safetensors": _write_state_dict,
}
"""What writes a file, by its suffix."""


def export_command(
    stored: Annotated[Path, typer.Argument(help="Folder that `qtaml compensate` or `qtaml design` wrote.")],
    out: Annotated[
        Path,
        typer.Argument(help="The file: .onnx; .pt2, a program of torch.export; .safetensors, a state dict."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Inputs to trace the network with, for .onnx and .pt2: .npz, .safetensors, or text."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The network: needed if it came from a factory, or was moved.")
    ] = None,
    length: LengthOption = 128,
    seed: Annotated[
        int | None, typer.Option(help="Write what is read once with errors; without a seed, what is stored.", min=0)
    ] = None,
) -> None:
    """Write a stored network as other programs read it."""
    write = WRITERS[_checks.one_of("suffix of OUT", out.suffix, WRITERS)]
    export = Export(stored, out, model, data, length, seed)
    _check_overwrites_no_source(export)
    write(export)
    typer.echo(f"network as {'stored' if seed is None else f'read with seed {seed}'}: {out}")


def _check_overwrites_no_source(export: Export) -> None:
    """Check that the file is none of those that the network is loaded from.

    Raises:
        ArgumentError: if it is.
    """
    out = export.out.resolve()
    for source in (export.stored, export.model, read_manifest(export.stored).source):
        if source and (own := Path(source).resolve()) in (out, *out.parents):
            raise ArgumentError(f"OUT must lie outside {own}, which the network is loaded from, got {export.out}")
