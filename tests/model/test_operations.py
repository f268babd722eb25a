"""How many floating-point operations a forward pass takes."""

import pytest
import torch
from torch import nn

from qtaml.model import operations


class _LastState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(5, 7, batch_first=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(inputs)[0]
        return outputs[:, -1]


def test_two_for_each_weight_and_place() -> None:
    """Of linear layers and convolutions, and of layers that PyTorch computes as one operation."""
    assert operations(nn.Linear(3, 5), torch.zeros(7, 3)) == 2 * 3 * 5 * 7
    assert operations(nn.Conv2d(2, 4, 3), torch.zeros(7, 2, 6, 6)) == 2 * 2 * 4 * 9 * 7 * 16
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert operations(encoder, torch.zeros(2, 4, 8)) == 2 * 8 * (4 * 64 + 2 * 128)
    assert operations(_LastState(), torch.zeros(2, 6, 5)) == 2 * 12 * 4 * 7 * (5 + 7)


@pytest.mark.slow
def test_exported_graphs_take_as_many() -> None:
    """They have no layers, only operations."""
    model, inputs = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(64, 3)), torch.zeros(7, 2, 6, 6)
    assert operations(torch.export.export(model, (inputs,)).module(), inputs) == operations(model, inputs)
