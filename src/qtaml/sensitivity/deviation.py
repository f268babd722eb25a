"""What a given change of weights does to the output, and what any change can do."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from qtaml.errors import ModelError
from qtaml.model import (
    Batch,
    evaluation_mode,
    finite,
    finite_outputs,
    first_samples,
    lengths,
    other_numbers,
    outputs,
    replacing,
)

_LARGE = (10.0, 100.0)
"""Sizes of changes of all weights, over their root mean squares: bounded outputs grow no more from one to the other."""

CHANGED = (
    ", with its weights as changed or read; float words are read as very large numbers where their exponents fail: "
    "protect more bits, or store them with scale='largest'"
)
"""Where outputs are not finite: what a message says of the weights."""

_SAMPLES = 8
"""Samples on which it is looked how large outputs can become."""


@dataclass(frozen=True)
class OutputRange:
    """How large outputs are, and their errors can be.

    Attributes:
        power: mean of ||f(x)||**2 over the samples.
        bound: the most that a squared output error can be; None if outputs grow with the weights.
        rows: rows of the outputs, each of which counts as a sample, if no input has as many; else None.
    """

    power: float
    bound: float | None
    rows: int | None = None


@dataclass(frozen=True)
class MeasuredError:
    """Output error of a few reads of a stored network, on the calibration inputs.

    Attributes:
        mean: mean squared output deviation.
        standard_error: of the mean, over the reads.
        reads: how many there were.
    """

    mean: float
    standard_error: float
    reads: int

    @staticmethod
    def of(deviations: torch.Tensor) -> "MeasuredError":
        """From the deviation of each read, shape (reads,), at least two.

        Example:
            >>> print(MeasuredError.of(torch.tensor([1.0, 3.0])))
            2 ± 1 (2 reads)
        """
        return MeasuredError(
            float(deviations.mean()), float(deviations.std() / len(deviations) ** 0.5), len(deviations)
        )

    def __str__(self) -> str:
        """Mean and standard error."""
        return f"{self.mean:.4g} ± {self.standard_error:.1g} ({self.reads} reads)"


def output_range(model: nn.Module, batch: Batch, weights: Mapping[str, torch.Tensor]) -> OutputRange:
    """Power of the outputs, and the bound of their error where they are bounded (normalised, probabilities, tanh).

    Args:
        model: any module, run in evaluation mode; it is not changed.
        batch: calibration inputs.
        weights: name to tensor, as `stored_weights` gives them; large changes of all of them show whether outputs grow.

    Raises:
        ModelError: if the model fails on the batch.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Softmax(-1))
        >>> output_range(model, torch.ones(4, 2), {"0.weight": model[0].weight}).bound <= 4
        True
        >>> output_range(model[0], torch.ones(4, 2), {"weight": model[0].weight}).bound is None
        True
    """
    with evaluation_mode(model) as network, torch.no_grad():
        powers = finite_outputs(network, batch).double().square().sum(1)
        few, run = first_samples(batch, _SAMPLES), replacing(network)
        try:
            largest = [_largest(outputs(network, few))]
        except ModelError:
            # Made for batches of one size.
            few, largest = batch, [float(powers.max())]
        for share in _LARGE:
            output = run(few, {name: other_numbers(name, weight, share) for name, weight in weights.items()})
            largest.append(_largest(output))
    bounded = math.isfinite(largest[-1]) and largest[-1] <= 1.01 * max(largest[:-1])
    return OutputRange(
        float(powers.mean()),
        (float(powers.max()) ** 0.5 + max(largest) ** 0.5) ** 2 if bounded else None,
        None if len(powers) in lengths(batch) else len(powers),
    )


def _largest(output: torch.Tensor) -> float:
    """Largest squared norm of the outputs of a sample."""
    return float(output.double().square().sum(1).max())


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
        clean, run = finite_outputs(network, batch).double(), replacing(network)

        def deviation(change: Mapping[str, torch.Tensor]) -> torch.Tensor:
            return (finite(run(batch, change), batch, CHANGED).double() - clean).square().sum(1).mean()

        # By `map`, which holds none while the next is made.
        deviations = list(map(deviation, changes))
    return torch.stack(deviations).cpu() if deviations else torch.zeros(0, dtype=torch.float64, device="cpu")
