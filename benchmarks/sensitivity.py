"""Gains of all tensors: against the paper's procedure at equal standard error, and against plain backward passes."""

import math
import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from benchmarks.chain import chain, samples
from benchmarks.harness import Measurement, medians, threads
from qtaml.model import stored_weights
from qtaml.sensitivity import Gain, jacobian_gains

T = TypeVar("T")

RELATIVE_ERROR = 0.05
_EPSILON = 1e-3
_AT_ONCE = 8
_FIXED_PASSES = 16


def measure(quick: bool = False) -> list[Measurement]:
    """Time gains as tensors, weights and samples grow, on one thread.

    Args:
        quick: smaller sizes.
    """
    with threads(1):
        equal_error = [_equal_error(tensors) for tensors in ((4, 8) if quick else (10, 50, 200))]
        few, width, number = (4, 64, 64)
        tensors = [_plain_passes(t, width, number, t, "tensors") for t in ((4, 8) if quick else (10, 50, 200))]
        widths = (16, 32) if quick else (64, 256, 1024, 2048)
        weights = [_plain_passes(few, w, number, _size(few, w), "weights") for w in widths]
        counts = (16, 32) if quick else (64, 256, 1024, 4096)
        of_samples = [_plain_passes(few, width, n, n, "samples") for n in counts]
    return [*equal_error, *tensors, *weights, *of_samples]


def papers_gains(
    model: nn.Module, batch: torch.Tensor, relative_error: float, seed: int = 0
) -> tuple[dict[str, float], int]:
    """The paper's procedure: Gaussian probes of one tensor after the other, 8 more until the error is small enough.

    Args:
        model: in evaluation mode; its weights are disturbed in place and put back.
        batch: inputs.
        relative_error: of the gain of each tensor; its standard error.
        seed: of the probes.

    Returns:
        The gains, and the number of forward passes.

    Source:
        paper, algorithm 1, step 1.
    """
    generator = torch.Generator().manual_seed(seed)
    gains, passes = {}, 1
    with torch.no_grad():
        clean = model(batch)
        for name, weight in stored_weights(model).items():
            original, values = weight.detach().clone(), torch.zeros(0)
            while not len(values) or values.std() / math.sqrt(len(values)) > relative_error * values.mean():
                for _ in range(_AT_ONCE):
                    weight.copy_(original + _EPSILON * torch.randn(weight.shape, generator=generator))
                    deviation = (model(batch) - clean).square().sum(1).mean() / (_EPSILON**2 * weight.numel())
                    values = torch.cat((values, deviation.reshape(1)))
            weight.copy_(original)
            gains[name] = float(values.mean())
            passes += len(values)
    return gains, passes


def backward_passes(model: nn.Module, call: Callable[[], object]) -> int:
    """How many backward passes go through a model during a call."""
    made = 0

    def count(_: torch.Tensor) -> None:
        nonlocal made
        made += 1

    def watch(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        if output.requires_grad:
            output.register_hook(count)

    with model.register_forward_hook(watch):
        call()
    return made


def _equal_error(tensors: int) -> Measurement:
    """Gains to the same standard error by either procedure, once each: the paper's takes long."""
    model, batch = chain(tensors), samples(64)
    weights = stored_weights(model)

    def gains() -> dict[str, Gain]:
        return jacobian_gains(model, batch, weights, passes=1000, relative_error=RELATIVE_ERROR)

    backward = backward_passes(model, gains)
    found, seconds = _timed(gains)
    (reference, forward), reference_seconds = _timed(lambda: papers_gains(model, batch, RELATIVE_ERROR))
    apart = max(abs(found[name].squared / reference[name] - 1) for name in weights)
    note = f"{backward} backward against {forward:,} forward passes; gains at most {apart:.0%} apart"
    what = f"gains, standard errors below {RELATIVE_ERROR:.0%}"
    return Measurement("sensitivity", what, tensors, "tensors", seconds, "the paper's probes", reference_seconds, note)


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def _size(tensors: int, width: int) -> int:
    return sum(weight.numel() for weight in stored_weights(chain(tensors, width)).values())


def _plain_passes(tensors: int, width: int, number: int, size: int, unit: str) -> Measurement:
    """Gains by a fixed number of passes next to as many plain backward passes through one graph: the floor."""
    model, batch = chain(tensors, width), samples(number)
    weights = stored_weights(model)

    def plain() -> None:
        output = model(batch)
        for _ in range(_FIXED_PASSES):
            torch.autograd.grad(output, list(model.parameters()), torch.ones_like(output), retain_graph=True)

    seconds, floor = medians(
        [lambda: jacobian_gains(model, batch, weights, passes=_FIXED_PASSES), plain], repetitions=3
    )
    what = f"gains, {_FIXED_PASSES} passes"
    return Measurement("sensitivity", what, size, unit, seconds, f"{_FIXED_PASSES} plain backward passes", floor)
