"""Accuracy: outputs against labels, of whole samples or of each place in them."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qtaml import _checks
from qtaml.errors import ArgumentError, ModelError
from qtaml.measuring.metrics import batches_of, tensors_of
from qtaml.model import Batch, evaluation_mode, output_tensor

_IGNORED = -100
"""The label that does not count, as in `torch.nn.functional.cross_entropy`."""


Labels = torch.Tensor | NDArray[np.int64] | Sequence[int] | Sequence[Sequence[int]]


class Accuracy:
    """Share of test samples whose largest output is the right one.

    Of labels for several places of a sample (tokens, pixels), its score is the share of those places that are right,
    and the accuracy the mean over samples. The label -100 does not count; a sample without another one is left out.

    Args:
        inputs: test inputs: a tensor, a tuple of inputs or a dictionary of them, samples first.
        labels: right classes, whole numbers from 0 up: one for each sample, shape (samples,), or for each of its
            places, shape (samples, places, ...). A tensor, an array, or lists of numbers.
        batch_size: samples that go through the model at once; all if not given.
        axis: the dimension of the outputs that holds the classes; if not given, the second or the last: the one without
            which the outputs have the shape of the labels.

    Attributes:
        batches: the inputs, cut into batches of this size.

    Raises:
        ArgumentError: if inputs and labels are not of the same number of samples, or labels hold no data or no classes;
            when first measured, if labels do not fit the outputs of the model.

    Example:
        >>> metric = Accuracy(torch.eye(2), torch.tensor([0, 0]))
        >>> metric(nn.Identity())
        0.5
        >>> two_places = torch.eye(4).reshape(2, 2, 4)
        >>> Accuracy(two_places, torch.tensor([[0, 0], [2, -100]])).scores(nn.Identity())
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """

    bounds = (0.0, 1.0)

    def __init__(
        self, inputs: Batch, labels: Labels, *, batch_size: int | None = None, axis: int | None = None
    ) -> None:
        self._labels = _classes(labels)
        for tensor in tensors_of(inputs):
            if len(tensor) != len(self._labels):
                raise ArgumentError(f"inputs and labels must be as many, got {len(tensor)} and {len(self._labels)}")
        self._axis = None if axis is None else _checks.integer("axis", axis, -1)
        self._flat_labels = self._labels.reshape(len(self._labels), -1)
        self._counts = self._flat_labels != _IGNORED
        self._counted = self._counts.sum(1)
        # A bool says that a sample is right or wrong, for which the interval of a proportion holds.
        self._is_proportion = int(self._counted.max()) == 1
        self._last_class = int(self._labels.max())
        self._without_numbers = _without_numbers(inputs, len(self._labels))
        self.batches = batches_of(inputs, batch_size)

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Whether each sample is classified right, bool; of several places the share, float64. Shape (samples,)."""
        with evaluation_mode(model) as network, torch.no_grad():
            found = [self._largest(output_tensor(network, batch)[None]) for batch in self.batches]
        return self._scores(torch.cat(found, 1))[0]

    def of_reads(self, logits: torch.Tensor) -> torch.Tensor:
        """What `scores` gives for several reads with these outputs, shape (reads, samples, ...): (reads, samples).

        Raises:
            ArgumentError: if the labels do not fit the outputs.
            ModelError: if there are not two classes, or the outputs are complex.
        """
        if logits.is_complex():
            raise ModelError(f"accuracy needs real logits, got {logits.dtype}")
        return self._scores(self._largest(logits))

    def __call__(self, model: nn.Module) -> float:
        """Share of samples classified right; of several places, the mean share."""
        # float32 counts exactly only up to 2**24 samples.
        return float(self.scores(model).double().mean())

    def _largest(self, logits: torch.Tensor) -> torch.Tensor:
        """Class of the largest output, -1 if one is NaN: on the CPU as labels are, shape (reads, samples, places)."""
        if self._labels.ndim == 1 and logits.ndim > 3 and max(logits.shape[2:]) == logits[0, 0].numel():
            # Convolutional classifiers keep dimensions of size 1.
            logits = logits.flatten(2)
        largest, found = logits.max(1 + self._class_dimension(logits.shape[1:]))
        return found.where(~largest.isnan(), -1).reshape(*logits.shape[:2], -1).cpu()

    def _class_dimension(self, shape: torch.Size) -> int:
        last, places = len(shape) - 1, self._labels.shape[1:]
        tried = {1, last} if self._axis is None else {last if self._axis == -1 else self._axis}
        fitting = [one for one in sorted(tried) if 0 < one <= last and shape[1:one] + shape[one + 1 :] == places]
        if not fitting:
            raise ArgumentError(
                "labels must have the shape of the outputs without their classes, got labels of shape "
                f"{tuple(self._labels.shape)} and outputs of shape {tuple(shape)}"
            )
        if len(fitting) > 1:
            raise ArgumentError(
                f"axis must say which dimension of outputs of shape {tuple(shape)} holds the classes: for labels of "
                f"shape {tuple(self._labels.shape)} it may be {' or '.join(map(str, fitting))}"
            )
        if (classes := shape[fitting[0]]) < 2:
            raise ModelError(
                f"accuracy needs one output for each of at least 2 classes, got {classes}; use a metric of your own"
            )
        if self._last_class >= classes:
            start = "; they begin with 1: subtract it" if int(self._flat_labels[self._counts].min()) == 1 else ""
            raise ArgumentError(
                f"labels must be from 0 to {classes - 1}, as the model has {classes} classes, got "
                f"{self._last_class}{start}"
            )
        return fitting[0]

    def _scores(self, found: torch.Tensor) -> torch.Tensor:
        """Scores from classes of shape (reads, samples, places)."""
        if found.shape[1] != len(self._labels):
            raise ModelError(
                f"the model must give outputs for each of {len(self._labels)} samples, got {found.shape[1]}"
            )
        if self._without_numbers is not None:
            for sample in (self._without_numbers & (found < 0).any(2).any(0)).nonzero()[:1, 0].tolist():
                raise ArgumentError(f"inputs must be finite, but sample {sample} is not, and has outputs of NaN")
        right = found == self._flat_labels
        if self._is_proportion:
            return right[:, self._counts]
        shares = (right & self._counts).sum(2).double() / self._counted
        return shares[:, self._counted > 0]


