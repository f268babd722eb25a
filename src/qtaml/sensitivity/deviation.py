"""What a given change of weights does to the output."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from qtaml.model import Batch, evaluation_mode, finite_outputs


def output_deviations(model: nn.Module, batch: Batch, changes: Iterable[Mapping[str, torch.Tensor]]) -> torch.Tensor:
    """Squared output deviation ||f(W') - f(W)||**2, averaged over the samples of a batch, for each change of weights.

    Args:
        model: any module, run in evaluation mode; it is not changed.
        batch: calibration inputs.
        changes: for each one, name to tensor that replaces that of the model; others keep their weights.

    Returns:
        float64 tensor of shape (changes,).

    Raises:
        ModelError: if the model fails on the batch.

    Source:
        paper, algorithm 1, steps 1 and 3.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> doubled = {"weight": model.weight + torch.tensor([[1.0, 0.0]])}
        >>> output_deviations(model, torch.eye(2), [doubled]).round(decimals=4)
        tensor([0.5000], dtype=torch.float64)
    """
    with evaluation_mode(model) as network, torch.no_grad():
        clean = finite_outputs(network, batch).double()
        deviations = [
            (finite_outputs(network, batch, change).double() - clean).square().sum(1).mean() for change in changes
        ]
    return torch.stack(deviations).cpu() if deviations else torch.zeros(0, dtype=torch.float64)
