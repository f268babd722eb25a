"""SmallCNN and WideCNN of the paper: two convolutions with BatchNorm, two linear layers."""

import torch
from torch import nn


class _TwoConvolutions(nn.Module):
    """For 8 x 8 grey images of ten classes."""

    def __init__(self, channels: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels[0], 3, padding=1)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.conv2 = nn.Conv2d(channels[0], channels[1], 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels[1])
        self.fc1 = nn.Linear(channels[1] * 4 * 4, hidden)
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 10), of images of shape (samples, 1, 8, 8)."""
        x = torch.relu(self.bn1(self.conv1(images)))
        x = torch.max_pool2d(x, 2)
        x = torch.relu(self.bn2(self.conv2(x)))
        x = torch.relu(self.fc1(x.flatten(1)))
        out: torch.Tensor = self.fc2(x)
        return out


class SmallCNN(_TwoConvolutions):
    """38,160 weights in tensors of 144, 4608, 32768 and 640.

    Source:
        paper, B.2.

    Example:
        >>> [p.numel() for p in SmallCNN().parameters() if p.ndim > 1]
        [144, 4608, 32768, 640]
    """

    def __init__(self) -> None:
        super().__init__((16, 32), 64)


class WideCNN(_TwoConvolutions):
    """151,072 weights in tensors of 288, 18432, 131072 and 1280.

    Source:
        paper, table 4.

    Example:
        >>> [p.numel() for p in WideCNN().parameters() if p.ndim > 1]
        [288, 18432, 131072, 1280]
    """

    def __init__(self) -> None:
        super().__init__((32, 64), 128)
