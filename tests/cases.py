"""Small networks that the tests share, each a factory with a seed."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


class ConvolutionNet(nn.Module):
    """A convolution with BatchNorm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 16, 3)

    def forward(self, images):
        return self.head(torch.tanh(self.norm(self.conv(images))).flatten(1))


class ResidualNet(nn.Module):
    """A stem, a residual block of two convolutions, a block with a projection shortcut, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 6, 1)
        self.branch = nn.Conv2d(4, 6, 3, padding=1)
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        x = torch.tanh(self.stem(images))
        x = x + self.second(torch.tanh(self.norm(self.first(x))))
        x = self.shortcut(x) + self.branch(x)
        return self.head(x.mean((2, 3)))


class Transformer(nn.Module):
    """A tiny encoder with learned positions, whose head is tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.positions = nn.Parameter(0.1 * torch.randn(5, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.encoder(self.embed(tokens) + self.positions)[:, 0])


class Recurrent(nn.Module):
    """An LSTM and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, sequence):
        return self.head(self.lstm(sequence)[0][:, -1])


class Chain(nn.ModuleDict):
    """Parts by name, of which those in `order` are called one after the other, and others never."""

    def __init__(self, parts: dict[str, nn.Module], *order: str) -> None:
        super().__init__(parts)
        self.order = order

    def forward(self, x):
        for name in self.order:
            x = self[name](x)
        return x


@dataclass(frozen=True)
class Case:
    """A network and how to make inputs for it."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], torch.Tensor]

    def model(self, seed: int = 0) -> nn.Module:
        """The network with seeded weights and statistics, in training mode as a user may pass it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build()
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.3)
                    module.running_var.uniform_(0.5, 2)
        return model

    def batch(self, samples: int = 16, seed: int = 1) -> torch.Tensor:
        """Seeded inputs."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.inputs(samples)


CONVOLUTION = Case("convolution", ConvolutionNet, lambda n: torch.rand(n, 1, 4, 4))
RESIDUAL = Case("residual", ResidualNet, lambda n: torch.rand(n, 1, 4, 4))
TRANSFORMER = Case("transformer", Transformer, lambda n: torch.randint(0, 7, (n, 5)))
RECURRENT = Case("recurrent", Recurrent, lambda n: torch.randn(n, 6, 3))
CASES = (CONVOLUTION, RESIDUAL, TRANSFORMER, RECURRENT)


def snapshot(model: nn.Module) -> tuple[dict[str, torch.Tensor], list[bool], list[bool]]:
    """Everything of a model that must not change: its tensors, their gradients, its modes."""
    tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict(keep_vars=True).items()}
    return tensors, [p.grad is None for p in model.parameters()], [module.training for module in model.modules()]


def assert_unchanged(model: nn.Module, before: tuple[dict[str, torch.Tensor], list[bool], list[bool]]) -> None:
    """Fail if a model differs from its snapshot in any bit or mode."""
    after = snapshot(model)
    assert before[0].keys() == after[0].keys()
    for name, tensor in before[0].items():
        assert torch.equal(tensor, after[0][name]), name
    assert before[1:] == after[1:], "gradients or modes changed"
