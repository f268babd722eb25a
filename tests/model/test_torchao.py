"""Networks that torchao has quantised, where it is installed: refused by name, and both ways on from there."""

import copy
import warnings

import pytest
import torch
from torch import nn

import qtaml

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantization = pytest.importorskip("torchao.quantization", reason="torchao is not installed")

CONFIGURATIONS = ("Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig", "Float8WeightOnlyConfig")
INPUTS = torch.linspace(-2, 2, 16 * 64).sin().reshape(16, 64)


def plain():
    """Two layers in floating point."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval()


def quantised(configuration, layers=("0", "2")):
    """The same, some of its layers quantised by torchao."""
    model = plain()
    quantization.quantize_(model, getattr(quantization, configuration)(), filter_fn=lambda module, name: name in layers)
    return model


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_quantised_tensors_are_refused_before_anything_is_computed(configuration):
    """By name and class, with the way on; the model is as it was."""
    model = quantised(configuration)
    before = model(INPUTS)
    for call in (
        lambda: qtaml.compensate(model, INPUTS, p=0.1, overhead=0.3),
        lambda: qtaml.design(model, INPUTS, p=0.1, cells=1.0),
        lambda: qtaml.uniform_msp(model, p=0.1, protected_bits=2),
        lambda: qtaml.store(model, qtaml.uniform_msp(plain(), p=0.1, protected_bits=2)),
    ):
        with pytest.raises(qtaml.ModelError, match=r"tensor '0.weight' must be an ordinary one, got a \w+Tensor: "):
            call()
    assert torch.equal(model(INPUTS), before)


@pytest.mark.parametrize("configuration", ["Int8WeightOnlyConfig", "Float8WeightOnlyConfig"])
def test_dequantised_weights_are_stored(configuration):
    """The network of the dequantised values is the quantised one, and reads without errors are it to 16 bits."""
    model = quantised(configuration)
    given = copy.deepcopy(plain())
    for layer in (0, 2):
        given[layer].weight = nn.Parameter(model[layer].weight.dequantize())
    torch.testing.assert_close(given(INPUTS), model(INPUTS))
    memory = qtaml.store(given, qtaml.uniform_msp(given, p=0.0, protected_bits=0, bits=16, granularity="row"))
    torch.testing.assert_close(memory.model(seed=0)(INPUTS), model(INPUTS), rtol=1e-3, atol=1e-3)


def test_excluded_layers_stay_quantised():
    """Errors in the other layer, none in the one of torchao, whose integers and scales a read has as they are."""
    model = quantised("Int8WeightOnlyConfig", layers=("2",))
    plan = qtaml.compensate(model, INPUTS, p=0.1, overhead=0.3, exclude=["2.weight"])
    memory = qtaml.store(model, plan)
    read = memory.model(seed=0)
    assert not torch.equal(read[0].weight, model[0].weight)
    assert torch.equal(read[2].weight.qdata, model[2].weight.qdata)
    assert torch.equal(read[2].weight.scale, model[2].weight.scale)
    result = qtaml.evaluate(memory, qtaml.Accuracy(INPUTS, model(INPUTS).argmax(1)), trials=5)
    assert 0 < result.mean <= 1
