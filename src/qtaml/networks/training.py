"""Seeded training of the small networks."""

from collections.abc import Callable

import torch
from torch import nn

from qtaml import _checks
from qtaml._progress import track
from qtaml._random import child_seed, torch_generator


def train_classifier(
    build: Callable[[], nn.Module],
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int = 30,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> nn.Module:
    """Build and train a classifier by Adam with cosine decay; torch's global random state is left as it was.

    Args:
        build: function that makes the untrained network.
        inputs: training inputs, samples first.
        labels: their classes; for sequences, the class of each position.
        epochs: passes over the data.
        batch_size: samples for each step.
        learning_rate: learning rate of the first step; a cosine takes it to 0.
        seed: seed of the initial weights and the order of the samples.

    Returns:
        The trained network, in evaluation mode.

    Source:
        paper, B.2 (the learning rate was lost from its text).
    """
    _checks.integer("epochs", epochs, 1)
    # Layers draw their initial weights from torch's global generator: seeded in a fork, and restored after it.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "initial weights"))
        model = build().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    steps = epochs * -(-len(labels) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    # A stream of its own, so that the order does not depend on how many numbers the initial weights took.
    order = torch_generator(seed, "order of samples")
    for _ in track(range(epochs), "training"):
        shuffled = torch.randperm(len(labels), generator=order)
        for start in range(0, len(labels), batch_size):
            batch = shuffled[start : start + batch_size]
            optimizer.zero_grad()
            torch.autograd.backward(_loss(model(inputs[batch]), labels[batch]))
            optimizer.step()
            schedule.step()
    return model.eval()


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # Positions of sequences count as samples.
    return nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
