"""`qtaml export`: a stored network in the files of other programs."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import typer

from qtaml import _checks
from qtaml.cli.inputs import load_data
from qtaml.cli.options import LengthOption, StoredArgument, StoredModelOption, WordBitsOption
from qtaml.cli.stored import load_stored, named
from qtaml.errors import ArgumentError
from qtaml.export import (
    ImagePlane,
    ImageWriter,
    write_binary,
    write_onnx,
    write_program,
    write_same_file,
    write_state_dict,
    write_verilog,
)
from qtaml.memory import Artifact, Memory, read_artifact, words_as_read
from qtaml.model import Batch


@dataclass(frozen=True)
class Export:
    """An export: the stored network, the file to write, and the options.

    Attributes:
        stored: folder of the stored network.
        out: the file to write.
        model: the network as the command line names it; None if it does not, as images do not need it.
        data: file with inputs.
        length: tokens of a sample, where the data are a text.
        seed: None for the weights as stored; with a seed, as read once with errors.
        word_bits: width of a word of a memory image.
    """

    stored: Path
    out: Path
    model: str | None
    data: Path | None
    length: int
    seed: int | None
    word_bits: int

    # Read once: another process may replace the stored network between two readings.
    @cached_property
    def artifact(self) -> Artifact:
        """What the folder of the stored network holds."""
        return read_artifact(self.stored)

    def memory(self) -> Memory:
        """The stored network."""
        return load_stored(self.artifact, self.model, None)[0]

    def inputs(self) -> Batch:
        """Inputs to trace the network with."""
        if self.data is None:
            raise ArgumentError(f"--data must name a file with inputs of the network for {self.out.suffix}, got none")
        return load_data(self.data, named(self.model, self.artifact), self.length)[0]


def _write_onnx(export: Export) -> list[ImagePlane]:
    # What came from an ONNX file is not traced.
    inputs = None if (export.model or "").endswith(".onnx") else export.inputs()
    write_onnx(export.memory(), export.out, inputs, seed=export.seed)
    return []


def _write_same(export: Export) -> list[ImagePlane]:
    write_same_file(export.memory(), export.out, seed=export.seed)
    return []


def _write_program(export: Export) -> list[ImagePlane]:
    inputs = export.inputs()
    write_program(export.memory(), export.out, inputs, seed=export.seed)
    return []


def _write_state_dict(export: Export) -> list[ImagePlane]:
    write_state_dict(export.memory(), export.out, seed=export.seed)
    return []


def _write_image(write: ImageWriter, export: Export) -> list[ImagePlane]:
    artifact = export.artifact
    if export.seed is not None:
        artifact = artifact.with_words(words_as_read(artifact, seed=export.seed))
    return write(artifact, export.out, word_bits=export.word_bits)


IMAGES: dict[str, ImageWriter] = {".bin": write_binary, ".mem": write_verilog}
"""The writer of a memory image, by the suffix of the file."""

WRITERS: dict[str, Callable[[Export], list[ImagePlane]]] = {
    ".onnx": _write_onnx,
    ".tflite": _write_same,
    ".pt2": _write_program,
    ".safetensors": _write_state_dict,
    **{suffix: partial(_write_image, write) for suffix, write in IMAGES.items()},
}
"""The writer of a file, by its suffix. It returns the bit planes of an image; none for other files."""


def export_command(
    stored: StoredArgument,
    out: Annotated[
        Path,
        typer.Argument(
            help="The file: .onnx; .tflite, of a network that came from one; .pt2, a program of torch.export; "
            ".safetensors, a state dict; .bin, a raw memory image; .mem, one for Verilog's $readmemh."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Inputs to trace the network with, for .pt2 and .onnx: .npz, .safetensors, or text; a network that "
            "came from an ONNX file is not traced."
        ),
    ] = None,
    model: StoredModelOption = None,
    length: LengthOption = 128,
    seed: Annotated[
        int | None, typer.Option(help="Write what is read once with errors; without a seed, what is stored.", min=0)
    ] = None,
    word_bits: WordBitsOption = 32,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as JSON; of an image, where each bit plane lies.")
    ] = False,
) -> None:
    """Write a stored network as other programs read it."""
    write = WRITERS[_checks.one_of("suffix of OUT", out.suffix, WRITERS)]
    export = Export(stored, out, model, data, length, seed, word_bits)
    _check_overwrites_no_source(export)
    # The check stands before this: a file that is read must not be replaced.
    planes = write(export)
    words = sum(plane.words for plane in planes)
    if as_json:
        image = (
            {"word_bits": word_bits, "words": words, "planes": [asdict(plane) for plane in planes]} if planes else {}
        )
        typer.echo(json.dumps({"out": str(out), "seed": seed, **image}, indent=2))
        return
    typer.echo(f"network as {'stored' if seed is None else f'read with seed {seed}'}: {out}")
    if planes:
        typer.echo(f"{words:,} words of {word_bits} bits")


def _check_overwrites_no_source(export: Export) -> None:
    """Check that the file is none of those that the network and its inputs are loaded from.

    Raises:
        ArgumentError: if it is.
    """
    out, artifact = export.out.resolve(), export.artifact
    # Sources that the stored network names count as well: to load it again needs them.
    for source in (export.stored, export.model, export.data, artifact.source, artifact.weights):
        if source and "\0" not in str(source) and (own := Path(source).resolve()) in (out, *out.parents):
            raise ArgumentError(f"OUT must lie outside {own}, which is read, got {export.out}")
