"""ResCNN of the paper: a stem, two residual blocks, two linear layers."""

import torch
from torch import nn


class _ResidualBlock(nn.Module):
    """Two convolutions with BatchNorm beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(x + branch)


class ResCNN(nn.Module):
    """26,384 weights in 7 tensors, for 8 x 8 grey images of ten classes.

    Width 16 throughout, that of SmallCNN's first layer: the paper's widths were lost from its text.

    Source:
        paper, table 4.

    Example:
        >>> [p.numel() for p in ResCNN().parameters() if p.ndim > 1]
        [144, 2304, 2304, 2304, 2304, 16384, 640]
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.bn = nn.BatchNorm2d(16)
        self.block1 = _ResidualBlock(16)
        self.block2 = _ResidualBlock(16)
        self.fc1 = nn.Linear(16 * 4 * 4, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 10), of images of shape (samples, 1, 8, 8)."""
        x = self.block1(torch.relu(self.bn(self.stem(images))))
        x = self.block2(torch.max_pool2d(x, 2))
        out: torch.Tensor = self.fc2(torch.relu(self.fc1(x.flatten(1))))
        return out