def _classes(labels: Labels) -> torch.Tensor:
    """Labels as int64 on the CPU: outputs come from whatever device the model is on."""
    if not isinstance(labels, torch.Tensor):
        labels = _whole_numbers(labels)
    if labels.ndim == 0 or labels.is_floating_point() or labels.is_complex() or len(labels) < 2 or not labels.numel():
        raise ArgumentError(
            "labels must be whole numbers of shape (samples,), or (samples, places), at least 2, got shape "
            f"{tuple(labels.shape)} {labels.dtype}"
        )
    # Tensors on this device compare without an error and without a result.
    if labels.is_meta:
        raise ArgumentError("labels must hold data, got a tensor on device meta")
    classes = labels.long().cpu()
    counted = classes != _IGNORED
    if (wrong := classes[counted & (classes < 0)]).numel():
        raise ArgumentError(f"labels must be at least 0, or {_IGNORED} for what does not count, got {int(wrong[0])}")
    if (samples := int(counted.reshape(len(classes), -1).any(1).sum())) < 2:
        raise ArgumentError(f"labels must count for at least 2 samples, got {samples} with another one than {_IGNORED}")
    return classes


def _whole_numbers(labels: NDArray[np.int64] | Sequence[int] | Sequence[Sequence[int]]) -> torch.Tensor:
    """Numbers in arrays and lists as a tensor of the same numbers."""
    try:
        array = np.asarray(labels)
    except ValueError as error:
        raise ArgumentError("labels must be lists of equal lengths") from error
    if array.dtype.kind not in "iu" or (array.size and int(array.max()) > np.iinfo(np.int64).max):
        raise ArgumentError(f"labels must be whole numbers of at most 64 bits, got {array.dtype}")
    return torch.from_numpy(array.astype(np.int64))


def _without_numbers(inputs: Batch, samples: int) -> torch.Tensor | None:
    """Samples with inputs of NaN or infinity, bool, shape (samples,); None if there are none.

    A network may take NaN for what is missing, so only NaN in the outputs too makes it wrong. Masks hold -infinity.
    """
    found = torch.zeros(samples, dtype=torch.bool, device="cpu")
    for tensor in tensors_of(inputs):
        if tensor.is_floating_point() and not tensor.is_meta and tensor.numel():
            found |= (tensor.isnan() | tensor.isposinf()).reshape(samples, -1).any(1).cpu()
    return found if found.any() else None
