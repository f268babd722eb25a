"""SmallCNN of the paper: 38,160 weights in tensors of 144, 4608, 32768 and 640."""

import torch
from torch import nn


class SmallCNN(nn.Module):
    """Two convolutions with BatchNorm and two linear layers, for 8 x 8 grey images of ten classes.

    Source:
        paper, B.2.

    Example:
        >>> [p.numel() for p in SmallCNN().parameters() if p.ndim > 1]
        [144, 4608, 32768, 640]
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.fc1 = nn.Linear(32 * 4 * 4, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 10), of images of shape (samples, 1, 8, 8)."""
        x = torch.relu(self.bn1(self.conv1(images)))
        x = torch.max_pool2d(x, 2)
        x = torch.relu(self.bn2(self.conv2(x)))
        x = torch.relu(self.fc1(x.flatten(1)))
        out: torch.Tensor = self.fc2(x)
        return out
