"""Similarity of the outputs of a read network to those of the clean one: agreement, divergence, cosine. No labels."""

import math
from abc import ABC, abstractmethod

import torch
from torch import nn

from qtaml.errors import ArgumentError, ModelError
from qtaml.measuring.metrics import batches_of
from qtaml.model import Batch, Batches, evaluation_mode, one_batch, output_tensor


class _Similarity(ABC):
    """A score for each sample from the outputs of a read network and of the clean one.

    Args:
        model: the clean network; it is run once, in evaluation mode, and not changed.
        inputs: test inputs, samples first; see `qtaml.model.Batches`.
        batch_size: samples that go through the model at once; all if not given.
        axis: the dimension of the outputs that holds classes or features; if not given, the last of outputs of up to
            three dimensions (samples, places, classes), and the second of those of more (samples, classes, rows, ...).

    Raises:
        ArgumentError: if `batch_size` is below 1, or there are fewer than 2 samples.
        ModelError: if the model fails on the inputs, or has fewer than 2 outputs along the axis.
    """

    def __init__(
        self, model: nn.Module, inputs: Batches, *, batch_size: int | None = None, axis: int | None = None
    ) -> None:
        self.batches = batches_of(one_batch(inputs), batch_size)
        self._axis = axis
        with evaluation_mode(model) as network, torch.no_grad():
            # Computed once: every read is compared with the same outputs.
            self._clean = [self._outputs(network, batch) for batch in self.batches]
        if (samples := sum(map(len, self._clean))) < 2:
            raise ArgumentError(f"inputs must hold at least 2 samples, got {samples}")

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Score of each sample, shape (samples,)."""
        with evaluation_mode(model) as network, torch.no_grad():
            pairs = zip(self.batches, self._clean, strict=True)
            return torch.cat([self._compare(self._outputs(network, batch), clean) for batch, clean in pairs])

    def __call__(self, model: nn.Module) -> float:
        """Mean score."""
        return float(self.scores(model).double().mean())

    def _outputs(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Outputs, shape (samples, places, classes)."""
        output = output_tensor(model, batch).cpu()
        # Language models have classes last, segmentation networks second.
        axis = (-1 if output.ndim <= 3 else 1) if self._axis is None else self._axis
        if output.ndim < 2 or axis % output.ndim == 0:
            raise ModelError(f"outputs must have classes along dimension {axis}, got shape {tuple(output.shape)}")
        output = output.movedim(axis, -1)
        if output.shape[-1] < 2:
            raise ModelError(f"outputs must have at least 2 classes or features, got {output.shape[-1]}")
        return output.reshape(len(output), -1, output.shape[-1])

    @staticmethod
    @abstractmethod
    def _compare(read: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Score of each sample from outputs of shape (samples, places, classes)."""


class Agreement(_Similarity):
    """Share of samples whose largest output is the same as that of the clean network.

    Of outputs with several places (tokens, pixels), the share of places where it is.

    Example:
        >>> metric = Agreement(nn.Identity(), torch.eye(2))
        >>> metric(nn.Identity()), metric(nn.ReLU())
        (1.0, 1.0)
    """

    bounds = (0.0, 1.0)

    @staticmethod
    def _compare(read: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        same = read.argmax(2) == clean.argmax(2)
        # A bool says that a sample is right or wrong, for which the interval of a proportion holds.
        return same[:, 0] if same.shape[1] == 1 else same.double().mean(1)


class OutputDivergence(_Similarity):
    """Kullback-Leibler divergence, in nats, of the read network's class probabilities from those of the clean one.

    The mean over places, for outputs that have several. The outputs are logits.

    Example:
        >>> metric = OutputDivergence(nn.Identity(), torch.zeros(2, 2))
        >>> metric(nn.Identity())
        0.0
    """

    bounds = (0.0, math.inf)

    @staticmethod
    def _compare(read: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        # Logarithms in float64 on both sides: of a probability that underflows, log would be -inf.
        logs, expected = (output.double().log_softmax(2) for output in (read, clean))
        return nn.functional.kl_div(logs, expected, reduction="none", log_target=True).sum(2).mean(1)


class OutputCosine(_Similarity):
    """Cosine between the outputs (embeddings) of the read network and of the clean one; the mean over places.

    An output of zeros has cosine 0 with every other.

    Example:
        >>> metric = OutputCosine(nn.Identity(), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        >>> round(metric(nn.Tanh()), 4)
        1.0
    """

    bounds = (-1.0, 1.0)

    @staticmethod
    def _compare(read: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        return nn.functional.cosine_similarity(read.double(), clean.double(), dim=2).mean(1)
