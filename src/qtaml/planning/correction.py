"""Whether the mean correction of each tensor helps: predicted for all at once, or measured one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from qtaml._random import child_seed
from qtaml.faults import FaultModel
from qtaml.formats import TensorFormat
from qtaml.model import Batch
from qtaml.sensitivity import gradient_statistics, output_deviations

# Numbers widened to float64 at a time: they stay in the cache.
_PIECE = 2**16


@dataclass(frozen=True)
class CorrectionTest:
    """Squared output deviation with errors in one tensor alone, without and with its mean correction.

    Attributes:
        without: mean over the trials, uncorrected.
        corrected: mean over the same trials, corrected.
        standard_error: of their difference, from the paired trials.
    """

    without: float
    corrected: float
    standard_error: float

    @property
    def helps(self) -> bool:
        """Whether the correction lowers the deviation."""
        return self.corrected < self.without


def measure_correction(
    model: nn.Module,
    batch: Batch,
    name: str,
    weight: torch.Tensor,
    stored: TensorFormat,
    fault: FaultModel,
    *,
    trials: int,
    seed: int,
) -> CorrectionTest | None:
    """Measure both ways of storing one tensor under the same errors; all other tensors are free of errors.

    Args:
        model: any module; it is not changed.
        batch: calibration inputs.
        name: name of the tensor in the model.
        weight: its trained weights.
        stored: how it is stored, with the correction that is on trial.
        fault: how the memory fails.
        trials: reads for each way, at least 2.
        seed: seed of the errors.

    Returns:
        The two deviations, or None if both ways store the same.

    Raises:
        ModelError: if the model fails on the batch.

    Source:
        paper, algorithm 1, step 3.
    """
    ways = _both_ways(weight, stored, fault)
    if ways is None:
        return None
    changes = (
        {name: way.read(words, scale, fault, seed=child_seed(seed, "correction", name, trial)).to(weight.dtype)}
        for way, words, scale in ways
        for trial in range(trials)
    )
    return _test(*output_deviations(model, batch, changes).reshape(2, trials))


def predict_corrections(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    stored: Mapping[str, TensorFormat],
    fault: FaultModel,
    *,
    passes: int = 32,
    seed: int = 0,
    samples_at_once: int | None = None,
) -> dict[str, CorrectionTest | None]:
    """What `measure_correction` would find for each tensor, to first order, from the same few backward passes for all.

    To first order in the weight errors of a tensor, of mean b and variance v, its output deviation is
    ||J b||**2 + sum_w J_w**2 v_w. A backward pass from random signs gives a gradient g with E[g g^T] = J^T J, so
    (g . b)**2 + sum_w g_w**2 v_w has that mean, for every tensor and both ways of storing it. Takes the memory of four
    float32 numbers for each weight.

    Args:
        model: any module; it is not changed.
        batch: calibration inputs.
        weights: name to trained tensor, as `stored_weights` gives them.
        stored: how each is stored, with the correction that is on trial.
        fault: how the memory fails.
        passes: backward passes, at least 2.
        seed: seed of the signs.
        samples_at_once: samples that go through the network together; all if not given. Fewer give smaller errors.

    Returns:
        For each tensor the two deviations, or None if both ways store the same.

    Raises:
        ArgumentError: if `passes` is below 2 or `samples_at_once` below 1.
        ModelError: as `jacobian_gains`.

    Source:
        theory.md 1.7; in place of algorithm 1, step 3.
    """
    errors = {}
    for name, weight in weights.items():
        ways = _both_ways(weight, stored[name], fault)
        if ways is not None:
            errors[name] = [_read_errors(weight, *way, fault) for way in ways]
    if not errors:
        return dict.fromkeys(weights)

    def deviations(name: str, gradient: torch.Tensor) -> torch.Tensor:
        return torch.stack([_deviation(gradient, mean, variance) for mean, variance in errors[name]])

    found = gradient_statistics(
        model,
        batch,
        {name: weights[name] for name in errors},
        deviations,
        passes=passes,
        seed=seed,
        samples_at_once=samples_at_once,
    )
    # A tensor that does not act on the output has one zero for each pass.
    pairs = {name: values.reshape(len(values), -1).expand(-1, 2).T for name, values in found.items()}
    return {name: _test(*pairs[name]) if name in pairs else None for name in weights}


def _both_ways(
    weight: torch.Tensor, stored: TensorFormat, fault: FaultModel
) -> list[tuple[TensorFormat, torch.Tensor, torch.Tensor]] | None:
    """Format, words and scale without the correction and with it, or None if both store the same."""
    ways = [(way, *way.encode(weight, fault)) for way in (replace(stored, correction="none"), stored)]
    (_, words, scale), (_, corrected_words, corrected_scale) = ways
    return None if torch.equal(words, corrected_words) and torch.equal(scale, corrected_scale) else ways


def _read_errors(
    weight: torch.Tensor, way: TensorFormat, words: torch.Tensor, scale: torch.Tensor, fault: FaultModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean error and variance of each weight when read, float32."""
    mean = way.read_mean(words, scale, fault) - weight.detach().double()
    return mean.float(), way.read_variance(words, scale, fault).float()


def _deviation(gradient: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """(g . b)**2 + sum of g**2 v, float64."""
    flat = (torch.split(tensor.reshape(-1), _PIECE) for tensor in (gradient, mean, variance))
    parts = [
        torch.stack((torch.dot(g, b), torch.dot(g.square(), v)))
        for g, b, v in zip(*((part.double() for part in parts) for parts in flat), strict=True)
    ]
    sums = torch.stack(parts).sum(0)
    return sums[0].square() + sums[1]


def _test(without: torch.Tensor, corrected: torch.Tensor) -> CorrectionTest:
    """The test from paired deviations, shape (pairs,) each."""
    error = (corrected - without).std() / len(without) ** 0.5
    return CorrectionTest(float(without.mean()), float(corrected.mean()), float(error))
