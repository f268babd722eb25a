"""Residual branches in the traced graph."""

import pytest
import torch
from torch import nn

from qtaml.errors import ModelError
from qtaml.model import residual_weights
from tests.cases import CONVOLUTION, RESIDUAL, TRANSFORMER, assert_unchanged, snapshot


def weights_inside(case) -> set[str]:
    """Parameters named "weight" inside the residual branches of a case."""
    return {name for name in residual_weights(case.model(), case.batch()) if name.endswith("weight")}


@pytest.mark.slow
def test_blocks_and_projection_shortcuts_are_found():
    """Both convolutions of a block are inside, so is a shortcut with weights; stem and head are not."""
    assert weights_inside(RESIDUAL) == {
        "first.weight",
        "norm.weight",
        "second.weight",
        "shortcut.weight",
        "branch.weight",
    }


def test_a_transformer_block_is_residual_but_positions_are_not():
    """Attention and feed-forward matrices are inside; the embedding, though positions are added to it, is not."""
    inside = residual_weights(TRANSFORMER.model(), TRANSFORMER.batch())
    assert {"encoder.layers.0.self_attn.in_proj_weight", "encoder.layers.0.linear1.weight"} <= inside
    assert not {"embed.weight", "positions"} & inside


def test_a_plain_chain_has_none():
    """Bias additions are not residual additions."""
    assert weights_inside(CONVOLUTION) == set()


def test_tracing_changes_nothing():
    """The model is the same after tracing."""
    model = RESIDUAL.model()
    before = snapshot(model)
    residual_weights(model, RESIDUAL.batch())
    assert_unchanged(model, before)


def test_an_untraceable_model_is_named():
    """Control flow on values cannot be traced: the error says what to do instead."""

    class Branching(nn.Linear):
        def forward(self, x):
            return super().forward(x) if bool(x.sum() > 0) else x

    with pytest.raises(ModelError, match=r"cannot be traced for its residual branches.*give the floors by tensor name"):
        residual_weights(Branching(2, 2), torch.ones(2, 2))


def test_tied_parameters_have_their_first_name():
    """A layer used under two names is reported under the first, which is the one that plans use."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start, self.inside = nn.Linear(4, 4), nn.Linear(4, 4)
            self.again = self.inside

        def forward(self, x):
            h = self.start(x)
            return h + torch.relu(self.again(h))

    assert residual_weights(Tied(), torch.randn(3, 4)) == {"inside.weight", "inside.bias"}
