"""Comparing a stored network with the original weights."""

import pytest
import torch

import qtaml
from qtaml.memory import differences
from tests.cases import CASES, CONVOLUTION, assert_unchanged, snapshot


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_was_stored_can_be_rebuilt(case, tmp_path):
    """From the original weights and the plan, also after the disk."""
    model = case.model()
    before = snapshot(model)
    memory = qtaml.store(model, qtaml.compensate(model, case.batch(), p=0.1, overhead=0.2, passes=2))
    memory.save(tmp_path / "deployed")
    assert differences(qtaml.load(tmp_path / "deployed", model), model) == []
    assert_unchanged(model, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: setattr(model.head, "bias", None), r"'head\.bias' is in only one of the two"),
        (lambda model: model.norm.double(), r"'norm\.weight' was \(4,\) torch\.float32, is \(4,\) torch\.float64"),
        (lambda model: model.register_buffer("more", torch.ones(1)), "'more' is in only one of the two"),
        (lambda model: setattr(model, "head", torch.nn.Linear(64, 4)), r"'head\.weight' must have shape \(3, 64\)"),
    ],
)
def test_another_network_is_named(change, message):
    """Tensors that are missing, too many, or of another shape or dtype, in the leaking memory or outside."""
    model = CONVOLUTION.model()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    other = CONVOLUTION.model()
    change(other)
    with pytest.raises(qtaml.ModelError, match=message):
        differences(memory, other)


def test_each_difference_is_counted():
    """A flipped bit, a scale and a bias; equal NaN are equal."""
    model = CONVOLUTION.model()
    with torch.no_grad():
        model.head.bias[0] = float("nan")
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=1))
    assert differences(memory, model) == []
    memory.tensors["conv.weight"].words[0, 0, 0, 0] ^= 1
    with torch.no_grad():
        model.head.weight *= 2
        model.head.bias[1] = 7
    found = [str(difference) for difference in differences(memory, model)]
    assert found == [
        "'conv.weight': 1 of 36 stored words differ",
        "'head.weight': 1 of 1 scales differ",
        "'head.bias': 1 of 3 values outside the leaking memory differ",
    ]
