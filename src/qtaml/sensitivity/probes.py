"""The paper's own estimator of the gains: Gaussian weight probes, one tensor at a time."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import torch_generator
from qtaml.errors import ArgumentError
from qtaml.model import Batch, evaluation_mode, finite, named_tensors, other_numbers, replacing
from qtaml.sensitivity.deviation import output_deviations
from qtaml.sensitivity.gains import Gain, mean_gain, squared_norm

_SHARE = 0.1
"""Size of a change, over the root mean square of the weights read: that of `checked_gains`."""


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


def averaged_probe_gains(
    model: nn.Module, batch: Batch, reads: Iterable[Mapping[str, torch.Tensor]]
) -> dict[str, Gain]:
    """`averaged_gains` by forward passes, for networks without gradients: one change of each tensor at each read.

    Its cost is (tensors + 1) x reads forward passes.

    Args:
        model: any module, run in evaluation mode; it is not changed.
        batch: calibration inputs.
        reads: for each read, name to tensor as read, in the dtype of the model; at least 2.

    Returns:
        The mean gain of each tensor, and the standard error over the reads.

    Raises:
        ArgumentError: if there are fewer than 2 reads, or one of a tensor that the model does not have.
        ModelError: if the model fails on the batch.

    Source:
        theory.md 1.10.

    Example:
        >>> model = nn.Linear(3, 2, bias=False)
        >>> reads = [{"weight": model.weight + noise} for noise in torch.linspace(-0.1, 0.1, 400)]
        >>> gain = averaged_probe_gains(model, torch.eye(3), reads)["weight"]  # the same everywhere
        >>> abs(gain.squared - 1 / 3) < 4 * gain.standard_error
        True
    """
    found: dict[str, list[torch.Tensor]] = {}
    with evaluation_mode(model) as network, torch.no_grad():
        run, known = replacing(network), named_tensors(network)
        for number, read in enumerate(reads):
            if not isinstance(read, Mapping):
                raise ArgumentError(f"reads must map names to tensors, got {read!r}")
            _checks.covers("the model", known, read)
            at_read = finite(run(batch, read), batch, ", with its weights as read").double()
            for name, weight in read.items():
                changed = other_numbers(name, weight, _SHARE, number)
                output = finite(run(batch, {**read, name: changed}), batch, ", with its weights as read").double()
                moved = (output - at_read).square().sum(1).mean() / squared_norm(changed - weight)
                found.setdefault(name, []).append(moved.cpu())
    if any(len(values) < 2 for values in found.values()) or not found:
        raise ArgumentError("reads must be at least 2 for a standard error")
    return {name: mean_gain(name, torch.stack(values)) for name, values in found.items()}


def _gaussian(weight: torch.Tensor, seed: int, name: str, number: int) -> torch.Tensor:
    generator = torch_generator(seed, "probe", name, number)
    return torch.randn(weight.shape, generator=generator, device="cpu").to(weight.device, weight.dtype)
