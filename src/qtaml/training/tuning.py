"""`tune`: train a network for the memory that it will be stored in."""

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ParamSpec, Protocol, overload

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from qtaml import _files
from qtaml._progress import track
from qtaml._random import child_seed
from qtaml.errors import ArgumentError, ModelError
from qtaml.model import (
    Batches,
    arguments,
    describe,
    digest,
    evaluation_mode,
    named_tensors,
    private_copy,
    random_states_kept,
    uncompiled,
    whole_copy,
)
from qtaml.planning import Plan, takes
from qtaml.training.checkpoint import Epoch, check_checkpoint_folder, load_checkpoint, save_checkpoint
from qtaml.training.losses import Loss, loss_name, loss_of, needs_labels
from qtaml.training.noisy_network import NoisyNetwork
from qtaml.training.regularisers import clip_weights, clipping_limits, gains_of, unevenness
from qtaml.training.samples import Samples, Step
from qtaml.training.tuning_settings import Tune, Tuned

P = ParamSpec("P")

_WARM_UP = 0.1
"""Share of all steps in which the learning rate grows."""
_HELD_OUT_READS = 4
"""Reads of the network on the held-out samples after each epoch, the same ones each time."""


class _OfTuning(Protocol[P]):
    """Typed as `OfModel`, with the arguments of tuning."""

    @overload
    def __call__(
        self,
        model: nn.Module,
        plan: Plan,
        batches: Batches,
        settings: Tune,
        /,
        *,
        loss: Loss = "output_error",
        held_out: Batches | None = None,
        checkpoint: str | Path | None = None,
        teacher: nn.Module | None = None,
    ) -> Tuned: ...
    @overload
    def __call__(
        self,
        model: nn.Module,
        plan: Plan,
        batches: Batches,
        loss: Loss = "output_error",
        held_out: Batches | None = None,
        checkpoint: str | Path | None = None,
        teacher: nn.Module | None = None,
        *args: P.args,
        **settings: P.kwargs,
    ) -> Tuned: ...


def _takes(record: Callable[P, Tune]) -> Callable[[Callable[..., Tuned]], _OfTuning[P]]:
    return takes(record)  # type: ignore[return-value]


@_takes(Tune)
def tune(
    model: nn.Module,
    plan: Plan,
    batches: Batches,
    settings: Tune,
    *,
    loss: Loss = "output_error",
    held_out: Batches | None = None,
    checkpoint: str | Path | None = None,
    teacher: nn.Module | None = None,
) -> Tuned:
    """Train a network for its memory: in each step it computes with its weights as the memory gives them back.

    The loop around `qtaml.noisy` for those who have none: Adam with warm-up and cosine. Statistics of batch
    normalisation stay as they are. The same arguments give the same weights, on as many threads.

    Args:
        model: the trained network; it is not changed.
        plan: how it is stored, such as what `design` returns; it stays as it is.
        batches: without labels a batch of inputs, or an iterable of batches; with labels a pair (inputs, labels), or an
            iterable of such pairs. What is an iterable is gone through in each epoch.
        loss: "output_error" or "divergence" from the outputs of the network as it is, which need no labels;
            "cross_entropy" with labels; or a function of outputs and labels. See `qtaml.training.loss_of`.
        held_out: samples that are not trained on, of the same kind as `batches`: their loss decides which epoch is
            kept, or the network as it was if none is better, and with `patience` when to stop.
        checkpoint: a folder that is written after each epoch. If it is there, the training goes on from it, to the same
            weights bit for bit.
        teacher: the network whose outputs are wanted, where there are no labels; the model as it is if not given.
        settings: a record `qtaml.training.Tune`; or its fields as keyword arguments:

    Returns:
        The tuned network with its plan, for `qtaml.store(tuned.model, tuned.plan)`.

    Raises:
        ArgumentError: if an argument has a value that is not allowed, or batches can be gone through once only.
        ModelError: if the plan was made for another network, stored weights are frozen, the network fails on a batch,
            or the loss is not finite.
        StoredFileError: if the checkpoint cannot be read or written.

    Source:
        paper, section 6 (distribution-matched training).

    Example:
        >>> import qtaml
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
        >>> plan = qtaml.uniform_msp(model, p=0.1, protected_bits=0)
        >>> tuned = tune(model, plan, torch.randn(64, 8), epochs=2, clip=1.0)
        >>> memory = qtaml.store(tuned.model, tuned.plan)
    """
    return tune_within(None, model, plan, batches, settings, loss, held_out, checkpoint, teacher)


def tune_within(
    limits: Mapping[str, float] | None,
    model: nn.Module,
    plan: Plan,
    batches: Batches,
    settings: Tune,
    loss: Loss,
    held_out: Batches | None,
    checkpoint: str | Path | None,
    teacher: nn.Module | None,
) -> Tuned:
    """`tune`, with the largest magnitude of each stored tensor given where `clip` would find one; None for none."""
    training = _Training(limits, model, plan, batches, settings, loss, held_out, teacher)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None:
        check_checkpoint_folder(path)
        training.resume(path)
    for _ in track(range(training.left), "tuning"):
        training.epoch()
        if path is not None:
            training.save(path)
        if training.ended:
            break
    return training.result()


