"""How strongly each tensor acts on the output: the Jacobian gains of all tensors together."""

from collections.abc import Callable, Mapping
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
    squares = _squared_gradients(
        model, batch, weights, passes, seed, lambda g: torch.linalg.vector_norm(g, dtype=torch.float64).square()
    )
    return {name: mean_gain(name, value / weights[name].numel()) for name, value in squares.items()}


def row_gains(
    model: nn.Module, batch: Batch, weights: Mapping[str, torch.Tensor], *, passes: int = 32, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Gains of each row (first dimension) of all tensors, from the same passes and at the price of `jacobian_gains`.

    Args:
        model: as for `jacobian_gains`.
        batch: as for `jacobian_gains`.
        weights: as for `jacobian_gains`.
        passes: as for `jacobian_gains`.
        seed: as for `jacobian_gains`.

    Returns:
        `Gain.squared` of the rows of each tensor, float64, shape (rows,). Their mean is that of the tensor.

    Raises:
        ArgumentError: as `jacobian_gains`.
        ModelError: as `jacobian_gains`.

    Source:
        theory.md 1.7.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> gains = row_gains(model, torch.eye(3), {"weight": model.weight})
        >>> gains["weight"].round(decimals=2).tolist()
        [0.33, 0.33]
    """
    squares = _squared_gradients(
        model, batch, weights, passes, seed, lambda g: g.double().square().reshape(_rows(g), -1).mean(1)
    )
    for name, value in squares.items():
        _check_finite(name, value)
    return {name: value.mean(0).expand(_rows(weights[name])).clone() for name, value in squares.items()}


def _rows(weight: torch.Tensor) -> int:
    return weight.shape[0] if weight.ndim > 1 else 1


def _squared_gradients(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    passes: int,
    seed: int,
    statistic: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """A statistic of the squared gradients of each tensor over the number of samples, shape (passes, ...)."""
    passes = _checks.integer("passes", passes, 2)
    with evaluation_mode(model), torch.inference_mode(False), torch.enable_grad():
        leaves = {name: _usable(weight.detach()).requires_grad_() for name, weight in weights.items()}
        output = finite_outputs(model, _usable(batch), leaves)
        if not output.requires_grad:
            raise ModelError(
                "the output does not depend differentiably on any stored tensor: the forward pass may detach its "
                "output or run under no_grad"
            )
        found: dict[str, list[torch.Tensor]] = {name: [] for name in leaves}
        for number in range(passes):
            gradients = torch.autograd.grad(
                output,
                list(leaves.values()),
                _random_signs(output, seed, number),
                retain_graph=number < passes - 1,
                allow_unused=True,
            )
            for name, gradient in zip(leaves, gradients, strict=True):
                # A tensor that does not act on the output has no gradient.
                known = statistic(gradient).cpu() if gradient is not None else torch.zeros((), dtype=torch.float64)
                found[name].append(known / len(output))
    return {name: torch.stack(values) for name, values in found.items()}


def mean_gain(name: str, values: torch.Tensor) -> Gain:
    """Gain of a tensor from independent estimates of `squared`, shape (estimates,).

    Raises:
        ModelError: if an estimate is NaN or infinite.
    """
    _check_finite(name, values)
    return Gain(float(values.mean()), float(values.std() / len(values) ** 0.5))


def _check_finite(name: str, values: torch.Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise ModelError(
            f"the gain of tensor {name!r} is NaN or infinite: give the model in a wider dtype, such as float32"
        )


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
