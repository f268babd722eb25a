"""Whether the mean correction of each tensor helps: measured on the output, one tensor at a time."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from qtaml._random import child_seed
from qtaml.faults import FaultModel
from qtaml.formats import TensorFormat
from qtaml.model import Batch
from qtaml.sensitivity import output_deviations


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
    plain = replace(stored, correction="none")
    encoded = [(way, *way.encode(weight, fault)) for way in (plain, stored)]
    (_, words, scale), (_, corrected_words, corrected_scale) = encoded
    if torch.equal(words, corrected_words) and torch.equal(scale, corrected_scale):
        return None
    changes = (
        {name: way.read(words, scale, fault, seed=child_seed(seed, "correction", name, trial)).to(weight.dtype)}
        for way, words, scale in encoded
        for trial in range(trials)
    )
    without, corrected = output_deviations(model, batch, changes).reshape(2, trials)
    return CorrectionTest(
        float(without.mean()), float(corrected.mean()), float((corrected - without).std() / trials**0.5)
    )
