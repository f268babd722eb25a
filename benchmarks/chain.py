"""A network of as many equal weight matrices as wanted, for what should not depend on their number."""

import torch
from torch import nn

INPUTS, OUTPUTS = 32, 10


class Chain(nn.Module):
    """A residual network: a first and a last matrix, and between them blocks x + tanh(W x) / sqrt(blocks)."""

    def __init__(self, tensors: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(INPUTS, width, bias=False)
        self.blocks = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(tensors - 2))
        self.last = nn.Linear(width, OUTPUTS, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs, shape (samples, OUTPUTS)."""
        x = self.first(inputs)
        for block in self.blocks:
            x = x + torch.tanh(block(x)) / len(self.blocks) ** 0.5
        return self.last(x)


def chain(tensors: int, width: int = 64, seed: int = 0) -> nn.Module:
    """A seeded chain in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Chain(tensors, width).eval()


def samples(number: int, seed: int = 1) -> torch.Tensor:
    """Seeded Gaussian inputs of a chain."""
    return torch.randn(number, INPUTS, generator=torch.Generator().manual_seed(seed))
