"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from qtaml.cost import ARRAYS

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A torch.export program (.pt2), an ONNX file (.onnx), a TFLite file (.tflite), a GGUF file (.gguf), "
        "a Hugging Face directory (config.json, model.safetensors), or package.module:factory."
    ),
]
WeightsOption = Annotated[Path | None, typer.Option(help="State dict of the network, as .safetensors (for a factory).")]
CalibrationOption = Annotated[
    Path,
    typer.Option(help="Inputs, unlabelled, as .npz, .safetensors, or text; a few dozen samples are enough."),
]
LengthOption = Annotated[int, typer.Option(help="Tokens of a sample, where the data are a text.", min=2)]
FedBackOption = Annotated[
    Path | None,
    typer.Option("--calibration", help="The calibration inputs, where the plan feeds rounding errors back."),
]
SamplesOption = Annotated[int, typer.Option(help="Use the first so many calibration samples.", min=1)]
FlipProbabilityOption = Annotated[float, typer.Option("--p", help="Flip probability of a cell, in [0, 0.5).")]
OutOption = Annotated[Path, typer.Option(help="Folder for the stored network.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
SeedOption = Annotated[int, typer.Option(help="Seed: the same seed gives the same result.", min=0)]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Measure on this Ray cluster, whose machines all see the folder; 'local' starts one. Needs qtaml[ray].",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Parallel processes; one for each processor if not given.", min=1)
]
StoredArgument = Annotated[Path, typer.Argument(help="Folder that `qtaml compensate` or `qtaml design` wrote.")]
StoredModelOption = Annotated[
    str | None,
    typer.Option("--model", help="The network that was stored. It has to be named: to load it can run code."),
]
ArrayOption = Annotated[
    str,
    typer.Option(help=f"Array of the cells: {', '.join(dict.fromkeys(one.name for one in ARRAYS))}, or of --numbers."),
]
NodeOption = Annotated[float | None, typer.Option(help="Technology node, nm, where the array has several.")]
ReadsPerSecondOption = Annotated[float, typer.Option(help="Reads of all weights.")]
DecodeOption = Annotated[str, typer.Option(help="every_read, or once at start_up into a --copy.")]
CopyOption = Annotated[str | None, typer.Option(help="Array of the decoded copy, at the same node.")]
NumbersOption = Annotated[Path | None, typer.Option(help="Your own figures of arrays and decoders (.json).")]
WordBitsOption = Annotated[
    int, typer.Option("--word-bits", help="Width of a word of a memory image, in bits, a multiple of 8.", min=8)
]
