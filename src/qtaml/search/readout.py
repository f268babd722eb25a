"""Readout gains: one factor for each tensor, against the shrinkage of posterior means, which adds up in the output."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import nn

from qtaml.formats import Outliers
from qtaml.model import Batch, evaluation_mode, finite, named_tensors, replacing

# Relative change of a gain for the finite differences: far above the rounding of float32 outputs, and small beside the
# corrections sought.
_STEP = 0.05
# Rounds of Gauss-Newton, the first with a forward pass for every tensor. One round is exact for a linear layer; in a
# chain of layers the output is a product of their gains. A round that gains nothing ends it.
ROUNDS = 4
# Share of the error that a round has to remove for another one to follow.
_WORTH = 0.01
# Backtracking: shares of the way to the solution of a round, where the outputs are far from linear in the gains.
_SHARES = (1.0, 0.5, 0.25, 0.1)
# Bounds that keep a solution near the gains at which the finite differences were taken.
LIMITS = (0.25, 4.0)
# Ridge on the change of each gain, as a share of its sensitivity; see `_least_squares`.
_DAMPING = 0.01
# Outputs of all samples and reads together: an array of 2 MiB for each tensor is held at once.
_MOST_OUTPUTS = 2**18

Expected = torch.Tensor | Callable[[float, torch.dtype], torch.Tensor]
"""Expected weights at a readout gain of 1, or what makes them of a readout gain and a dtype."""


@dataclass(frozen=True)
class Balanced:
    """Readout gains, and the output bias that remains with them.

    Attributes:
        gains: factor on what is read of each tensor.
        bias: squared output deviation, averaged over the samples, of the network of the expected weights.
    """

    gains: dict[str, float]
    bias: float


def balance_readout(
    model: nn.Module,
    batch: Batch,
    expected: Mapping[str, Expected] | Sequence[Mapping[str, Expected]],
    variance: Mapping[str, float],
    *,
    start: Mapping[str, float] | None = None,
    rounds: int = ROUNDS,
    outliers: Mapping[str, Outliers | None] | None = None,
    clean: torch.Tensor | None = None,
) -> Balanced:
    """Readout gains c_l of the least predicted output error ||f(c E[weights read]) - f(W)||**2 + sum c_l**2 variance_l.

    The first term is the bias, by which the expected weights differ from the trained ones: it adds up coherently, and
    is taken from forward passes with the expected weights, so it holds beyond first order. The second is the noise of
    single reads. Gauss-Newton: each round solves for all gains by least squares on slopes, with backtracking. Slopes
    are finite differences at the start, which cost a forward pass for every tensor and read, and then follow what the
    outputs did (Broyden 1965).

    Args:
        model: any module; it is not changed.
        batch: calibration inputs.
        expected: expected weights when read, by name, or what makes them of a gain and a dtype; or several reads, whose
            mean error is then the least.
        variance: output error of the random part of the weight errors of each tensor at a gain of 1, by name; of reads,
            which have it in them, 0.
        start: gains to begin with; 1 if not given.
        rounds: most rounds; with 0 gains stay what they begin with, and only the bias is measured.
        outliers: weights beside the words, which no gain scales, by name.
        clean: outputs of the trained network, as `finite_outputs` gives them, where they are known.

    Returns:
        The gains, from 1/4 to 4, and the remaining bias.

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
    reads = [expected] if isinstance(expected, Mapping) else list(expected)
    names = list(reads[0])
    types = {name: tensor.dtype for name, tensor in named_tensors(model).items() if name in reads[0]}
    noise = np.array([variance[name] for name in names])

    def at(read: Mapping[str, Expected], name: str, gain: float) -> torch.Tensor:
        if not isinstance(one := read[name], torch.Tensor):
            return one(gain, types[name])
        return read_at(one, gain, (outliers or {}).get(name)).to(types[name])

    def scaled(gains: np.ndarray) -> list[dict[str, torch.Tensor]]:
        pairs = list(zip(gains.tolist(), names, strict=True))
        return [{name: at(read, name, gain) for gain, name in pairs} for read in reads]

    with evaluation_mode(model) as network, torch.no_grad():
        run_with = replacing(network)

        def run(changed: Sequence[Mapping[str, torch.Tensor]]) -> np.ndarray:
            return np.concatenate([_compared(finite(run_with(batch, one), batch), len(reads)) for one in changed])

        def moved(gains: np.ndarray, now: Sequence[Mapping[str, torch.Tensor]], output: np.ndarray) -> np.ndarray:
            # One tensor differs at a time: the others are scaled once. Relative changes over the gains are derivatives.
            outputs = [
                run([{**one, name: at(read, name, (1 + _STEP) * gain)} for one, read in zip(now, reads, strict=True)])
                for gain, name in zip(gains.tolist(), names, strict=True)
            ]
            steps = np.stack([(one - output).reshape(-1) for one in outputs], axis=1)
            return np.asarray(steps / (_STEP * gains))

        trained = run([{}]) if clean is None else _compared(clean, len(reads))
        wanted = np.tile(trained, (len(reads), 1))
        gains = np.array([start[name] if start else 1.0 for name in names])
        now = scaled(gains)
        output = run(now)
        slopes = moved(gains, now, output) if rounds else np.zeros((output.size, len(gains)))
        # As large as the network, and not needed any more.
        del now
        for _ in range(rounds):
            solved = _least_squares(slopes, (wanted - output).reshape(-1), gains, noise * len(wanted))
            before = _total(output, wanted, gains, noise)
            for share in _SHARES:
                tried = gains + share * (solved - gains)
                outcome = run(scaled(tried))
                if _total(outcome, wanted, tried, noise) < before:
                    break
            else:
                break
            slopes = _followed(slopes, tried - gains, (outcome - output).reshape(-1))
            gains, output = tried, outcome
            if _total(output, wanted, gains, noise) > (1 - _WORTH) * before:
                break
    return Balanced(dict(zip(names, gains.tolist(), strict=True)), _bias(output, wanted))


