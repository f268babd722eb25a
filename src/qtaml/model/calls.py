"""Running a network on a batch, with other weights where wanted, without changing it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from qtaml.errors import ArgumentError, ModelError
from qtaml.model.weights import aliases

Batch = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
"""Inputs of a model: a tensor, a tuple of positional inputs, or a dictionary of named ones. Samples come first."""


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; every module's own mode, and torch's random state, as before afterwards.

    The flags are set one by one: `eval()` is refused by exported programs and does more than that in some modules.
    """
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module in training:
            module.training = True


def outputs(model: nn.Module, batch: Batch, tensors: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
    """Outputs of the model for each sample of a batch, as a matrix.

    Args:
        model: in evaluation mode; neither parameters nor buffers are changed.
        batch: its inputs.
        tensors: tensors that replace those of the same name (and all tied to them) for this call.

    Returns:
        Floating matrix of shape (samples, outputs): a tensor output as it is, otherwise the output named "logits", or
        the first of a tuple.

    Raises:
        ModelError: if the model fails on the batch, or its output has no such tensor.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            "the model must be an ordinary or exported module; scripted ones cannot be called with other weights"
        )
    parameters = {id(parameter) for parameter in model.parameters()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers() if id(buffer) not in parameters}
    args, kwargs = arguments(batch, model)
    try:
        output = torch.func.functional_call(model, buffers | _with_aliases(model, tensors or {}), args, kwargs)
    except Exception as error:
        raise ModelError(f"the model failed on inputs of {describe(batch)}: {error}") from error
    tensor = _output_tensor(output)
    if not tensor.numel():
        raise ModelError(
            f"the model gives no outputs on inputs of {describe(batch)}; a batch needs at least one sample"
        )
    return tensor.reshape(len(tensor), -1)


def _with_aliases(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The replaced tensors under every name of the tensor that each replaces."""
    if not tensors:
        return {}
    others = aliases(model, list(tensors))
    return {alias: tensor for name, tensor in tensors.items() for alias in (name, *others[name])}


def finite_outputs(model: nn.Module, batch: Batch, tensors: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
    """`outputs`, where NaN or infinity would make what is measured from them meaningless.

    Raises:
        ModelError: if an output is NaN or infinite, or as `outputs`.
    """
    output = outputs(model, batch, tensors)
    if not bool(torch.isfinite(output.detach()).all()):
        raise ModelError(f"the model gives NaN or infinite outputs on inputs of {describe(batch)}")
    return output


def arguments(batch: Batch, model: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named arguments of a call of the model on a batch, moved to the model's device."""
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))

    def move(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_meta and device.type != "meta":
            raise ArgumentError(f"a batch must hold data, got a tensor of {describe(value)} on device meta")
        return value.to(device) if isinstance(value, torch.Tensor) else value

    if isinstance(batch, torch.Tensor):
        return (move(batch),), {}
    if isinstance(batch, Mapping):
        return (), {name: move(value) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(move(value) for value in batch), {}
    raise ArgumentError(
        f"a batch must be a tensor, a tuple of inputs or a dictionary of them, got {type(batch).__name__}"
    )


def describe(batch: Batch) -> str:
    """Shapes and dtypes of a batch, for messages.

    Example:
        >>> describe(torch.zeros(2, 3))
        'shape (2, 3) float32'
    """
    if isinstance(batch, torch.Tensor):
        return f"shape {tuple(batch.shape)} {str(batch.dtype).removeprefix('torch.')}"
    if isinstance(batch, Mapping):
        return ", ".join(f"{name}: {describe(value)}" for name, value in batch.items())
    return ", ".join(describe(value) for value in batch) if isinstance(batch, tuple | list) else repr(batch)


def _output_tensor(output: Any) -> torch.Tensor:
    if isinstance(output, Mapping):
        output = output["logits"] if "logits" in output else next(iter(output.values()), None)
    elif isinstance(output, tuple | list) and output:
        output = getattr(output, "logits", output[0])
    if not isinstance(output, torch.Tensor) or not output.is_floating_point() or output.ndim == 0:
        got = describe(output) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ModelError(
            "the model must give a floating-point tensor with samples first, or a tuple or dictionary that starts "
            f"with one or names one 'logits'; got {got}"
        )
    return output
