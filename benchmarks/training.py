"""A step of training that reads the memory, next to the same step without: the price of `qtaml.noisy`."""

from collections.abc import Callable

import torch
from torch import nn

import qtaml
from benchmarks.chain import OUTPUTS, chain, samples
from benchmarks.harness import Measurement, medians, threads
from qtaml.model import stored_weights
from qtaml.planning import Plan

P = 0.05
_TENSORS, _SAMPLES, _STEPS = 4, 64, 4


def measure(quick: bool = False) -> list[Measurement]:
    """Time steps as the network grows, for plain words and for 4-bit words in groups, on one thread.

    Args:
        quick: smaller sizes.
    """
    widths = (32, 64) if quick else (256, 512, 1024, 2048)
    with threads(1):
        return [_step(width, name, plan_of) for name, plan_of in PLANS.items() for width in widths]


def _plain(model: nn.Module) -> Plan:
    return qtaml.uniform_msp(model, p=P, protected_bits=1)


def _groups(model: nn.Module) -> Plan:
    return qtaml.uniform_msp(model, p=P, protected_bits=1, levels="nf4", granularity=64)


PLANS: dict[str, Callable[[nn.Module], Plan]] = {
    "words of 8 bits": _plain,
    "NF4 in groups of 64": _groups,
}
"""How the network is stored, by what the row says."""


def training_step(network: nn.Module) -> Callable[[], None]:
    """A step of a network: forward and backward pass, and Adam."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    inputs, labels = samples(_SAMPLES), torch.arange(_SAMPLES) % OUTPUTS

    def step() -> None:
        for _ in range(_STEPS):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(network(inputs), labels))
            optimizer.step()

    return step


def _step(width: int, name: str, plan_of: Callable[[nn.Module], Plan]) -> Measurement:
    model = chain(_TENSORS, width)
    weights = sum(weight.numel() for weight in stored_weights(model).values())
    tuned = qtaml.noisy(model, plan_of(model)).train()
    noisy, plain = medians([training_step(tuned), training_step(model.train())], repetitions=7)
    note = f"{noisy / plain:.2f} plain steps of {_SAMPLES} samples"
    return Measurement(
        "training",
        f"a step that reads {name}",
        weights,
        "weights",
        noisy / _STEPS,
        "a plain step",
        plain / _STEPS,
        note,
    )
