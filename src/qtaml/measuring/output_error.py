"""Squared output error, and a check of the predicted one against the measured one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import nn

from qtaml.errors import ArgumentError
from qtaml.faults import AnyFault
from qtaml.measuring.estimate import Estimate
from qtaml.measuring.mean_intervals import joined
from qtaml.measuring.metrics import batches_of
from qtaml.measuring.monte_carlo import Result, evaluate
from qtaml.memory import Memory
from qtaml.model import Batch, evaluation_mode, finite_outputs
from qtaml.planning import Plan


class OutputError:
    """Squared deviation ||f(W') - f(W)||**2 of the outputs of a read network from those of the clean one.

    Its mean over reads and samples is what lemma 4.3 of the paper predicts.

    Args:
        model: the clean network; it is run once, in evaluation mode, and not changed.
        batch: inputs: a tensor, a tuple of inputs or a dictionary of them, samples first.
        batch_size: samples that go through the model at once; all if not given.

    Raises:
        ArgumentError: if `batch_size` is below 1.
        ModelError: if the model fails on the batch, or gives NaN or infinity.

    Source:
        paper, lemma 4.3.

    Example:
        >>> clean = nn.Linear(2, 1, bias=False)
        >>> metric = OutputError(clean, torch.eye(2))
        >>> shifted = nn.Linear(2, 1, bias=False)
        >>> shifted.weight.data = clean.weight.data + torch.tensor([[1.0, 2.0]])
        >>> metric.scores(shifted).round(decimals=4), round(metric(shifted), 4)
        (tensor([1., 4.], dtype=torch.float64), 2.5)
    """

    bounds = (0.0, math.inf)

    def __init__(self, model: nn.Module, batch: Batch, *, batch_size: int | None = None) -> None:
        self.batches = batches_of(batch, batch_size)
        self._clean = self._outputs(model)

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Squared output deviation of each sample, float64, shape (samples,)."""
        return (self._outputs(model) - self._clean).square().sum(1)

    def __call__(self, model: nn.Module) -> float:
        """Mean squared output deviation over the samples."""
        return float(self.scores(model).mean())

    def _outputs(self, model: nn.Module) -> torch.Tensor:
        with evaluation_mode(model) as network, torch.no_grad():
            # float64: the difference of two nearly equal outputs loses the digits that they share.
            return torch.cat([finite_outputs(network, batch).double().cpu() for batch in self.batches])


@dataclass(frozen=True)
class PredictionCheck:
    """Measured output error of a memory over the one its plan predicted.

    Attributes:
        ratio: measured over predicted.
        low: lower end of its interval, for other reads on the same samples and other draws of the gains.
        high: upper end of the same.
        measured: mean squared output error over the reads.
        predicted: that of the plan, from its gains, the exact variances and the expected weights.
        predicted_standard_error: upper bound of its standard error, from the random passes of the gains.
    """

    ratio: float
    low: float
    high: float
    measured: Result
    predicted: float
    predicted_standard_error: float

    @property
    def estimate(self) -> Estimate:
        """Ratio and interval, as one record."""
        return Estimate(self.ratio, self.low, self.high, "reads and draws of the gains")

    def __str__(self) -> str:
        """Ratio and interval in one line."""
        return f"measured / predicted {self.estimate:.3g}"


def check_prediction(
    memory: Memory,
    model: nn.Module,
    batch: Batch,
    *,
    trials: int = 100,
    fault: AnyFault | Sequence[AnyFault] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
    batch_size: int | None = None,
) -> PredictionCheck:
    """Compare the measured output error of a memory with the one that its plan predicts.

    Of a plan for words that are written for each chip, each read is of a chip of its own, written so.

    The prediction is first order in the weight errors, plus the output error of the expected weights. Where 1 is
    outside the interval of the ratio, what comes beyond first order counts, or the memory fails in another way.

    Args:
        memory: the stored network, under a plan with gains, as `compensate` and `design` make it.
        model: the clean network; it is not changed.
        batch: the calibration inputs of the plan; others have other gains.
        trials: number of reads, at least 2.
        fault: how the memory fails; the plan's fault model, for which the prediction was made, if not given.
        seed: seed of the errors.
        confidence: coverage of the interval, in (0, 1).
        batch_size: samples that go through the model at once; all if not given.

    Returns:
        The ratio with its interval. The interval joins the reads' and the gains' relative errors as independent.

    Raises:
        ArgumentError: if the plan predicts no error above 0, or an argument has a value that is not allowed.
        ModelError: if the model fails on the batch.

    Source:
        paper A.7, which reports this ratio for its digit CNN; lemma 4.3.

    Example:
        >>> from qtaml.memory import store
        >>> from qtaml.planning import compensate
        >>> model, inputs = nn.Linear(16, 4), torch.randn(64, 16)
        >>> memory = store(model, compensate(model, inputs, p=0.01, overhead=0.0))
        >>> check = check_prediction(memory, model, inputs, trials=50)
        >>> check.low < check.ratio < check.high
        True
    """
    predicted = memory.plan.predicted_error
    if not predicted:
        raise ArgumentError(f"the memory's plan must predict an output error above 0, got {predicted}")
    metric = OutputError(model, batch, batch_size=batch_size)
    rewrite = model if memory.plan.by_chip else None
    measured = evaluate(memory, metric, trials=trials, fault=fault, seed=seed, confidence=confidence, rewrite=rewrite)
    error = _standard_error(memory.plan)
    of_prediction = float(scipy.stats.norm.ppf(0.5 + confidence / 2)) * error / predicted
    ratio = measured.mean / predicted
    # Relative errors of a ratio are joined; that of the prediction counts as much as the ratio is large.
    reads = (measured.reads_low / predicted, measured.reads_high / predicted)
    gains = (ratio * (1 - of_prediction), ratio * (1 + of_prediction))
    low, high = map(float, joined(np.asarray(ratio), [reads, gains], (0.0, math.inf)))
    return PredictionCheck(ratio, low, high, measured, predicted, error)


def _standard_error(plan: Plan) -> float:
    # All gains come from the same passes: their errors may be fully correlated, so they are summed, not their squares.
    return sum(
        tensor.predicted_error * tensor.gain.standard_error / tensor.gain.squared
        for tensor in plan.tensors
        if tensor.predicted_error and tensor.gain
    )
