"""What a plan is made of: its tensors, its errors in each memory of a reserve, and how far it is confirmed."""

from dataclasses import dataclass

import torch

from qtaml.faults import AnyFault
from qtaml.formats import TensorFormat
from qtaml.planning.correction import CorrectionTest
from qtaml.sensitivity import Gain, MeasuredError


@dataclass(frozen=True)
class MemberError:
    """Output error of a plan at one of the memories that it is made for.

    Attributes:
        fault: the memory.
        error: of some reads on the calibration inputs.
    """

    fault: AnyFault
    error: MeasuredError


@dataclass(frozen=True)
class TensorPlan:
    """How one tensor is stored, and what was measured of it.

    Attributes:
        name: name of the tensor in the model.
        aliases: other names under which the model holds the same tensor.
        shape: its shape.
        dtype: its dtype in the model, such as "float32".
        storage: sections, formats, scales and correction.
        gain: how strongly its errors act on the output; None where that was not measured.
        predicted_error: predicted mean squared output error from its variance; None without a gain.
        correction_test: what decided about its correction; None where nothing was measured.
    """

    name: str
    aliases: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    storage: TensorFormat
    gain: Gain | None = None
    predicted_error: float | None = None
    correction_test: CorrectionTest | None = None

    @property
    def side_values(self) -> int:
        """Scales, tables and other numbers that reading fitted levels needs beside the words."""
        return self.storage.side_values(self.shape)

    @staticmethod
    def of(name: str, aliases: tuple[str, ...], weight: torch.Tensor, storage: TensorFormat) -> "TensorPlan":
        """The entry of a tensor of which nothing was measured."""
        return TensorPlan(name, aliases, tuple(weight.shape), str(weight.dtype).removeprefix("torch."), storage)


@dataclass(frozen=True)
class Confirmation:
    """What confirmed a design for an accuracy, on reads or chips that had no part in finding it.

    Attributes:
        confidence: how often such statements are true, over all that was tried before.
        trials: reads, or reads of each chip.
        low: lower end of the interval of the metric over reads, or the value of all of them; None where a share of the
            chips was asked.
        good: chips that reach the accuracy.
        chips: of so many; None where the mean over reads was asked.
    """

    confidence: float
    trials: int
    low: float | None = None
    good: int | None = None
    chips: int | None = None
