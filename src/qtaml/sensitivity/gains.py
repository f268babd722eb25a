"""How strongly each tensor acts on the output: the Jacobian gains of all tensors together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import torch_generator
from qtaml.errors import ModelError
from qtaml.model import Batch, evaluation_mode, finite_outputs


@dataclass(frozen=True)
class Gain:
    """How much squared output error a unit of squared weight error in one tensor makes.

    Attributes:
        squared: gamma**2 = ||J||_F**2 / n: mean squared output error for each unit of the summed squared weight error,
            when the errors are independent and of mean zero. Averaged over the calibration samples.
        standard_error: standard error of `squared` over the random passes.
    """

    squared: float
    standard_error: float


def jacobian_gains(
    model: nn.Module, batch: Batch, weights: Mapping[str, torch.Tensor], *, passes: int = 32, seed: int = 0
) -> dict[str, Gain]:
    """Gains of all tensors from a few backward passes, whatever the number of tensors.

    Each pass goes back from the outputs with independent random signs. The gradient of a tensor is then a random
    combination of all rows of its Jacobian over samples and outputs, and because E[v v^T] is the identity, its squared
    norm over the number of samples has the mean ||J||_F**2: unbiased, for every tensor at once.

    Args:
        model: any module; BatchNorm and dropout are in evaluation mode; it is not changed.
        batch: calibration inputs.
        weights: name to tensor, as `stored_weights` gives them; tied weights act through all their uses.
        passes: number of backward passes N, at least 2.
        seed: seed of the signs.

    Returns:
        The gain of each tensor. A tensor that does not act on the output has gain 0.

    Raises:
        ArgumentError: if `passes` is below 2.
        ModelError: if the model fails on the batch, its output does not depend differentiably on any of the weights, or
            a gain is not finite.

    Source:
        theory.md 1.7; paper, lemma 4.3 and algorithm 1, step 1.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> gains = jacobian_gains(model, torch.eye(3), {"weight": model.weight})
        >>> round(gains["weight"].squared, 2)  # the output moves by x dW: every x is a unit vector
        0.33
    """
    passes = _checks.integer("passes", passes, 2)
    with evaluation_mode(model), torch.inference_mode(False), torch.enable_grad():
        leaves = {name: _usable(weight.detach()).requires_grad_() for name, weight in weights.items()}
        output = finite_outputs(model, _usable(batch), leaves)
        if not output.requires_grad:
            raise ModelError(
                "the output does not depend differentiably on any stored tensor: the forward pass may detach its "
                "output or run under no_grad"
            )
        values = {name: torch.zeros(passes, dtype=torch.float64) for name in leaves}
        for number in range(passes):
            signs = _random_signs(output, seed, number)
            gradients = torch.autograd.grad(
                output, list(leaves.values()), signs, retain_graph=number < passes - 1, allow_unused=True
            )
            for name, gradient in zip(leaves, gradients, strict=True):
                if gradient is not None:
                    values[name][number] = torch.linalg.vector_norm(gradient, dtype=torch.float64).square()
    return {name: mean_gain(name, value / (len(output) * weights[name].numel())) for name, value in values.items()}


def mean_gain(name: str, values: torch.Tensor) -> Gain:
    """Gain of a tensor from independent estimates of `squared`, shape (estimates,).

    Raises:
        ModelError: if an estimate is NaN or infinite.
    """
    if not bool(torch.isfinite(values).all()):
        raise ModelError(
            f"the gain of tensor {name!r} is NaN or infinite: give the model in a wider dtype, such as float32"
        )
    return Gain(float(values.mean()), float(values.std() / len(values) ** 0.5))


def _usable(value: Any) -> Any:
    """A value, with copies of tensors that were made in inference mode, which autograd refuses."""
    if isinstance(value, torch.Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, Mapping):
        return {name: _usable(item) for name, item in value.items()}
    return tuple(map(_usable, value)) if isinstance(value, tuple | list) else value


def _random_signs(output: torch.Tensor, seed: int, number: int) -> torch.Tensor:
    # Drawn on the CPU, so that every device sees the same signs.
    generator = torch_generator(seed, "signs", number)
    signs = torch.randint(0, 2, output.shape, generator=generator, dtype=torch.int8) * 2 - 1
    return signs.to(output.device, output.dtype)
