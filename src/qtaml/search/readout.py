"""How much what is read must be stretched, so that the shrinkage of the best tables does not add up in the output."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import optimize
from torch import nn

from qtaml.model import Batch, evaluation_mode, finite_outputs, named_tensors

_STEP = 0.05
_ROUNDS = 4
_SHARES = (1.0, 0.5, 0.25, 0.1)
"""Of the way to the solution of each round; a shorter one where the outputs are far from linear in the gains."""
_LIMITS = (0.25, 4.0)
_DAMPING = 0.01
_MOST_OUTPUTS = 2**20
"""Outputs of all samples together: one such array is held for each tensor."""


@dataclass(frozen=True)
class Balanced:
    """Readout gains, and what they leave.

    Attributes:
        gains: factor on what is read of each tensor.
        bias: squared output deviation, averaged over the samples, of the network of the expected weights.
    """

    gains: dict[str, float]
    bias: float


def balance_readout(
    model: nn.Module,
    batch: Batch,
    expected: Mapping[str, torch.Tensor],
    variance: Mapping[str, float],
    *,
    adjust: bool = True,
) -> Balanced:
    """Readout gains of the least predicted output error: bias of the expected weights and variance around them.

    Errors that a read makes at random add up as squares, c**2 times `variance` for a gain c. What the expected weights
    differ from the trained ones adds up coherently; it is taken from forward passes of the network with the expected
    weights, so it holds beyond first order. Each round solves for all gains by least squares on finite differences, and
    goes as far as that lowers the sum.

    Args:
        model: any module; it is not changed.
        batch: calibration inputs.
        expected: name to expected weights when read.
        variance: output error that the errors around them make, for each tensor.
        adjust: False to leave all gains at 1, and only say what the bias is.

    Returns:
        The gains, from 1/4 to 4, and the bias that they leave.

    Raises:
        ModelError: if the model fails on the batch.

    Source:
        theory.md 1.7 (coherent errors) and 6.5.

    Example:
        >>> model = nn.Linear(4, 2, bias=False)
        >>> shrunk = {"weight": 0.8 * model.weight.detach()}
        >>> balanced = balance_readout(model, torch.randn(64, 4), shrunk, {"weight": 0.0})
        >>> round(balanced.gains["weight"], 3)
        1.25
    """
    types = {name: tensor.dtype for name, tensor in named_tensors(model).items() if name in expected}
    noise = np.array([variance[name] for name in expected])

    def run(gains: np.ndarray | None) -> np.ndarray:
        pairs = zip(gains if gains is not None else (), expected.items(), strict=gains is not None)
        changed = {name: (float(gain) * mean).to(types[name]) for gain, (name, mean) in pairs}
        return _sampled(finite_outputs(network, batch, changed)).double().cpu().numpy()

    with evaluation_mode(model) as network, torch.no_grad():
        clean = run(None)
        gains = np.ones(len(expected))
        output = run(gains)
        for _ in range(_ROUNDS if adjust else 0):
            moved = [run(gains * np.where(np.arange(len(gains)) == one, 1 + _STEP, 1.0)) for one in range(len(gains))]
            slopes = np.stack([(one - output).reshape(-1) / _STEP for one in moved], axis=1) / gains
            solved = _least_squares(slopes, (clean - output).reshape(-1), gains, noise * len(clean))
            before = _total(output, clean, gains, noise)
            for share in _SHARES:
                tried = gains + share * (solved - gains)
                outcome = run(tried)
                if _total(outcome, clean, tried, noise) < before:
                    break
            else:
                break
            gains, output = tried, outcome
    return Balanced(dict(zip(expected, gains.tolist(), strict=True)), _bias(output, clean))


def _sampled(outputs: torch.Tensor) -> torch.Tensor:
    """Outputs of which no sample has more than some thousands: others are left out at random, always the same ones.

    What is kept is stretched so that squared deviations keep their mean.
    """
    samples, size = outputs.shape
    kept = max(1, _MOST_OUTPUTS // samples)
    if size <= kept:
        return outputs
    chosen = torch.randperm(size, generator=torch.Generator().manual_seed(0), device="cpu")[:kept]
    return torch.index_select(outputs, 1, chosen.to(outputs.device)).mul((size / kept) ** 0.5)


def _least_squares(slopes: np.ndarray, missing: np.ndarray, gains: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Gains that bring the missing output, at the price of the noise that they amplify.

    A light pull to the gains as they are keeps directions that do not matter, such as one factor up and the next down,
    where they are.
    """
    strength = (slopes**2).sum(0)
    pull = np.sqrt(_DAMPING * np.where(strength > 0, strength, strength.max() or 1.0))
    rows = np.concatenate([slopes, np.diag(np.sqrt(noise)), np.diag(pull)])
    wanted = np.concatenate([missing + slopes @ gains, np.zeros(len(gains)), pull * gains])
    return np.asarray(optimize.lsq_linear(rows, wanted, bounds=_LIMITS).x)


def _bias(output: np.ndarray, clean: np.ndarray) -> float:
    return float(((output - clean) ** 2).sum() / len(clean))


def _total(output: np.ndarray, clean: np.ndarray, gains: np.ndarray, noise: np.ndarray) -> float:
    return _bias(output, clean) + float((noise * gains**2).sum())
