"""How errors of the weights of one tensor act together: the two factors of each layer."""

import pytest
import torch
from torch import nn
from torch.nn.functional import unfold

from qtaml.sensitivity import Calibration
from qtaml.sensitivity.curvature import curvatures

LAYERS = {
    "linear": (lambda: nn.Linear(5, 4, bias=False), (6, 3, 5)),
    "convolution": (lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False), (6, 2, 5, 6)),
    "signal": (lambda: nn.Conv1d(2, 4, 3, dilation=2, bias=False), (6, 2, 9)),
}


def undamped(found: torch.Tensor, samples: int) -> torch.Tensor:
    """A factor without the share of the identity."""
    return found - 0.5 * (32 / samples) ** 0.5 * torch.eye(len(found), dtype=found.dtype)


@pytest.mark.parametrize("kind", LAYERS)
def test_factors_are_those_of_the_layer(kind: str) -> None:
    """All outputs count alike, so each place has gradients of one size, and the signs of different ones average out."""
    make, shape = LAYERS[kind]
    layer, inputs = make(), torch.randn(shape)
    found = curvatures(layer, inputs, {"weight": layer.weight}, {"weight": ()}, passes=400)["weight"]
    if kind == "linear":
        places = inputs.reshape(-1, 5)
    elif kind == "convolution":
        places = unfold(inputs, 3, padding=1, stride=2).transpose(1, 2).reshape(-1, 18)
    else:
        places = unfold(inputs[:, :, None], (1, 3), dilation=(1, 2)).transpose(1, 2).reshape(-1, 6)
    columns = (places.T @ places).double()
    assert torch.allclose(undamped(found.columns, 6), columns / columns.diagonal().mean(), atol=1e-5)
    # Signs of different outputs are independent: a mean of 400 x 18 or more products, of standard error .012.
    assert torch.allclose(undamped(found.rows, 6), torch.eye(4, dtype=torch.float64), atol=0.06)


def test_an_embedding_has_a_factor_of_its_features_and_a_transposed_layer_turned_ones() -> None:
    """The first dimension of a weight of GPT-2's layers is that of its inputs."""
    transformers = pytest.importorskip("transformers")
    model = nn.Sequential(nn.Embedding(7, 4), transformers.pytorch_utils.Conv1D(3, 4))
    tokens = torch.arange(6).reshape(2, 3)
    weights = {"0.weight": model[0].weight, "1.weight": model[1].weight}
    found = curvatures(model, tokens, weights, dict.fromkeys(weights, ()), passes=200)
    assert found["0.weight"].rows is None
    assert found["0.weight"].columns.shape == (4, 4)
    assert (found["1.weight"].rows.shape, found["1.weight"].columns.shape) == ((4, 4), (3, 3))
    # What goes into the second layer is what the first one holds for the tokens.
    inputs = model[0].weight[:6].detach().double()
    expected = inputs.T @ inputs
    assert torch.allclose(undamped(found["1.weight"].rows, 2), expected / expected.diagonal().mean(), atol=1e-5)


def test_inputs_of_half_precision_are_summed_in_single() -> None:
    """Sums of squares are beyond float16; and what comes in by name comes in too."""

    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.linear(input=inputs)
            return outputs

    model, inputs = ByName().half(), torch.randn(8, 64).half() * 100
    weights = {"linear.weight": model.linear.weight}
    (found,) = curvatures(model, inputs, weights, dict.fromkeys(weights, ())).values()
    wide = inputs.double()
    expected = wide.T @ wide
    assert torch.allclose(undamped(found.columns, 8), expected / expected.diagonal().mean(), atol=1e-2)


class _Attention(nn.Module):
    def __init__(self, *, alike: bool) -> None:
        super().__init__()
        self.attention, self.alike = nn.MultiheadAttention(4, 2, batch_first=True), alike

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        other = inputs if self.alike else inputs + 1
        outputs: torch.Tensor = self.attention(inputs, key=other, value=other)[0]
        return outputs


@pytest.mark.parametrize("alike", [True, False])
def test_attention_has_the_factors_that_show_outside(alike: bool) -> None:
    """What comes in where queries, keys and values are one tensor, and what comes back; the rest stays within."""
    model, inputs = _Attention(alike=alike), torch.randn(6, 3, 4)
    names = ("attention.in_proj_weight", "attention.out_proj.weight")
    weights = {name: model.get_parameter(name) for name in names}
    found = curvatures(model, inputs, weights, dict.fromkeys(weights, ()), passes=400)
    assert set(found) == (set(names) if alike else {names[1]})
    assert found[names[1]].columns is None
    # As for a layer: signs of different outputs are independent.
    assert torch.allclose(undamped(found[names[1]].rows, 6), torch.eye(4, dtype=torch.float64), atol=0.06)
    if alike:
        places = inputs.reshape(-1, 4).double()
        expected = places.T @ places
        assert found[names[0]].rows is None
        assert torch.allclose(undamped(found[names[0]].columns, 6), expected / expected.diagonal().mean(), atol=1e-5)


def test_layers_of_other_kinds_have_none() -> None:
    """Their words are those without feedback."""
    model = _First(nn.LSTM(3, 3))
    weights = {"model.weight_ih_l0": model.model.weight_ih_l0}
    assert curvatures(model, torch.randn(2, 3), weights, dict.fromkeys(weights, ())) == {}


class _First(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.model(inputs)[0]
        return outputs


def test_samples_that_go_through_in_parts_have_the_factors_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came into a layer is counted once for all that comes back, also where the next part follows."""
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3))
    inputs = torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    weights = {"0.weight": model[0].weight, "3.weight": model[3].weight}
    whole = curvatures(model, inputs, weights, dict.fromkeys(weights, ()))
    monkeypatch.setattr("qtaml.sensitivity.gradients._samples_that_fit", lambda *_: 2)
    parts = curvatures(model, inputs, weights, dict.fromkeys(weights, ()))
    for name, one in whole.items():
        assert torch.allclose(parts[name].rows, one.rows, rtol=1e-4, atol=1e-6)
        assert torch.allclose(parts[name].columns, one.columns, rtol=1e-4, atol=1e-6)


def test_parts_of_the_samples_are_measured_with_curvatures_of_the_others() -> None:
    """Each sample in one part, and in no curvature of that part."""
    inputs = torch.eye(8)
    parts = list(Calibration(nn.Linear(8, 3), inputs).crossed())
    assert sum(len(batch) for batch, _ in parts) == 8
    for batch, found in parts:
        seen = undamped(found["weight"].columns, 8 - len(batch)).diagonal() > 0.1
        assert torch.equal(seen, batch.sum(0) == 0)
