"""A stored network as ONNX, for other runtimes and compilers."""

import importlib
from pathlib import Path

import torch
from torch.export import ExportedProgram

from qtaml import _files
from qtaml.errors import ArgumentError, ModelError, QtamlError
from qtaml.export.reading import check_used, network_as_read, quiet, traced
from qtaml.faults import FaultModel
from qtaml.memory import Memory
from qtaml.model import Batch, named_tensors
from qtaml.networks import OnnxNetwork

# Protocol buffers, in which ONNX files are written, end at 2 GiB. Above this many bytes torch writes the weights to a
# second file, which an atomic rename does not cover.
MOST_BYTES = 3 * 2**29
"""Bytes of weights that a single ONNX file holds: 1.5 GiB."""


def write_onnx(
    memory: Memory,
    path: str | Path,
    inputs: Batch | None = None,
    *,
    seed: int | None = None,
    fault: FaultModel | None = None,
) -> None:
    """Write a stored network as one ONNX file for any number of samples, by an atomic rename.

    A network that came from an ONNX file goes out as that file with other weights. Of all others the inputs have the
    names of the arguments of the model, the output is named "output"; its numbers are those of
    PyTorch to rounding.

    Args:
        memory: the stored network.
        path: the file; an older one is replaced.
        inputs: a batch to trace with; the shapes of its samples are those of the network. A network that came from an
            ONNX file is not traced, and needs none.
        seed: None for the weights as stored; with a seed, as read once with errors.
        fault: how the memory fails, with a seed; the plan's own fault model if not given.

    Raises:
        ArgumentError: if the inputs are missing or no batch, or there is a fault model but no seed.
        ModelError: if the model fails on the inputs, does not compute with what is read, cannot be traced for batches
            of any size, has an operation that ONNX lacks, or is larger than what one file holds.
        StoredFileError: if the file cannot be written.
        QtamlError: if the packages that it needs are not installed.
    """
    try:
        importlib.import_module("onnxscript")
    except ImportError as error:
        raise QtamlError(f"an ONNX file needs onnx and onnxscript ({error}): pip install 'qtaml[onnx]'") from error
    with _files.new_file(path) as temporary:
        model = network_as_read(memory, seed, fault)
        if isinstance(model, OnnxNetwork):
            temporary.write_bytes(model.to_bytes())
            return
        if inputs is None:
            raise ArgumentError("inputs must be given to trace the network with, got None")
        # Tied weights once, as in the file; and checked before tracing, which takes far longer.
        size = sum({id(tensor): tensor.nbytes for tensor in named_tensors(model).values()}.values())
        if size > MOST_BYTES:
            raise ModelError(
                f"the weights must have at most {MOST_BYTES} bytes for one ONNX file, got {size}; write a .pt2 instead"
            )
        check_used(memory, model, inputs)
        program = traced(model, inputs)
        _converted(program).save(temporary, external_data=False)


def _converted(program: ExportedProgram) -> torch.onnx.ONNXProgram:
    """A traced program as ONNX; `ModelError` says what cannot be written."""
    try:
        with quiet():
            converted = torch.onnx.export(program, dynamo=True, verbose=False, output_names=["output"])
    except TimeoutError:
        raise
    except Exception as error:
        cause: BaseException = error
        # Torch wraps the reason, such as an operation without ONNX counterpart, in requests to report it.
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = next((line for line in str(cause).splitlines() if line.strip()), "")
        raise ModelError(f"the model cannot be written as ONNX ({type(cause).__name__}: {reason})") from error
    assert converted is not None
    return converted
