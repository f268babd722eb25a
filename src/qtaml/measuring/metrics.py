"""Metrics of a network on test data, with a score for each sample."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.model import Batch


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
    """The tensors among the inputs of a batch; not single numbers, which belong to no sample."""
    if isinstance(inputs, torch.Tensor):
        inputs = (inputs,)
    values = inputs.values() if isinstance(inputs, Mapping) else inputs
    return [value for value in values if isinstance(value, torch.Tensor) and value.ndim]


def _part(inputs: Batch, rows: slice) -> Batch:
    if isinstance(inputs, torch.Tensor):
        return inputs[rows]
    if isinstance(inputs, Mapping):
        return {name: _rows(value, rows) for name, value in inputs.items()}
    return tuple(_rows(value, rows) for value in inputs)


def _rows(value: Any, rows: slice) -> Any:
    return value[rows] if isinstance(value, torch.Tensor) and value.ndim else value