class _Training:
    """A training between two epochs; arguments as for `tune_within`."""

    def __init__(
        self,
        limits: Mapping[str, float] | None,
        model: nn.Module,
        plan: Plan,
        batches: Batches,
        settings: Tune,
        loss: Loss,
        held_out: Batches | None,
        teacher: nn.Module | None,
    ) -> None:
        self._model, self._settings, self._loss = model, settings, loss_of(loss)
        labelled = needs_labels(loss)
        size = settings.batch_size
        self._samples = Samples("batches", batches, labelled=labelled, batch_size=size)
        self._held_out = None
        if held_out is not None:
            self._held_out = Samples("held_out", held_out, labelled=labelled, batch_size=size)
        if settings.patience is not None and held_out is None:
            raise ArgumentError(f"held_out must be given with patience, got patience={settings.patience}")
        self._tuned = NoisyNetwork(
            model, plan, fault=settings.fault, chip=settings.chip, errors=settings.errors, seed=settings.seed
        )
        if labelled and teacher is not None:
            raise ArgumentError(f"teacher must not be given with labels, got loss={loss!r}")
        self._teacher = None if labelled else private_copy(teacher or model)
        self._check_learning_rate()
        self._gains = gains_of(plan) if settings.evenness else {}
        self._limits = limits
        if limits is None and settings.clip is not None:
            self._limits = clipping_limits(self._tuned, settings.clip)
        kept = [one.whole for one in (self._samples, self._held_out) if one is not None]
        asked = [_files.to_json(settings), plan.to_json(), loss_name(loss), digest(named_tensors(model)), digest(kept)]
        asked += [] if teacher is None else [digest(named_tensors(teacher))]
        asked += [] if limits is None else [repr(sorted(limits.items()))]
        self._asked = _files.sha256("\n".join(asked).encode())
        self._before = None if self._held_out is None else self._held_out_loss(self._held_out)
        if self._limits is not None:
            clip_weights(self._tuned, self._limits)
        self._parameters = {name: one for name, one in self._tuned.model.named_parameters() if one.requires_grad}
        self._optimizer = torch.optim.Adam(self._parameters.values(), lr=settings.learning_rate)
        self._history: tuple[Epoch, ...] = ()
        self._best: dict[str, torch.Tensor] = {}

    @property
    def left(self) -> int:
        """Epochs to be made."""
        return 0 if self.ended else self._settings.epochs - len(self._history)

    @property
    def ended(self) -> bool:
        """Whether the loss on held-out samples has not fallen for long enough."""
        patience = self._settings.patience
        return patience is not None and len(self._history) - 1 - self._best_epoch >= patience

    @property
    def _best_epoch(self) -> int:
        losses = [one.held_out for one in self._history]
        found = [one for one in losses if one is not None]
        return losses.index(min(found)) if found else len(losses) - 1

    def epoch(self) -> None:
        """One pass over the samples."""
        number, losses = len(self._history), []
        with _seeded(child_seed(self._settings.seed, "epoch", number)):
            self._tuned.train()
            for module in self._tuned.modules():
                # Statistics of what is read once would be those of its errors.
                if isinstance(module, _NormBase) and module.track_running_stats:
                    module.training = False
            steps = self._steps_of_an_epoch
            for place, step in enumerate(self._samples.shuffled(child_seed(self._settings.seed, "order", number))):
                self._set_learning_rate((number + place / steps) / self._settings.epochs)
                losses.append(self._step(step, f"in epoch {number + 1}, step {place + 1}"))
            self._check_weights(f"after epoch {number + 1}")
            held_out = None if self._held_out is None else self._held_out_loss(self._held_out)
        self._history = (*self._history, Epoch(float(np.mean(losses)), held_out))
        if held_out is not None and self._best_epoch == number:
            self._best = {name: one.detach().clone() for name, one in self._state().items()}

    @cached_property
    def _steps_of_an_epoch(self) -> int:
        return self._samples.steps()

    def _set_learning_rate(self, share: float) -> None:
        factor = min(share / _WARM_UP, 1.0) * (1 + math.cos(math.pi * max(share - _WARM_UP, 0) / (1 - _WARM_UP))) / 2
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * factor

    def _step(self, step: Step, where: str) -> float:
        self._optimizer.zero_grad()
        loss = self._loss_of(step, self._tuned)
        if self._settings.evenness:
            loss = loss + self._settings.evenness * unevenness(self._tuned, self._gains)
        value = self._finite(float(loss.detach()), where)
        if not loss.requires_grad:
            raise ModelError(f"the loss has no gradient {where}: it must be computed from the outputs of the network")
        torch.autograd.backward(loss)
        self._optimizer.step()
        if self._limits is not None:
            clip_weights(self._tuned, self._limits)
        return value

    def _check_learning_rate(self) -> None:
        """Refuse steps as large as the weights: all losses stay finite, and nothing of the network is left."""
        present, rate = named_tensors(self._model), self._settings.learning_rate
        largest = max(
            float(present[one.name].detach().double().square().mean().sqrt()) for one in self._tuned.plan.tensors
        )
        if rate > largest > 0:
            raise ArgumentError(
                f"learning_rate must be below the root mean square of the stored weights, at most {largest:.3g}: a "
                f"step moves each weight by about so much, got {rate:g}"
            )

    def _check_weights(self, where: str) -> None:
        # A loss can be finite where its gradient is not: after the last step nothing else would tell.
        for name, parameter in self._parameters.items():
            if not bool(parameter.isfinite().all()):
                raise ModelError(f"{name} is not finite {where}, though the loss is: its gradient is not")

    def _finite(self, loss: float, where: str) -> float:
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} {where}: lower learning_rate, which is {self._settings.learning_rate:g}, or look "
                "for such values in the samples"
            )
        return loss

    def _loss_of(self, step: Step, network: Callable[..., Any]) -> torch.Tensor:
        output = _called(network, step, self._tuned.model)
        target: Any = step.labels
        if self._teacher is not None:
            with torch.no_grad(), evaluation_mode(self._teacher) as teacher:
                target = _called(teacher, step, teacher)
        loss = self._loss(output, target)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            got = describe(loss) if isinstance(loss, torch.Tensor) else repr(loss)
            raise ArgumentError(f"loss must give a tensor of one number, got {got}")
        return loss.reshape(())

    def _held_out_loss(self, samples: Samples) -> float:
        """Mean loss over some reads, the same ones after each epoch."""
        tuned, seed, total = self._tuned, self._settings.seed, 0.0
        tuned.eval()
        for read in range(_HELD_OUT_READS):
            # Numbers of their own, far from those of the steps.
            own = child_seed(seed, "held out", read)
            chip = own if tuned.chip is None else tuned.chip
            with torch.no_grad():
                tensors = tuned.tensors_as_read(own, tuned.fault.of_chip(chip))
                network = partial(_with_tensors, tuned.model, tensors)
                losses = [float(self._loss_of(step, network)) for step in samples.in_order()]
            total += float(np.mean(losses)) / _HELD_OUT_READS
        return self._finite(total, "on the held-out samples")

    def _state(self) -> dict[str, torch.Tensor]:
        """What changes in the network, each tied tensor once."""
        return {**dict(self._tuned.model.named_parameters()), **dict(self._tuned.model.named_buffers())}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        tensors = {f"now.{name}": one for name, one in self._state().items()}
        tensors |= {f"best.{name}": one for name, one in self._best.items()}
        for name, parameter in self._parameters.items():
            tensors |= {f"{kind}.{name}": one for kind, one in self._optimizer.state[parameter].items()}
        save_checkpoint(path, self._asked, int(self._tuned.steps), self._history, tensors)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        found = load_checkpoint(path, self._asked)
        if found is None:
            return
        progress, tensors = found
        self._history = progress.history
        self._tuned.steps.fill_(progress.steps)
        by_kind: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, own = name.partition(".")
            by_kind.setdefault(kind, {})[own] = tensor
        with torch.no_grad():
            for name, tensor in self._state().items():
                tensor.copy_(by_kind["now"][name])
        self._best = {name: one.to(self._state()[name].device) for name, one in by_kind.get("best", {}).items()}
        for name, parameter in self._parameters.items():
            moments = {kind: of[name] for kind, of in by_kind.items() if kind not in ("now", "best") and name in of}
            if moments:
                self._optimizer.state[parameter] = {
                    kind: one if kind == "step" else one.to(parameter.device) for kind, one in moments.items()
                }

    def result(self) -> Tuned:
        """The tuned network, of the best epoch where samples were held out."""
        network, best = uncompiled(whole_copy(self._model)), self._best_epoch
        reached = self._history[best].held_out
        if self._before is not None and reached is not None and not reached < self._before:
            best = -1
        state = self._best or self._state()
        with torch.no_grad():
            for name, tensor in (*network.named_parameters(), *network.named_buffers()):
                if best >= 0:
                    tensor.copy_(state[name])
        for own, trained in zip(network.parameters(), self._tuned.model.parameters(), strict=True):
            own.requires_grad_(trained.requires_grad)
        for module in network.modules():
            module.training = False
        return Tuned(network, self._tuned.plan, self._history, self._settings, best, self._before)


def _with_tensors(model: nn.Module, tensors: dict[str, torch.Tensor], *args: Any, **kwargs: Any) -> Any:
    return torch.func.functional_call(model, tensors, args, kwargs)


def _called(network: Callable[..., Any], step: Step, model: nn.Module) -> Any:
    args, kwargs = arguments(step.inputs, model)
    try:
        return network(*args, **kwargs)
    except (TimeoutError, ModelError):
        raise
    except Exception as error:
        raise ModelError(f"the model failed on inputs of {describe(step.inputs)}: {error}") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Global generators with a seed of ours: what layers and loaders draw is the same after a restart."""
    with random_states_kept():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        yield
