"""The paper's own estimator of the gains: Gaussian weight probes, one tensor at a time."""

from collections.abc import Mapping

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import torch_generator
from qtaml.model import Batch
from qtaml.sensitivity.deviation import output_deviations
from qtaml.sensitivity.gains import Gain, mean_gain


def probe_gains(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    *,
    probes: int = 8,
    epsilon: float = 1e-3,
    seed: int = 0,
) -> dict[str, Gain]:
    """Gains by small Gaussian changes of one tensor after the other: the reference for `jacobian_gains`.

    Its cost grows with the number of tensors: (probes + 1) x tensors forward passes.

    Args:
        model: any module, run in evaluation mode; it is not changed.
        batch: calibration inputs.
        weights: name to tensor, as `stored_weights` gives them.
        probes: Gaussian changes for each tensor, at least 2.
        epsilon: standard deviation of a change, in units of the weights.
        seed: seed of the changes.

    Returns:
        The gain of each tensor: the mean of ||f(W + epsilon xi) - f(W)||**2 / (epsilon**2 n).

    Raises:
        ArgumentError: if `probes` is below 2 or `epsilon` is not above 0.
        ModelError: if the model fails on the batch.

    Source:
        paper, algorithm 1, step 1; theory.md 1.5.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> gain = probe_gains(model, torch.eye(3), {"weight": model.weight}, probes=200)["weight"]
        >>> abs(gain.squared - 1 / 3) < 4 * gain.standard_error
        True
    """
    probes = _checks.integer("probes", probes, 2)
    _checks.positive("epsilon", epsilon)
    gains = {}
    for name, weight in weights.items():
        changes = ({name: weight + epsilon * _gaussian(weight, seed, name, number)} for number in range(probes))
        gains[name] = mean_gain(name, output_deviations(model, batch, changes) / (epsilon**2 * weight.numel()))
    return gains


def _gaussian(weight: torch.Tensor, seed: int, name: str, number: int) -> torch.Tensor:
    generator = torch_generator(seed, "probe", name, number)
    return torch.randn(weight.shape, generator=generator, device="cpu").to(weight.device, weight.dtype)
