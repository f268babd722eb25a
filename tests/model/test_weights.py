"""Which tensors are stored."""

import pytest
import torch
from torch import nn

from qtaml.errors import ArgumentError, ModelError
from qtaml.model import aliases, stored_weights
from tests.cases import CONVOLUTION, RECURRENT, TRANSFORMER


def test_weights_of_two_or_more_dimensions_are_stored():
    """Convolutions, linear layers and free parameters are stored; biases and norms are not."""
    assert list(stored_weights(CONVOLUTION.model())) == ["conv.weight", "head.weight"]
    assert list(stored_weights(RECURRENT.model())) == ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "head.weight"]


def test_tied_weights_are_stored_once():
    """The embedding that is also the head appears under its first name, with the other as an alias."""
    model = TRANSFORMER.model()
    stored = stored_weights(model)
    assert "embed.weight" in stored
    assert "head.weight" not in stored
    assert aliases(model, list(stored))["embed.weight"] == ("head.weight",)


def test_norms_with_matrices_stay_outside():
    """A LayerNorm over two dimensions has a matrix for a weight, and is still a norm."""
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm((3, 3)))
    assert list(stored_weights(model)) == ["0.weight"]


def test_the_rule_can_be_overridden():
    """Patterns add biases and take layers away; taking away wins."""
    model = CONVOLUTION.model()
    chosen = stored_weights(model, include=["*.bias", "norm.weight"], exclude=["head.*"])
    assert list(chosen) == ["conv.weight", "conv.bias", "norm.weight", "norm.bias"]


def test_stored_tensors_share_memory_with_the_model():
    """No weight is copied."""
    model = CONVOLUTION.model()
    assert stored_weights(model)["conv.weight"].data_ptr() == model.conv.weight.data_ptr()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.fill_(float("nan")), "must be finite, got 36 NaN or infinite of 36"),
        (lambda weight: weight[0, 0, 0, 0].fill_(float("inf")), "must be finite, got 1 NaN or infinite of 36"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(change, message):
    """NaN and infinity are named with the tensor that holds them."""
    model = CONVOLUTION.model()
    with torch.no_grad():
        change(model.conv.weight)
    with pytest.raises(ModelError, match=rf"'conv\.weight' {message}"):
        stored_weights(model)


def test_weights_of_8_bits_are_refused_by_name():
    """Few operators take them; the error says how to give them."""
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].weight = nn.Parameter(model[0].weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
    with pytest.raises(ModelError, match=r"'0\.weight' must have .* 16 bits or more, got torch\.float8_e4m3fn: give"):
        stored_weights(model)
    with pytest.raises(ModelError, match="no tensor to store"):
        stored_weights(model, exclude=["0.weight"])


def test_a_model_without_weights_is_refused():
    """A model of norms only has nothing to store."""
    with pytest.raises(ModelError, match="no tensor to store"):
        stored_weights(nn.BatchNorm1d(3))


def test_unusable_tensors_are_refused():
    """Integers, missing data and empty tensors are named, with what to do."""
    model = nn.Linear(2, 2)
    model.register_buffer("codes", torch.zeros(2, 2, dtype=torch.int8))
    with pytest.raises(ModelError, match=r"'codes' must be floating-point, got torch\.int8: give its dequantised"):
        stored_weights(model, include=["codes"])
    with pytest.raises(ModelError, match="'weight' has no data yet"):
        stored_weights(nn.LazyLinear(2))
    with pytest.raises(ModelError, match="'weight' has no data yet"):
        stored_weights(nn.Linear(2, 2, device="meta"))
    empty = nn.Linear(2, 2)
    empty.weight = nn.Parameter(torch.zeros(0, 2))
    with pytest.raises(ModelError, match="'weight' has no elements"):
        stored_weights(empty)


def test_patterns_that_match_nothing_are_refused():
    """A misspelt pattern is an error that lists the names."""
    with pytest.raises(ArgumentError, match=r"exclude pattern 'haed\.\*' matches none of: conv\.weight"):
        stored_weights(CONVOLUTION.model(), exclude=["haed.*"])
    with pytest.raises(ArgumentError, match="include must be a sequence of patterns"):
        stored_weights(CONVOLUTION.model(), include="*.bias")
    with pytest.raises(ArgumentError, match=r"model must be a torch\.nn\.Module, got dict"):
        stored_weights({})


def test_tensors_that_share_all_their_memory_are_tied():
    """Ties made through `.data` count once; patterns match any name of a tied tensor."""
    model = nn.ModuleDict({"embed": nn.Embedding(4, 3), "head": nn.Linear(3, 4, bias=False)})
    model["head"].weight.data = model["embed"].weight.data
    assert list(stored_weights(model)) == ["embed.weight"]
    assert aliases(model, ["embed.weight"]) == {"embed.weight": ("head.weight",)}
    with pytest.raises(ModelError, match="no tensor to store"):
        stored_weights(model, exclude=["head.*"])


def test_tensors_that_share_memory_in_other_shapes_are_refused():
    """A transposed tie cannot be stored once: the error names both."""
    model = nn.ModuleDict({"a": nn.Linear(3, 4), "b": nn.Linear(4, 3)})
    model["b"].weight = nn.Parameter(model["a"].weight.data.t())
    with pytest.raises(ModelError, match=r"tensors 'a\.weight' and 'b\.weight' share memory in different shapes"):
        stored_weights(model)
    assert list(stored_weights(model, exclude=["b.*"])) == ["a.weight"]


def test_only_norms_are_taken_for_norms():
    """A network or layer whose name merely holds the word keeps its weights."""

    class NormalNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(2, 2))
            self.linear = nn.Linear(2, 2)

    assert list(stored_weights(NormalNet())) == ["matrix", "linear.weight"]
