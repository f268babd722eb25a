"""Metrics of a network on test data, with a score for each sample; accuracy."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from qtaml import _checks
from qtaml.errors import ArgumentError, ModelError
from qtaml.model import Batch, evaluation_mode, outputs


@runtime_checkable
class SampleMetric(Protocol):
    """A metric that gives a score for each test sample; the metric itself is their mean."""

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Score of each sample, shape (samples,); a bool tensor if each is right or wrong."""
        ...


class BatchedMetric(SampleMetric, Protocol):
    """A metric of this package: it runs the network on batches that it shows, and leaves it as it is."""

    batches: list[Batch]


Metric = Callable[[nn.Module], float] | SampleMetric
"""A metric of a network as read: a function that gives a number, or a score for each sample."""


class Accuracy:
    """Share of test samples whose largest output is the right one.

    Args:
        inputs: test inputs: a tensor, a tuple of inputs or a dictionary of them, samples first.
        labels: right class of each sample, whole numbers, shape (samples,).
        batch_size: samples that go through the model at once; all if not given.

    Attributes:
        batches: the inputs, cut into batches of this size.

    Raises:
        ArgumentError: if inputs and labels are not of the same number of samples, or labels hold no data.

    Example:
        >>> metric = Accuracy(torch.eye(2), torch.tensor([0, 0]))
        >>> metric(nn.Identity())
        0.5
    """

    def __init__(self, inputs: Batch, labels: torch.Tensor, *, batch_size: int | None = None) -> None:
        labels = torch.as_tensor(labels, device=getattr(labels, "device", "cpu"))
        if labels.ndim != 1 or labels.is_floating_point() or len(labels) < 2:
            raise ArgumentError(
                f"labels must be whole numbers of shape (samples,), at least 2, got shape {tuple(labels.shape)} "
                f"{labels.dtype}"
            )
        # Tensors on this device compare without an error and without a result.
        if labels.is_meta:
            raise ArgumentError("labels must hold data, got a tensor on device meta")
        for tensor in tensors_of(inputs):
            if len(tensor) != len(labels):
                raise ArgumentError(f"inputs and labels must be as many, got {len(tensor)} and {len(labels)}")
        # Compared on the CPU: outputs come from whatever device the model is on.
        self._labels = labels.cpu()
        self.batches = batches_of(inputs, batch_size)

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Whether each sample is classified right, bool, shape (samples,)."""
        with evaluation_mode(model) as network, torch.no_grad():
            return self.of_outputs(torch.cat([outputs(network, batch) for batch in self.batches]))

    def of_outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """Whether each sample is classified right, bool, shape (..., samples).

        Args:
            logits: outputs of one network, shape (samples, classes), or of several, shape (networks, samples, classes).

        Raises:
            ModelError: if there are not two classes.
        """
        if logits.is_complex():
            raise ModelError(f"accuracy needs real logits, got {logits.dtype}")
        if logits.shape[-1] < 2:
            raise ModelError(
                "accuracy needs one output for each of at least 2 classes, got 1; use a metric of your own"
            )
        return logits.argmax(-1).cpu() == self._labels

    def __call__(self, model: nn.Module) -> float:
        """Share of samples classified right."""
        # float32 counts exactly only up to 2**24 samples.
        return float(self.scores(model).double().mean())


def batches_of(inputs: Batch, batch_size: int | None) -> list[Batch]:
    """Inputs cut into batches of at most `batch_size` samples; one batch if that is None.

    Raises:
        ArgumentError: if `batch_size` is below 1, or the inputs hold no tensor.
    """
    if batch_size is None:
        return [inputs]
    _checks.integer("batch_size", batch_size, 1)
    tensors = tensors_of(inputs)
    if not tensors:
        raise ArgumentError(f"inputs must hold a tensor with samples first to be cut, got {type(inputs).__name__}")
    return [_part(inputs, slice(start, start + batch_size)) for start in range(0, len(tensors[0]), batch_size)]


def tensors_of(inputs: Batch) -> list[torch.Tensor]:
    """The tensors among the inputs of a batch."""
    if isinstance(inputs, torch.Tensor):
        return [inputs]
    values = inputs.values() if isinstance(inputs, Mapping) else inputs
    return [value for value in values if isinstance(value, torch.Tensor)]


def _part(inputs: Batch, rows: slice) -> Batch:
    if isinstance(inputs, torch.Tensor):
        return inputs[rows]
    if isinstance(inputs, Mapping):
        return {name: value[rows] if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
    return tuple(value[rows] if isinstance(value, torch.Tensor) else value for value in inputs)
