"""Gains held against forward passes, where rounding hides what a tensor does."""

import pytest
import torch
from torch import nn

from qtaml.sensitivity import checked, checked_gains, gradients, jacobian_gains

INPUTS = torch.linspace(-2, 2, 32 * 6).sin().reshape(32, 6)


class Times(torch.autograd.Function):
    """The identity, with a factor in its backward pass alone."""

    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor, None


class Weak(nn.Module):
    """The second layer adds a very small share of the output; its gradients may be wrong by a factor."""

    def __init__(self, share, wrong=1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.share, self.wrong = nn.Linear(6, 4), nn.Linear(6, 4, bias=False), share, wrong

    def forward(self, x):
        return self.first(x) + self.share * Times.apply(self.second(x), self.wrong)


def gains_of(model, dtype=torch.float32):
    """Gains with and without the check."""
    model = model.to(dtype)
    weights = {name: one.detach() for name, one in model.named_parameters() if one.ndim > 1}
    return checked_gains(model, INPUTS.to(dtype), weights), jacobian_gains(model, INPUTS.to(dtype), weights)


@pytest.mark.parametrize(
    ("dtype", "share"), [(torch.float32, 1e-6), (torch.float32, 1e-8), (torch.bfloat16, 0.02), (torch.float64, 1e-15)]
)
def test_a_backward_pass_is_not_blamed_for_rounding(dtype, share):
    """A tensor below what the outputs resolve keeps the gain of its gradients, which are not rounded to them."""
    found, gains = gains_of(Weak(share), dtype)
    assert found == gains
    assert found["second.weight"].squared < share**2


@pytest.mark.parametrize("wrong", [4.0, 0.2])
def test_wrong_gradients_of_weak_tensors_are_found(wrong):
    """Where a change as large as the weights is seen, it has to have about the size that the gradient says."""
    found, _ = gains_of(Weak(4e-6, wrong))
    right, _ = gains_of(Weak(4e-6))
    assert found["second.weight"].source == "forward passes"
    assert right["second.weight"].source == "backward passes"
    assert found["second.weight"].squared == pytest.approx(right["second.weight"].squared, rel=0.5)


class Alike(nn.Module):
    """Layers of equal effect side by side, which one forward pass checks together; gradients of one are wrong."""

    def __init__(self, wrong) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(6, 4, bias=False) for _ in range(8))
        self.wrong = wrong

    def forward(self, x):
        outputs = [layer(x) for layer in self.layers]
        return sum(outputs[1:], Times.apply(outputs[0], self.wrong))


@pytest.mark.parametrize("wrong", [1.0, 1.5, 0.6, -1.0])
def test_one_wrong_gradient_among_tensors_checked_together_is_found(wrong):
    """The wrong one, and no other, has its gain from forward passes."""
    found, _ = gains_of(Alike(wrong))
    sources = [gain.source for gain in found.values()]
    assert sources == ["backward passes" if wrong == 1 else "forward passes"] + ["backward passes"] * 7


@pytest.mark.parametrize(("wrong", "source"), [(1.0, "backward passes"), (0.2, "forward passes")])
def test_gradients_of_a_batch_in_parts_are_held_against_all_of_it(wrong, source, monkeypatch):
    """The signs and changes of all parts are those of the forward pass: right gradients hold, wrong ones do not."""
    parts = []
    monkeypatch.setattr(gradients, "_LARGE", 0)
    monkeypatch.setattr(gradients, "_LEAST_HELD", 300)
    monkeypatch.setattr(checked, "_FEW", 0)
    monkeypatch.setattr(gradients, "_made", lambda *given, make=gradients._made: parts.append(given[1]) or make(*given))
    gain = gains_of(Weak(1.0, wrong))[0]["second.weight"]
    assert len(parts[0]) > 1
    assert gain.source == source
