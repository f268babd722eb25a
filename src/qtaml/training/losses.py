"""Losses: how far outputs are from labels, or, without labels, from those of the network without errors."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import nn

from qtaml import _checks
from qtaml.errors import ArgumentError
from qtaml.model import describe, first_tensor

_IGNORED = -100
"""Label of what has none, as in torch."""

LossName = Literal["output_error", "divergence", "cross_entropy"]
Loss = LossName | Callable[[Any, Any], torch.Tensor]
"""A loss by its name, or a function of the output of the network and the labels of a batch."""


def needs_labels(loss: Loss) -> bool:
    """Whether a loss compares outputs with labels, not with outputs of the network without errors."""
    return loss not in ("output_error", "divergence")


def loss_name(loss: Loss) -> str:
    """The name of a loss, or of its function."""
    return loss if isinstance(loss, str) else getattr(loss, "__qualname__", type(loss).__qualname__)


def loss_of(loss: Loss) -> Callable[[Any, Any], torch.Tensor]:
    """The function of a loss.

    Args:
        loss: "output_error": squared deviation from the clean output, over the mean square of that; "divergence":
            Kullback-Leibler divergence of the classes from the clean ones, mean over samples and places;
            "cross_entropy": with labels, classes in the last dimension, or in the second one if labels are of the
            shape without it; or a function of output and labels, returned as it is.

    Raises:
        ArgumentError: if the name is unknown.

    Example:
        >>> loss_of("output_error")(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 5.0]])).round(decimals=4)
        tensor(0.0294)
    """
    if callable(loss):
        return loss
    return _LOSSES[_checks.one_of("loss", loss, get_args(LossName))]


def _output_error(output: Any, clean: Any) -> torch.Tensor:
    got, wanted = first_tensor(output), first_tensor(clean)
    return (got - wanted).square().mean() / wanted.square().mean().clamp_min(torch.finfo(wanted.dtype).tiny)


def _divergence(output: Any, clean: Any) -> torch.Tensor:
    got, wanted = (first_tensor(one).log_softmax(-1).flatten(0, -2) for one in (output, clean))
    return nn.functional.kl_div(got, wanted, reduction="batchmean", log_target=True)


def _cross_entropy(output: Any, labels: torch.Tensor) -> torch.Tensor:
    logits = first_tensor(output)
    labels = labels.to(logits.device)
    if labels.is_floating_point():
        raise ArgumentError(f"labels must be whole numbers for 'cross_entropy', got {describe(labels)}")
    if labels.shape == logits.shape[:-1]:
        logits, labels = logits.flatten(0, -2), labels.flatten()
    elif labels.shape != logits.shape[:1] + logits.shape[2:]:
        raise ArgumentError(
            "labels must have the shape of the outputs without their classes, got labels of "
            f"{describe(labels)} and outputs of {describe(logits)}"
        )
    wrong = (labels >= logits.shape[1]) | ((labels < 0) & (labels != _IGNORED))
    if bool(wrong.any()):
        raise ArgumentError(
            f"labels must be from 0 to {logits.shape[1] - 1}, or {_IGNORED} where there is none, got "
            f"{int(labels.min())} to {int(labels.max())}"
        )
    return nn.functional.cross_entropy(logits, labels.long(), ignore_index=_IGNORED)


_LOSSES: dict[str, Callable[[Any, Any], torch.Tensor]] = {
    "output_error": _output_error,
    "divergence": _divergence,
    "cross_entropy": _cross_entropy,
}
