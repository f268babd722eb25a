"""Clipping, and evenness of scores."""

import math

import pytest
import torch
from torch import nn

import qtaml
from qtaml.sensitivity import Gain
from qtaml.theory.saturation import saturation_ratio
from qtaml.theory.scores import tensor_scores
from qtaml.training import clip_weights, clipping_limits, unevenness
from tests.tolerances import EXACT_MATHS


@pytest.fixture
def tuned():
    """Two stored matrices of different sizes and scales."""
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    model[1].weight.data *= 3
    return qtaml.noisy(model, qtaml.uniform_msp(model, p=0.1, protected_bits=0))


def test_clipping_keeps_weights_within_their_limits(tuned):
    """In units of the root mean square of each tensor as it was; only stored tensors are clipped."""
    weight, bias = tuned.model[0].weight.detach().clone(), tuned.model[0].bias.detach().clone()
    limits = clipping_limits(tuned, 1.2)
    clip_weights(tuned, limits)
    limit = 1.2 * float(weight.square().mean().sqrt())
    assert limits["0.weight"] == pytest.approx(limit, rel=1e-6)
    assert torch.allclose(tuned.model[0].weight, weight.clamp(-limit, limit))
    assert torch.equal(tuned.model[0].bias, bias)


def test_unevenness_is_that_of_the_scores(tuned):
    """-ln rho* of the paper's scores, and its gradient shrinks the largest weight of the tensor of the larger score."""
    gains = {"0.weight": Gain(2.0, 0.1), "1.weight": Gain(5.0, 0.1)}
    scales = [float(layer.weight.detach().abs().max()) for layer in tuned.model]
    rho = saturation_ratio(tensor_scores([2.0, 5.0], scales).tolist(), [24, 12])
    penalty = unevenness(tuned, gains)
    assert float(penalty.detach()) == pytest.approx(-math.log(rho), rel=EXACT_MATHS)
    torch.autograd.backward(penalty)
    larger = tuned.model[1].weight
    assert int(larger.grad.count_nonzero()) == 1
    assert larger.grad.flatten()[larger.detach().abs().argmax()] * larger.detach().flatten()[larger.abs().argmax()] > 0


def test_tensors_of_the_network_are_needed(tuned):
    """A name that is missing is told."""
    with pytest.raises(qtaml.ArgumentError, match=r"gains must have '1\.weight'"):
        unevenness(tuned, {"0.weight": Gain(2.0, 0.1)})
    with pytest.raises(qtaml.ArgumentError, match="tuned must have 'other'"):
        clip_weights(tuned, {"other": 1.0})
