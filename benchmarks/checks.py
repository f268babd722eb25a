"""What the checks of planning and measuring cost, in processor time, next to the same without them."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

import qtaml
from benchmarks.harness import Measurement, threads
from qtaml.memory import Memory
from qtaml.model import stored_weights
from qtaml.networks import RECIPES
from qtaml.sensitivity import calibration as measurements
from qtaml.sensitivity import checked_gains, jacobian_gains

P = 0.05
_PASSES, _TRIALS = 32, 30


def measure(quick: bool = False) -> list[Measurement]:
    """Time gains, plans and measurements with and without their checks, on one thread.

    Args:
        quick: smaller sizes.
    """
    with threads(1):
        if quick:
            return _checks(*_built_in("SmallCNN", 16))
        networks = [_built_in("SmallCNN", 64), _built_in("Transformer", 64), _perceptron(2048)]
        return [row for network in networks for row in _checks(*network)]


def _built_in(name: str, samples: int) -> tuple[str, nn.Module, Any]:
    """A network that comes with the package, untrained: the time does not depend on that."""
    torch.manual_seed(0)
    recipe = RECIPES[name]
    return name, recipe.build().eval(), recipe.data().calibration[:samples]


def _perceptron(width: int) -> tuple[str, nn.Module, torch.Tensor]:
    """Three layers, of which the middle one has most of the weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    return "perceptron", model.eval(), torch.randn(32, 256)


def _checks(name: str, model: nn.Module, inputs: torch.Tensor) -> list[Measurement]:
    """Gains, a whole plan, and the first measurement of a memory, each next to the same without its checks."""
    weights = stored_weights(model)
    size = sum(weight.numel() for weight in weights.values())
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=P, protected_bits=2))
    labels = model(inputs).argmax(-1)

    def gains(check: bool) -> object:
        return (checked_gains if check else jacobian_gains)(model, inputs, weights, passes=_PASSES)

    def plan(check: bool) -> object:
        with _unchecked(check):
            return qtaml.compensate(model, inputs, p=P, overhead=0.1, passes=_PASSES)

    def measured(check: bool) -> object:
        fresh = Memory(memory.artifact, model)
        with _unchecked(check):
            return qtaml.evaluate(fresh, qtaml.Accuracy(inputs, labels), trials=_TRIALS)

    found = []
    for what, call in (("gains", gains), ("compensate", plan), (f"evaluate, {_TRIALS} reads", measured)):
        seconds, without = _processor_medians([partial(call, True), partial(call, False)], 3)
        note = f"{100 * (seconds / without - 1):.0f}% more"
        row = Measurement("checks", f"{what}, {name}", size, "weights", seconds, "without checks", without, note)
        found.append(row)
    return found


def _plain_gains(*arguments: Any, unreached_floor: float, **more: Any) -> object:
    """Gains of backward passes alone, which have no floor for tensors that none reaches."""
    return jacobian_gains(*arguments, **more)


@contextmanager
def _unchecked(check: bool) -> Iterator[None]:
    """Gains that are not held against forward passes, and reads that are not seen to reach the output, inside it."""
    if check:
        yield
        return
    gains, reads = measurements.checked_gains, Memory.unread_on
    measurements.checked_gains = _plain_gains
    Memory.unread_on = lambda *_: ()
    try:
        yield
    finally:
        measurements.checked_gains, Memory.unread_on = gains, reads


def _processor_medians(functions: list[Callable[[], object]], repetitions: int) -> list[float]:
    """Median processor seconds of each function, in turns, after one call of each to warm up."""
    for function in functions:
        function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repetitions):
        for own, function in zip(times, functions, strict=True):
            start = time.process_time()
            function()
            own.append(time.process_time() - start)
    return [statistics.median(own) for own in times]
