"""The exported network: as stored or as read once with errors, and traced for any number of samples."""

import functools
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from qtaml.errors import ArgumentError, ModelError
from qtaml.faults import FaultModel
from qtaml.memory import Memory
from qtaml.model import Batch, arguments, evaluation_mode, first_tensor, output_tensor, own, uncompiled
from qtaml.networks.file_network import FileNetwork


def network_as_read(memory: Memory, seed: int | None, fault: FaultModel | None) -> nn.Module:
    """The network of a memory: as stored, or with a seed as read once with errors.

    Args:
        memory: the stored network.
        seed: the same seed gives the same errors; None for the weights that are stored, without errors.
        fault: how the memory fails, with a seed; the plan's own fault model if not given.

    Returns:
        A copy of the model in evaluation mode, not compiled, on the CPU: files name no device of this machine.

    Raises:
        ArgumentError: if there is a fault model but no seed.
        ModelError: if the model cannot be copied.
    """
    check_seed(seed, fault)
    return uncompiled(memory.model(seed=seed, fault=fault)).cpu()


def check_seed(seed: int | None, fault: FaultModel | None) -> None:
    """Raise `ArgumentError` if there is a fault model but no seed."""
    if seed is None and fault is not None:
        raise ArgumentError(f"seed must be given with a fault model, got seed None and {fault}")


def check_used(memory: Memory, model: nn.Module, inputs: Batch) -> None:
    """Check that what is exported computes with the weights that were read, as `evaluate` checks it.

    Args:
        memory: the stored network.
        model: what `network_as_read` returned.
        inputs: a batch of one or more samples.

    Raises:
        ArgumentError: if the inputs are no batch, or hold no sample.
        ModelError: if the model fails on the inputs, or computes with numbers kept elsewhere.
    """
    batch = _two_samples(inputs)
    with evaluation_mode(own(model)), torch.no_grad():
        # Its errors say what is wrong with the inputs.
        output_tensor(model, batch)
    memory.unread_on(model, *arguments(batch, model))


def traced(model: nn.Module, inputs: Batch) -> ExportedProgram:
    """Trace a network by `torch.export` for any number of samples and one output, that of `first_tensor`.

    Args:
        model: a copy that no one else uses, as `network_as_read` returns; its `forward` is replaced.
        inputs: a batch of one or more samples. Two are traced; none stays in the program.

    Returns:
        The program, with the tensor names of the model.

    Raises:
        ArgumentError: if the inputs are no batch, or hold no sample.
        ModelError: if the model fails on the inputs, or cannot be traced for batches of any size.
    """
    if isinstance(model, FileNetwork):
        suffix = model.graph.path.suffix
        raise ModelError(
            f"a network of a {suffix} file cannot be traced: write {suffix}, or its weights as .safetensors"
        )
    two = _two_samples(inputs)
    args, kwargs = arguments(two, model)
    forward = model.forward

    # Wrapped, because torch.export names the inputs of the program after the arguments of `forward`.
    @functools.wraps(forward)
    def only_what_counts(*args: Any, **kwargs: Any) -> torch.Tensor:
        return first_tensor(forward(*args, **kwargs))

    shapes = {name: _any_samples(value) for name, value in kwargs.items()} or tuple(map(_any_samples, args))
    with evaluation_mode(own(model)), torch.no_grad(), quiet():
        # One plain pass first: its errors say what is wrong with the inputs, those of the tracer do not.
        output_tensor(model, two)
        # Replaced here, not by a module around the model, which would put a prefix on the names of all tensors.
        model.forward = only_what_counts
        try:
            program = torch.export.export(model, args, kwargs, dynamic_shapes=shapes)
        except TimeoutError:
            raise
        except Exception as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), "")
            raise ModelError(
                f"the model cannot be traced for batches of any size ({type(error).__name__}: {reason}); "
                "write its state dict, as .safetensors, instead"
            ) from error
    # Otherwise the file carries samples of the user's data.
    program.example_inputs = None
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, fx.GraphModule) else ():
            # Paths of this machine, and addresses in memory, which differ from one export to the next: the same read is
            # the same file, byte for byte.
            node.meta.pop("stack_trace", None)
            node.meta.pop("from_node", None)
    return program


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logs of torch's exporters: failures are exceptions, and the rest is no concern of a user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _two_samples(batch: Batch) -> Batch:
    """The first two samples, or the only one twice."""

    # Torch takes sizes of 0 and 1 for constants: traced with one sample, a program would take one sample only.
    def two(value: Any) -> Any:
        if not _has_samples(value):
            return value
        if not len(value):
            raise ArgumentError(f"inputs must hold at least one sample, got shape {tuple(value.shape)}")
        return torch.cat([value, value]) if len(value) == 1 else value[:2]

    if isinstance(batch, Mapping):
        return {name: two(value) for name, value in batch.items()}
    return tuple(map(two, batch)) if isinstance(batch, tuple | list) else cast(Batch, two(batch))


def _any_samples(value: Any) -> Mapping[int, Dim] | None:
    return {0: Dim.DYNAMIC} if _has_samples(value) else None


def _has_samples(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0
