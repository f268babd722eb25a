"""A stored network in files: its state dict, a program of `torch.export`, or the very file that it came from."""

import io
from pathlib import Path

import safetensors.torch
import torch

from qtaml import _files
from qtaml.errors import ModelError
from qtaml.export.reading import check_seed, check_used, network_as_read, traced
from qtaml.faults import FaultModel
from qtaml.memory import Memory
from qtaml.model import Batch, uncompiled_name
from qtaml.networks.file_network import FileNetwork


def write_state_dict(
    memory: Memory, path: str | Path, *, seed: int | None = None, fault: FaultModel | None = None
) -> None:
    """Write the state dict of a stored network as safetensors, by an atomic rename.

    Tied weights are written under each of their names, as `model.load_state_dict` wants them; transformers takes them
    too.

    Args:
        memory: the stored network.
        path: the file; an older one is replaced.
        seed: None for the weights as stored; with a seed, as read once with errors.
        fault: how the memory fails, with a seed; the plan's own fault model if not given.

    Raises:
        ArgumentError: if there is a fault model but no seed.
        ModelError: if the state dict holds something that is no dense tensor.
        StoredFileError: if the file cannot be written.

    Example:
        >>> import tempfile, qtaml
        >>> model = torch.nn.Linear(4, 2)
        >>> memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_state_dict(memory, f"{folder}/model.safetensors")
        ...     model.load_state_dict(safetensors.torch.load_file(f"{folder}/model.safetensors"))
        <All keys matched successfully>
    """
    check_seed(seed, fault)
    with _files.new_file(path) as temporary:
        tensors = {}
        for name, tensor in memory.state_dict(seed=seed, fault=fault).items():
            if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
                raise ModelError(f"the state dict must hold dense tensors only, got other content under {name!r}")
            # Copies, since safetensors refuses tensors that share memory.
            tensors[uncompiled_name(name)] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        # transformers refuses files without this entry.
        safetensors.torch.save_file(tensors, temporary, metadata={"format": "pt"})


def write_program(
    memory: Memory,
    path: str | Path,
    inputs: Batch,
    *,
    seed: int | None = None,
    fault: FaultModel | None = None,
) -> None:
    """Write a stored network as a program of `torch.export` for any number of samples, by an atomic rename.

    Args:
        memory: the stored network.
        path: the file, whose name should end in `.pt2`; an older one is replaced.
        inputs: a batch to trace with; the shapes of its samples are those of the program.
        seed: None for the weights as stored; with a seed, as read once with errors.
        fault: how the memory fails, with a seed; the plan's own fault model if not given.

    Raises:
        ArgumentError: if the inputs are no batch, or there is a fault model but no seed.
        ModelError: if the model fails on the inputs, does not compute with what is read, or cannot be traced for
            batches of any size.
        StoredFileError: if the file cannot be written.
    """
    with _files.new_file(path) as temporary:
        model = network_as_read(memory, seed, fault)
        check_used(memory, model, inputs)
        program = traced(model, inputs)
        # To memory first: on a full disk torch's own writer ends the process instead of raising.
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        temporary.write_bytes(buffer.getbuffer())


def write_same_file(
    memory: Memory, path: str | Path, *, seed: int | None = None, fault: FaultModel | None = None
) -> None:
    """Write a stored network that came from an ONNX or TFLite file as that file, by an atomic rename.

    Args:
        memory: the stored network.
        path: the file, with the suffix of the one that it came from; an older one is replaced.
        seed: None for the weights as stored; with a seed, as read once with errors.
        fault: how the memory fails, with a seed; the plan's own fault model if not given.

    Raises:
        ArgumentError: if there is a fault model but no seed.
        ModelError: if the network came from no such file, or from one of another kind.
        StoredFileError: if the file cannot be written.
    """
    check_seed(seed, fault)
    model = network_as_read(memory, seed, fault)
    if not isinstance(model, FileNetwork):
        raise ModelError(f"the network must be that of an ONNX or TFLite file to be written as one, got {path}")
    if (suffix := model.graph.path.suffix) != Path(path).suffix:
        raise ModelError(f"a network of a {suffix} file is written as one, got {path}")
    with _files.new_file(path) as temporary:
        temporary.write_bytes(model.to_bytes())
