"""A network whose forward pass, while it is trained, computes with its weights as the memory gives them back."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import child_seed
from qtaml.errors import ModelError
from qtaml.faults import AnyFault, FaultModel, GivenFault, given
from qtaml.memory import check_fits
from qtaml.model import check_storable, named_tensors, uncompiled, uncompiled_name, whole_copy
from qtaml.planning import Plan
from qtaml.training.adapters import has_adapters
from qtaml.training.weights_as_read import Errors, WeightsAsRead


class _StraightThrough(torch.autograd.Function):
    """What is read, in place of the weight: the gradient goes to the weight as it is."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        return read.view_as(read)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None


class NoisyNetwork(nn.Module):
    """A network that is trained as it is read: an ordinary module, made by `qtaml.noisy`.

    In training mode each forward pass is a step: the weights of that moment are encoded under the plan and read once,
    with errors of their own, and the gradients of what is read go straight through to the weights. In evaluation mode
    it computes with the weights themselves.

    Attributes:
        model: the network with its float weights, for `qtaml.store(tuned.model, tuned.plan)`.
        plan: how it is stored. What a plan predicts of the network that it was made for is left out.
        fault: how the memory fails.
        chip: the one chip whose reads are trained on; None for another chip in every step.
        errors: "law", "gaussian" or "none", as for `noisy`.
        seed: of the errors.
        steps: steps made so far, a buffer: a state dict that is loaded goes on where it was saved.
    """

    steps: torch.Tensor

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        *,
        fault: AnyFault | None = None,
        chip: int | None = None,
        errors: Errors = "law",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.plan, self.fault, self.errors = without_measurements(plan), fault or plan.fault, errors
        self.chip = None if chip is None else _checks.integer("chip", chip, 0)
        self.seed = _checks.integer("seed", seed, 0)
        self.model, self._adapted = trainable_copy(model, plan), has_adapters(model)
        self._reads = WeightsAsRead(self.plan, errors)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> "NoisyNetwork":
        """Set training mode, as any module; programs of `torch.export` as well."""
        try:
            super().train(mode)
        except NotImplementedError:
            for module in self.modules():
                module.training = mode
        return self

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network gives, in training mode as read once; arguments as its own.

        Raises:
            ModelError: if a stored weight is frozen, or a step runs inside a backward pass.
        """
        if not self.training:
            return self.model(*args, **kwargs)
        next_step = self._next_step
        if torch.compiler.is_compiling():
            # It would be compiled anew for each number of a step. Only then: what disables it takes a second to import.
            next_step = torch.compiler.disable(next_step)  # type: ignore[no-untyped-call]
        return torch.func.functional_call(self.model, next_step(), args, kwargs)

    def _next_step(self) -> dict[str, torch.Tensor]:
        step = int(self.steps)
        tensors = self.tensors_as_read(self.seed_of(step), self.fault_of(step))
        self.steps += 1
        return tensors

    def seed_of(self, step: int) -> int:
        """The seed of a step, from 0: what `Memory.read` with it gives is what the step computes with."""
        return child_seed(self.seed, "step", _checks.integer("step", step, 0))

    def fault_of(self, step: int) -> FaultModel:
        """The memory that a step reads: one chip of the fault model."""
        chip = child_seed(self.seed, "chip", _checks.integer("step", step, 0)) if self.chip is None else self.chip
        return self.fault.of_chip(chip)

    def tensors_as_read(self, seed: int | None, fault: FaultModel) -> dict[str, torch.Tensor]:
        """The stored tensors as read once, by all their names, with gradients that go to the weights.

        Args:
            seed: as for `Memory.read`.
            fault: how the memory fails.

        Raises:
            ModelError: if a stored weight is frozen, or not finite.
        """
        present = named_tensors(self.model)
        read: dict[str, torch.Tensor] = {}
        for entry in self.plan.tensors:
            weight = present[entry.name]
            if not self._adapted:
                _check_trainable(entry.name, weight)
            with torch.no_grad():
                new = self._reads(entry, weight.detach(), seed, fault)
            # A view: what is read stays as it is as long as something refers to its storage.
            through = new.view_as(new)
            if weight.requires_grad:
                through = _StraightThrough.apply(weight, new)  # type: ignore[no-untyped-call]
            read |= dict.fromkeys((entry.name, *entry.aliases), through)
        return read

    def extra_repr(self) -> str:
        """What is stored, and how it fails."""
        return f"{self.plan.weights:,} weights as read from {self.fault}, errors={self.errors!r}"


def noisy(
    model: nn.Module,
    plan: Plan,
    *,
    fault: GivenFault | None = None,
    chip: int | None = None,
    errors: Errors = "law",
    seed: int = 0,
) -> NoisyNetwork:
    """A network to train that knows its memory: each forward pass in training mode reads the weights of that moment.

    It is an ordinary module: make the optimiser of *its* parameters, and train it as any other. Step n computes with
    what `store(tuned.model, tuned.plan).read(seed=tuned.seed_of(n), fault=tuned.fault_of(n))` gives.

    Args:
        model: the trained network; it is not changed, a copy of it is trained.
        plan: how it is stored, such as what `design` returns.
        fault: the memory to train for, or several, one of which is drawn for each step; that of the plan if not given.
        chip: number of the one chip to train for, whose weak cells stay where they are; None draws another chip for
            each step.
        errors: "law" draws from the exact law of the memory; for comparison, "gaussian" is Gaussian noise of the same
            mean and variance for each weight, and "none" rounds only (quantisation-aware training).
        seed: the same seed gives the same errors in each step.

    Returns:
        The module. After training, `tuned.model` and `tuned.plan` are for `qtaml.store`.

    Raises:
        ModelError: if the plan was made for another network, a stored tensor is frozen, or the model cannot be copied.

    Source:
        paper, section 6 (distribution-matched training).

    Example:
        >>> import qtaml
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> tuned = noisy(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
        >>> optimizer = torch.optim.SGD(tuned.parameters(), lr=0.1)
        >>> loss = tuned(torch.ones(3, 4)).square().mean()
        >>> loss.backward()
        >>> optimizer.step()
        >>> memory = qtaml.store(tuned.model, tuned.plan)
    """
    return NoisyNetwork(
        model, plan, fault=None if fault is None else given(None, fault), chip=chip, errors=errors, seed=seed
    )


def without_measurements(plan: Plan) -> Plan:
    """A plan without what was measured of the network that it was made for, which is about to change.

    Without feedback too: errors of rounding are fed back for weights as they are, and training moves those.
    """
    plain = plan.without_feedback()
    tensors = tuple(replace(one, gain=None, predicted_error=None, correction_test=None) for one in plain.tensors)
    return replace(
        plain,
        tensors=tensors,
        allocation_gap=None,
        predicted_bias=None,
        outputs=None,
        confirmation=None,
        measured_error=None,
        reserve=(),
    )


def trainable_copy(model: nn.Module, plan: Plan) -> nn.Module:
    """A copy of a network to train, whose parameters ask for gradients where those of the network do.

    Raises:
        ModelError: if the plan was made for another network, a stored tensor is frozen or not finite, or the model
            cannot be copied.
    """
    check_fits(plan, model)
    present = named_tensors(model)
    for entry in plan.tensors:
        check_storable(entry.name, present[entry.name])
        if not has_adapters(model):
            _check_trainable(entry.name, present[entry.name])
    asked = {uncompiled_name(name): one.requires_grad for name, one in model.named_parameters()}
    copied = uncompiled(whole_copy(model))
    for name, parameter in copied.named_parameters():
        parameter.requires_grad_(asked[name])
    for module in copied.modules():
        module.register_forward_pre_hook(_refuse_in_backward)
    return copied


def _check_trainable(name: str, tensor: torch.Tensor) -> None:
    if isinstance(tensor, nn.Parameter) and not tensor.requires_grad:
        raise ModelError(
            f"tensor {name!r}, which the plan stores, is frozen (requires_grad=False), so it cannot be trained for its "
            "memory: unfreeze it, train adapters beside it (training.with_adapters), or make a plan with exclude that "
            "leaves it out"
        )


def _refuse_in_backward(module: nn.Module, args: Any) -> None:
    """Refuse activation checkpointing: it runs modules again outside of the step, with other weights."""
    # What torch.utils.checkpoint asks itself: the number of the backward pass that runs, or -1.
    if torch._C._current_graph_task_id() != -1:
        raise ModelError(
            f"{type(module).__name__} runs inside a backward pass, where the weights of the step are no longer in "
            "place: switch activation checkpointing off"
        )
