"""Gradients of random-sign combinations of all outputs: the passes from which gains and bias effects are found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import torch_generator
from qtaml.errors import ModelError
from qtaml.model import Batch, cut_samples, evaluation_mode, finite_outputs, replaced, sample_count

PASSES_AT_ONCE = 8
"""Passes between two looks at whether they are enough; so many are always made."""
_LARGE, _SHARE_HELD, _LEAST_HELD = 2**22, 0.5, 2**25
"""Weights above which a batch is cut by itself, so that what a forward pass holds for backward passes takes at most
this share of the memory of the weights, or 32 MiB."""
_ALIKE = 0.01
"""Largest difference of the outputs of a batch and of its parts, over the largest output, at which samples count as
independent."""


class NoGradientError(ModelError):
    """The output does not depend differentiably on any of the weights."""


def gradient_statistics(
    model: nn.Module,
    batch: Batch,
    weights: Mapping[str, torch.Tensor],
    statistic: Callable[[str, torch.Tensor], torch.Tensor],
    *,
    passes: int,
    seed: int,
    samples_at_once: int | None = None,
    enough: Callable[[Mapping[str, torch.Tensor]], bool] | None = None,
) -> dict[str, torch.Tensor]:
    """Statistics of the gradients of all tensors, which must be quadratic, over random-sign passes.

    With independent signs v the gradient g = J^T v has E[g g^T] = J^T J: any quadratic form of g is an unbiased
    estimate of the same form of the Jacobian over all samples and outputs. Samples have signs of their own, so a batch
    may be cut: the forms of its parts add up. That bounds the memory, and leaves out the products between samples of
    different parts, which only add noise.

    Args:
        model: any module; BatchNorm and dropout are in evaluation mode; it is not changed.
        batch: calibration inputs.
        weights: name to tensor, as `stored_weights` gives them.
        statistic: from the name of a tensor and its gradient: a quadratic form, or some, float64, of any shape.
        passes: largest number of backward passes, at least 2.
        seed: seed of the signs.
        samples_at_once: samples that go through the network together. The samples come first in every tensor of the
            batch that is as long as the first one. If not given all; of networks of more than four million weights so
            many that activations take at most half the memory of the weights, if outputs show that samples are
            independent; then `passes` over the number of parts, but 8, tell as much.
        enough: whether the statistics so far, by name, shape (passes, ...), will do; asked every 8 passes.

    Returns:
        The statistic of each tensor over the number of samples, shape (passes, ...), on the CPU; zeros of shape
        (passes,) for a tensor that does not act on the output.

    Raises:
        ArgumentError: if `passes` is below 2 or `samples_at_once` below 1.
        ModelError: if the model fails on the batch, its output does not depend differentiably on any of the weights, a
            statistic is not finite, or there is not one output for each sample of a part.

    Source:
        theory.md 1.7.
    """
    passes = _checks.integer("passes", passes, 2)
    if samples_at_once is not None:
        samples_at_once = _checks.integer("samples_at_once", samples_at_once, 1)
    found: dict[str, list[torch.Tensor]] = {name: [] for name in weights}
    with ExitStack() as stack:
        network = stack.enter_context(evaluation_mode(model))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        leaves = {name: _usable(weight.detach()).requires_grad_() for name, weight in weights.items()}
        stack.enter_context(replaced(network, leaves))
        batch = _usable(batch)
        if samples_at_once is None and (fitting := _samples_that_fit(network, batch, leaves)):
            samples_at_once, count = fitting, -(-(sample_count(batch) or 1) // fitting)
            passes = max(min(passes, PASSES_AT_ONCE), -(-passes // count))
        parts = list(_parts(batch, samples_at_once))
        at_once = passes if enough is None else PASSES_AT_ONCE
        for first in range(0, passes, at_once):
            numbers = range(first, min(first + at_once, passes))
            for name, values in _made(network, parts, leaves, statistic, numbers, seed).items():
                found[name].append(values)
            if enough is not None and enough({name: torch.cat(values) for name, values in found.items()}):
                break
    statistics = {name: torch.cat(values) for name, values in found.items()}
    for name, values in statistics.items():
        check_finite(name, values)
    return statistics


def check_finite(name: str, values: torch.Tensor) -> None:
    """Raise `ModelError` if an estimate that belongs to a tensor is NaN or infinite."""
    if not bool(torch.isfinite(values).all()):
        raise ModelError(
            f"the gain of tensor {name!r} is NaN or infinite: give the model in a wider dtype, such as float32"
        )


def _made(
    model: nn.Module,
    parts: Sequence[tuple[int, Batch]],
    leaves: Mapping[str, torch.Tensor],
    statistic: Callable[[str, torch.Tensor], torch.Tensor],
    numbers: range,
    seed: int,
) -> dict[str, torch.Tensor]:
    """The statistics of some passes, shape (passes, ...)."""
    # A tensor that does not act on the output has no gradient.
    sums: dict[str, list[torch.Tensor | float]] = {name: [0.0] * len(numbers) for name in leaves}
    samples = sum(sample_count(part) or 0 for _, part in parts) if len(parts) > 1 else None
    rows = 0
    for start, part in parts:
        output = finite_outputs(model, part)
        _check_output(output, part, parts)
        for place, number in enumerate(numbers):
            signs = random_signs(output, seed, number, start, samples)
            keep = place < len(numbers) - 1

            def add(name: str, leaf: torch.Tensor, place: int = place) -> None:
                gradient, leaf.grad = leaf.grad, None
                if gradient is not None:
                    sums[name][place] += statistic(name, gradient.to_dense() if gradient.is_sparse else gradient)

            with _as_they_come(leaves, add):
                # With `signs` as gradients PyTorch would import its symbolic shapes, for a second.
                torch.autograd.backward((output * signs).sum(), retain_graph=keep, inputs=list(leaves.values()))
        rows += len(output)
        # The graph goes before the next part builds its own.
        del output
    return {
        name: torch.stack([torch.as_tensor(value, dtype=torch.float64, device="cpu") for value in values]) / rows
        for name, values in sums.items()
    }


@contextmanager
def _as_they_come(leaves: Mapping[str, torch.Tensor], use: Callable[[str, torch.Tensor], None]) -> Iterator[None]:
    """Hand each leaf over once it has its gradient, so that not all gradients are in memory together."""
    hooks = [
        leaf.register_post_accumulate_grad_hook(partial(use, name))  # type: ignore[no-untyped-call]
        for name, leaf in leaves.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for leaf in leaves.values():
            leaf.grad = None


def _check_output(output: torch.Tensor, part: Batch, parts: Sequence[tuple[int, Batch]]) -> None:
    if not output.requires_grad:
        raise NoGradientError(
            "the output does not depend differentiably on any stored tensor: the forward pass may detach its "
            "output or run under no_grad"
        )
    if len(parts) > 1 and len(output) != sample_count(part):
        raise ModelError(
            f"the model gives {len(output)} outputs for {sample_count(part)} samples of the batch: samples must come "
            "first in inputs and outputs if they are to go through it in parts"
        )


def _parts(batch: Any, size: int | None) -> Iterator[tuple[int, Any]]:
    """Parts of a batch of at most `size` samples, with the place of the first one."""
    samples = sample_count(batch)
    if size is None or samples is None:
        yield 0, batch
        return
    for start in range(0, samples, size):
        yield start, cut_samples(batch, samples, slice(start, start + size))


def _samples_that_fit(model: nn.Module, batch: Batch, leaves: Mapping[str, torch.Tensor]) -> int | None:
    """Samples whose activations fit in a share of the memory of the weights; None for all, or if not independent."""
    samples = sample_count(batch) or 1
    if samples == 1 or sum(leaf.numel() for leaf in leaves.values()) <= _LARGE:
        return None
    limit = max(_SHARE_HELD * sum(leaf.nbytes for leaf in leaves.values()), _LEAST_HELD)
    try:
        one, two = (_held(model, cut_samples(batch, samples, slice(count)), leaves) for count in (1, 2))
        fitting = 1 + int(max(limit - one, 0) / max(two - one, 1))
        if fitting >= samples:
            return None
        with torch.no_grad():
            whole = finite_outputs(model, batch)
            cut = torch.cat([finite_outputs(model, part) for _, part in _parts(batch, fitting)])
    except ModelError:
        # Made for batches of one size, or something else is wrong, which will show with all samples.
        return None
    alike = whole.shape == cut.shape and len(whole) == samples
    return fitting if alike and float((whole - cut).abs().max()) <= _ALIKE * float(whole.abs().max()) else None


def _held(model: nn.Module, batch: Batch, leaves: Mapping[str, torch.Tensor]) -> int:
    """Bytes that a forward pass keeps for the backward pass, besides parameters."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        # An output that is saved would hold its own graph, for ever.
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = finite_outputs(model, batch)
    own = {one.untyped_storage().data_ptr() for one in (*model.parameters(), *leaves.values())}
    # With the output goes the graph.
    del output
    return sum(size for address, size in kept.items() if address not in own)


def _usable(value: Any) -> Any:
    """A value, with copies of tensors that were made in inference mode, which autograd refuses."""
    if isinstance(value, torch.Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, Mapping):
        return {name: _usable(item) for name, item in value.items()}
    return tuple(map(_usable, value)) if isinstance(value, tuple | list) else value


def random_signs(
    output: torch.Tensor, seed: int, number: int, start: int = 0, samples: int | None = None
) -> torch.Tensor:
    """Signs of a pass for outputs of samples from the place `start` on, of so many in all; the same in every cut."""
    # Drawn on the CPU, so that every device sees the same signs.
    generator, shape = torch_generator(seed, "signs", number), (samples or len(output), *output.shape[1:])
    signs = torch.randint(0, 2, shape, generator=generator, dtype=torch.int8, device="cpu")
    return (signs[start : start + len(output)] * 2 - 1).to(output.device, output.dtype)
