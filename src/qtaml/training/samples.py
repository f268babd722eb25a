"""Samples to train on: one batch, cut and shuffled anew in each epoch, or an iterable of batches."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch

from qtaml._random import torch_generator
from qtaml.errors import ArgumentError
from qtaml.model import Batch, Batches, cut_samples, describe, lengths, sample_count


class Step(NamedTuple):
    """The samples of one step.

    Attributes:
        inputs: of the network.
        labels: what is right; None without labels.
    """

    inputs: Batch
    labels: torch.Tensor | None


class Samples:
    """Samples that can be gone through again and again.

    Args:
        name: of the argument, for messages.
        batches: without labels one batch (a tensor, a tuple of inputs, a dictionary of them), or an iterable of
            batches; with labels a pair (inputs, labels), or an iterable of such pairs, such as a DataLoader.
        labelled: whether there are labels.
        batch_size: samples of a step, where there is one batch.

    Raises:
        ArgumentError: if it is none of these, can be gone through once only, or inputs and labels are not as many.
    """

    def __init__(self, name: str, batches: Batches, *, labelled: bool, batch_size: int) -> None:
        self._name, self._labelled, self._batch_size = name, labelled, batch_size
        self._whole = self._one_batch(batches)
        self._batches: Iterable[Any] = ()
        if self._whole is None:
            if not isinstance(batches, Iterable):
                raise self._refused(type(batches).__name__)
            # What is its own iterator is used up after the first epoch.
            if isinstance(batches, Iterator):
                raise ArgumentError(
                    f"{name} must be such that it can be gone through again in each epoch, as a list or a DataLoader, "
                    f"got {type(batches).__name__}"
                )
            self._batches = batches
        elif not (count := sample_count(self._whole.inputs)):
            raise ArgumentError(f"{name} must hold at least one sample, got {describe(self._whole.inputs)}")
        else:
            self._count = count

    @property
    def whole(self) -> Step | None:
        """All samples together, where they come as one batch."""
        return self._whole

    def steps(self) -> int:
        """Steps of an epoch; an iterable that does not know its length is gone through."""
        if self._whole is not None:
            return -(-self._count // self._batch_size)
        try:
            return len(self._batches)  # type: ignore[arg-type]  # or what follows
        except TypeError:
            return sum(1 for _ in self._batches)

    def in_order(self) -> Iterator[Step]:
        """All samples once, in their own order."""
        return self._listed() if self._whole is None else self._cut(torch.arange(self._count))

    def shuffled(self, seed: int) -> Iterator[Step]:
        """All samples once; of one batch in a random order, of an iterable in its own.

        Raises:
            ArgumentError: if there are none, or a batch is not as it should be.
        """
        if self._whole is None:
            return self._listed()
        return self._cut(torch.randperm(self._count, generator=torch_generator(seed, "order")))

    def _cut(self, order: torch.Tensor) -> Iterator[Step]:
        assert self._whole is not None
        labels = self._whole.labels
        for numbers in torch.split(order, self._batch_size):
            inputs = cut_samples(self._whole.inputs, self._count, numbers)
            yield Step(inputs, None if labels is None else labels[numbers.to(labels.device)])

    def _listed(self) -> Iterator[Step]:
        found = False
        for batch in self._batches:
            found = True
            if not self._labelled:
                yield Step(batch, None)
                continue
            step = self._pair(batch)
            if step is None:
                raise self._refused(describe(batch))
            yield step
        if not found:
            raise ArgumentError(f"{self._name} must hold at least one batch, got none")

    def _one_batch(self, batches: Batches) -> Step | None:
        """All samples, if they come as one batch."""
        if self._labelled:
            return self._pair(batches)
        listed = isinstance(batches, list) and all(isinstance(one, Mapping | tuple | list) for one in batches)
        whole = isinstance(batches, torch.Tensor | Mapping | tuple | list) and not listed
        return Step(batches, None) if whole else None  # type: ignore[arg-type]  # the other kinds are gone

    def _pair(self, pair: Any) -> Step | None:
        """Inputs and labels, if it is a pair of those."""
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[1], torch.Tensor):
            return None
        inputs, labels = pair
        if not isinstance(inputs, torch.Tensor | Mapping | tuple | list):
            return None
        if not labels.ndim or len(labels) not in lengths(inputs):
            raise ArgumentError(
                f"{self._name} must have as many labels as samples, got inputs of {describe(inputs)} and labels of "
                f"{describe(labels)}"
            )
        return Step(inputs, labels)

    def _refused(self, got: str) -> ArgumentError:
        what = "a pair (inputs, labels)" if self._labelled else "a batch of inputs"
        return ArgumentError(f"{self._name} must be {what}, or an iterable of such, got {got}")
