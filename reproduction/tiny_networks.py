"""Small networks like those of MLPerf Tiny, and stacks of dense layers, for the digits that ship with scikit-learn."""

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise

import torch
from torch import nn

from qtaml.networks import ResCNN, SmallCNN, load_digits, train_classifier

EPOCHS = 12


class DepthwiseCNN(nn.Module):
    """Depthwise-separable convolutions, as in the keyword and the person networks of MLPerf Tiny.

    Example:
        >>> sum(p.numel() for p in DepthwiseCNN().parameters() if p.ndim > 1)
        5856
    """

    def __init__(self, channels: int = 32, blocks: int = 4) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.blocks = nn.ModuleList(_separable(channels) for _ in range(blocks))
        self.last = nn.Linear(channels, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 10), of images of shape (samples, 1, 8, 8)."""
        x = torch.relu(self.first(images))
        for place, block in enumerate(self.blocks):
            x = block(x)
            if place == 1:
                x = torch.max_pool2d(x, 2)
        out: torch.Tensor = self.last(x.mean((2, 3)))
        return out


def _separable(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def dense(layers: int, activation: Callable[[], nn.Module], width: int = 64) -> nn.Module:
    """A stack of dense layers of one width, as the anomaly network of MLPerf Tiny is made of.

    Args:
        layers: of weights, at least 2.
        activation: after each but the last.
        width: of the hidden layers.

    Example:
        >>> len(dense(3, nn.ReLU))
        6
    """
    sizes = [64, *[width] * (layers - 1)]
    hidden = [part for inputs, outputs in pairwise(sizes) for part in (nn.Linear(inputs, outputs), activation())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 10))


BUILDS: dict[str, Callable[[], nn.Module]] = {
    "depthwise": DepthwiseCNN,
    "residual": ResCNN,
    "convolutions": SmallCNN,
    **{
        f"dense {layers}, {name}": partial(dense, layers, activation)
        for name, activation in {"ReLU": nn.ReLU, "tanh": nn.Tanh}.items()
        for layers in (2, 4, 8)
    },
}
"""By name."""


@cache
def trained_network(name: str, seed: int, epochs: int = EPOCHS) -> nn.Module:
    """A trained network; the same object for the same arguments.

    Args:
        name: a key of `BUILDS`.
        seed: of the training.
        epochs: of the training.
    """
    digits = load_digits()
    return train_classifier(BUILDS[name], digits.train_images, digits.train_labels, epochs=epochs, seed=seed)
