"""Readout gains against the closed form for one layer, and what they promise for any network."""

import pytest
import torch
from torch import nn

from qtaml.measuring import OutputError
from qtaml.search.readout import balance_readout
from tests.cases import CASES, CONVOLUTION, assert_unchanged, snapshot


def linear() -> tuple[nn.Linear, torch.Tensor]:
    """One layer, and inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(6, 4, bias=False).double(), torch.randn(64, 6).double()


def shrunk(model: nn.Module, factor: float) -> dict[str, torch.Tensor]:
    """The matrices of a model, smaller by a factor."""
    return {name: factor * tensor.detach() for name, tensor in model.named_parameters() if tensor.ndim > 1}


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
def test_one_layer_gets_the_wiener_gain(noise):
    """It is <y, m> / (|m|^2 + V) for outputs y, expected ones m and noise V: the least of |y - c m|^2 + c^2 V."""
    model, inputs = linear()
    expected = shrunk(model, 0.6)
    clean = model(inputs).detach()
    power = float(clean.square().sum() / len(inputs))
    balanced = balance_readout(model, inputs, expected, {"weight": noise * power})
    wanted = 0.6 / (0.36 + noise)
    assert balanced.gains["weight"] == pytest.approx(wanted, rel=1e-3)
    assert balanced.bias == pytest.approx((1 - 0.6 * balanced.gains["weight"]) ** 2 * power, rel=1e-9, abs=1e-9)


def test_without_adjustment_the_bias_is_that_of_the_expected_weights():
    """As `OutputError` measures it."""
    model, inputs = CONVOLUTION.model().double(), CONVOLUTION.batch().double()
    expected = shrunk(model, 0.8)
    balanced = balance_readout(model, inputs, expected, dict.fromkeys(expected, 0.0), rounds=0)
    assert set(balanced.gains.values()) == {1.0}
    shifted = CONVOLUTION.model().double()
    shifted.load_state_dict(model.state_dict() | expected)
    assert balanced.bias == pytest.approx(OutputError(model, inputs)(shifted), rel=1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gains_never_raise_the_predicted_error(case):
    """For any network, with noise that is small and large; gains stay within their limits; the model stays as it is."""
    model, inputs = case.model(), case.batch()
    before = snapshot(model)
    expected = shrunk(model, 0.7)
    expected = {
        name: tensor for name, tensor in expected.items() if name != "head.weight" or case.name != "transformer"
    }
    plain = balance_readout(model, inputs, expected, dict.fromkeys(expected, 0.0), rounds=0)
    for noise in (0.0, plain.bias, 10 * plain.bias):
        variance = dict.fromkeys(expected, noise)
        balanced = balance_readout(model, inputs, expected, variance)
        total = balanced.bias + sum(noise * gain**2 for gain in balanced.gains.values())
        assert total <= plain.bias + noise * len(expected)
        assert all(0.25 <= gain <= 4 for gain in balanced.gains.values())
    assert balance_readout(model, inputs, expected, dict.fromkeys(expected, 0.0)).bias < plain.bias / 2
    assert_unchanged(model, before)


def test_a_tensor_that_is_read_as_zero_keeps_its_gain():
    """Stretching nothing changes nothing."""
    model, inputs = linear()
    balanced = balance_readout(model, inputs, shrunk(model, 0.0), {"weight": 0.0})
    assert balanced.gains["weight"] == pytest.approx(1)


def test_gains_of_several_reads_lower_their_mean_error():
    """Of a linear layer the best gain of reads is known: <read, trained> / <read, read>, summed over them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = nn.Linear(6, 3, bias=False), torch.randn(50, 6)
        reads = [{"weight": model.weight.detach() + 0.3 * torch.randn(3, 6)} for _ in range(4)]
    trained = inputs @ model.weight.detach().T
    outputs = [inputs @ read["weight"].T for read in reads]
    best = sum(float((one * trained).sum()) for one in outputs) / sum(float(one.square().sum()) for one in outputs)
    balanced = balance_readout(model, inputs, reads, {"weight": 0.0})
    assert balanced.gains["weight"] == pytest.approx(best, rel=0.01)
    error = sum(float((best * one - trained).square().sum()) for one in outputs) / (4 * 50)
    assert balanced.bias == pytest.approx(error, rel=0.01)