def _followed(slopes: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The slopes nearest to the given ones by which a step makes the change that it made."""
    length = float(step @ step)
    return slopes + np.outer(change - slopes @ step, step / length) if length else slopes


def read_at(mean: torch.Tensor, gain: float, outliers: Outliers | None) -> torch.Tensor:
    """Expected weights, given at a readout gain of 1, at another one; it does not scale outliers."""
    scaled = gain * mean
    if outliers:
        outliers.put(scaled)
    return scaled


def _compared(outputs: torch.Tensor, reads: int) -> np.ndarray:
    return np.asarray(_sampled(outputs, reads).double().cpu().numpy())


def _sampled(outputs: torch.Tensor, reads: int) -> torch.Tensor:
    """A random subset of the outputs of each sample, at most `_MOST_OUTPUTS` in all reads, always the same ones.

    They are multiplied by sqrt(outputs / outputs in the subset), so that squared deviations keep their mean.
    """
    samples, size = outputs.shape
    kept = max(1, _MOST_OUTPUTS // (samples * reads))
    if size <= kept:
        return outputs
    chosen = torch.randperm(size, generator=torch.Generator().manual_seed(0), device="cpu")[:kept]
    return torch.index_select(outputs, 1, chosen.to(outputs.device)).mul((size / kept) ** 0.5)


def _least_squares(slopes: np.ndarray, missing: np.ndarray, gains: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Gains that minimise ||missing - slopes (change of gains)||**2 + noise of the gains + a ridge on their change.

    The ridge holds directions that do not matter, such as one factor up and the next down, at the present gains.
    """
    # A tensor without effect has no scale of its own for the ridge, and takes the largest.
    strength = (slopes**2).sum(0)
    pull = np.sqrt(_DAMPING * np.where(strength > 0, strength, strength.max() or 1.0))
    rows = np.concatenate([slopes, np.diag(np.sqrt(noise)), np.diag(pull)])
    wanted = np.concatenate([missing + slopes @ gains, np.zeros(len(gains)), pull * gains])
    return np.asarray(scipy.optimize.lsq_linear(rows, wanted, bounds=LIMITS).x)


def _bias(output: np.ndarray, clean: np.ndarray) -> float:
    return float(((output - clean) ** 2).sum() / len(clean))


def _total(output: np.ndarray, clean: np.ndarray, gains: np.ndarray, noise: np.ndarray) -> float:
    return _bias(output, clean) + float((noise * gains**2).sum())
