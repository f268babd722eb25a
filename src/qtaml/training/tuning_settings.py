"""What is asked of the training of a network for its memory, checked when it is made, and what comes of it."""

from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from qtaml import _checks
from qtaml.faults import FlipProbability, GivenDevice, GivenFault
from qtaml.planning import Plan, Settings
from qtaml.training.checkpoint import Epoch
from qtaml.training.weights_as_read import Errors


@dataclass(frozen=True, kw_only=True)
class Tune(Settings):
    """The training of a network for its memory; see `qtaml.tune`.

    Attributes:
        p: flip probability of a cell to train for, or the two ends of a range, from which one is drawn for each step;
            or
        fault: the memory to train for, or several, one of which is drawn for each step; that of the plan if
            neither these nor a device is given.
        chip: number of the one chip to train for; None draws another chip for each step.
        errors: "law" draws from the exact law of the memory; for comparison, "gaussian" is Gaussian noise of the same
            mean and variance for each weight, and "none" rounds only (quantisation-aware training).
        epochs: passes over the samples, at most.
        batch_size: samples of a step, where the samples come as one batch; batches of an iterable stay as they are.
        learning_rate: of Adam, after a tenth of all steps in which it grows from 0; a cosine takes it back to 0.
        clip: largest magnitude of the stored weights, in root mean squares of their tensor before; None for no limit.
            Errors of plain words are in units of the largest weight: about 1 is best for them, and often for others.
        evenness: weight of `unevenness` of the scores of the tensors in the loss.
        patience: epochs in a row that do not lower the loss of the held-out samples, after which it ends; None for
            all epochs. The weights of the best epoch are kept either way, where samples are held out.
        seed: of errors, and of the order of samples.

    Example:
        >>> print(Tune(epochs=5, clip=1.0))
        Tune(epochs=5, clip=1.0)
    """

    fault: GivenFault | None = None  # type: ignore[assignment]  # wider: a plan has one already
    chip: int | None = None
    errors: Errors = "law"
    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 3e-3
    clip: float | None = None
    evenness: float = 0.0
    patience: int | None = None
    seed: int = 0
    kind: Literal["tune"] = field(default="tune", repr=False)

    def __post_init__(self, p: FlipProbability | None, device: GivenDevice | None, window: float | None) -> None:
        # Unlike a method that plans, it may leave the memory to the plan.
        if all(one is None for one in (p, self.fault, device, window)):
            self._check_fields()
        else:
            super().__post_init__(p, device, window)
        for name, low in (("chip", 0), ("epochs", 1), ("batch_size", 1), ("patience", 1)):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _checks.integer(name, value, low))
        object.__setattr__(self, "learning_rate", _checks.positive("learning_rate", self.learning_rate))
        object.__setattr__(self, "evenness", _checks.non_negative("evenness", self.evenness))
        if self.clip is not None:
            object.__setattr__(self, "clip", _checks.positive("clip", self.clip))


@dataclass(frozen=True, eq=False)
class Tuned:
    """A network that was trained for its memory.

    Attributes:
        model: the network with its float weights, in evaluation mode. What they are worth is what is read of them:
            `qtaml.evaluate(qtaml.store(tuned.model, tuned.plan), metric)`.
        plan: how it is stored, without what was predicted of the network before.
        history: the epochs.
        settings: what was asked.
        best: the epoch whose weights these are, from 0: of the least loss on held-out samples, or the last. -1 if none
            was better than the network as it was, whose weights these then are.
        before: mean loss of reads of the network as it was on the held-out samples; None without such samples.
    """

    model: nn.Module
    plan: Plan
    history: tuple[Epoch, ...]
    settings: Tune
    best: int
    before: float | None = None

    def __str__(self) -> str:
        """Epochs and losses, in one line."""
        first, last = self.history[0], self.history[self.best]
        held_out = "" if self.before is None else f"; on held-out samples {self.before:.4g} before, {last.held_out:.4g}"
        kept = "the weights are as they were" if self.best < 0 else f"those of epoch {self.best + 1} are kept"
        return (
            f"{self.plan.weights:,} weights tuned; loss {first.loss:.4g} in epoch 1, {last.loss:.4g} in epoch "
            f"{self.best % len(self.history) + 1} of {len(self.history)}{held_out}{f': {kept}' if held_out else ''}"
        )
