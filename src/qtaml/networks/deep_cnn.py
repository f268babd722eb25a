"""DeepCNN of the paper: four convolutions with BatchNorm, two linear layers."""

from itertools import pairwise

import torch
from torch import nn


class DeepCNN(nn.Module):
    """49,680 weights in 6 tensors, for 8 x 8 grey images of ten classes.

    Widths 16, 16, 32, 32: the paper's were lost from its text, and doubling at each pooling is usual.

    Source:
        paper, table 4.

    Example:
        >>> [p.numel() for p in DeepCNN().parameters() if p.ndim > 1]
        [144, 2304, 4608, 9216, 32768, 640]
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 16, 16, 32, 32)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.fc1 = nn.Linear(32 * 4 * 4, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 10), of images of shape (samples, 1, 8, 8)."""
        x = images
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = torch.relu(norm(conv(x)))
            # Once, between the two widths: 8 x 8 images leave 4 x 4 for the linear layer.
            if number == 1:
                x = torch.max_pool2d(x, 2)
        out: torch.Tensor = self.fc2(torch.relu(self.fc1(x.flatten(1))))
        return out
