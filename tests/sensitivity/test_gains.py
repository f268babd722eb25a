"""Gains of all tensors: exact, against the paper's estimator, and their standard errors."""

import gc
import math
import weakref

import pytest
import torch
from torch import nn

from qtaml.errors import ArgumentError, ModelError
from qtaml.model import stored_weights
from qtaml.sensitivity import (
    averaged_gains,
    gradients,
    jacobian_gains,
    output_deviations,
    probe_gains,
    row_gains,
    weight_gains,
)
from tests.cases import CASES, CONVOLUTION, RESIDUAL, TRANSFORMER, Chain, assert_unchanged, snapshot


def dense_gain(model: nn.Module, batch: torch.Tensor, name: str) -> float:
    """||J||_F**2 / n averaged over the samples, from the whole Jacobian."""
    model = model.eval()
    weight = dict(model.named_parameters())[name].detach()
    jacobian = torch.func.jacrev(lambda w: torch.func.functional_call(model, {name: w}, (batch,)))(weight)
    return float(jacobian.detach().square().sum() / len(batch) / weight.numel())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gains_agree_with_the_whole_jacobian(case):
    """Unbiased: over 1000 passes every tensor is within 4.5 standard errors (false alarm below 1e-4 for all together).

    A bias of a fifth of the gain would be seen: the standard errors are required to be below 4 per cent.
    """
    model, batch = case.model().double(), case.batch(samples=8)
    batch = batch.double() if batch.is_floating_point() else batch
    gains = jacobian_gains(model, batch, stored_weights(model), passes=1000)
    for name, gain in gains.items():
        exact = dense_gain(model, batch, name)
        assert abs(gain.squared - exact) < 4.5 * gain.standard_error, name
        assert gain.standard_error < 0.04 * exact, name


@pytest.mark.slow
@pytest.mark.parametrize("case", [CONVOLUTION, RESIDUAL, TRANSFORMER], ids=lambda case: case.name)
def test_gains_agree_with_the_papers_probes(case):
    """All tensors in 64 passes agree with 64 Gaussian probes of each, within 4 combined standard errors."""
    model, batch = case.model().double(), case.batch(samples=32)
    batch = batch.double() if batch.is_floating_point() else batch
    weights = stored_weights(model)
    gains = jacobian_gains(model, batch, weights, passes=64)
    probes = probe_gains(model, batch, weights, probes=64, epsilon=1e-5)
    for name in weights:
        error = (gains[name].standard_error ** 2 + probes[name].standard_error ** 2) ** 0.5
        assert abs(gains[name].squared - probes[name].squared) < 4 * error, name
        assert error < 0.25 * gains[name].squared, name


@pytest.mark.slow
def test_standard_error_describes_the_spread():
    """Over 200 seeds the spread of the estimate is the standard error it states, within 15 per cent."""
    model, batch = CONVOLUTION.model().double(), CONVOLUTION.batch().double()
    weights = {"head.weight": model.head.weight}
    runs = [jacobian_gains(model, batch, weights, passes=16, seed=seed)["head.weight"] for seed in range(200)]
    spread = torch.tensor([run.squared for run in runs]).std()
    stated = torch.tensor([run.standard_error for run in runs]).square().mean().sqrt()
    assert abs(spread / stated - 1) < 0.15


def test_the_same_seed_gives_the_same_gains():
    """Reproducible, and different under another seed."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    first, again, other = (jacobian_gains(model, batch, stored_weights(model), seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_model_is_not_changed(case):
    """Weights, statistics, gradients and modes are as before, for both estimators."""
    model, batch = case.model(), case.batch()
    before = snapshot(model)
    jacobian_gains(model, batch, stored_weights(model), passes=2)
    probe_gains(model, batch, stored_weights(model), probes=2)
    assert_unchanged(model, before)


def test_batchnorm_and_dropout_are_in_evaluation_mode():
    """Training mode of the caller's model does not matter."""
    training, evaluating = TRANSFORMER.model().train(), TRANSFORMER.model().eval()
    batch = TRANSFORMER.batch()
    assert jacobian_gains(training, batch, stored_weights(training)) == jacobian_gains(
        evaluating, batch, stored_weights(evaluating)
    )


def test_bfloat16_is_close_to_float32():
    """A network in bfloat16 has the gains of the float32 one within its precision."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    exact = jacobian_gains(model, batch, stored_weights(model))
    model = model.bfloat16()
    rounded = jacobian_gains(model, batch.bfloat16(), stored_weights(model))
    for name, gain in exact.items():
        assert abs(rounded[name].squared / gain.squared - 1) < 0.05
    for name, gains in weight_gains(model, batch.bfloat16(), stored_weights(model)).items():
        assert gains.dtype == torch.float32
        assert float(gains.double().mean()) == pytest.approx(rounded[name].squared, rel=1e-5)


def test_a_tensor_without_effect_has_no_gain():
    """A weight that the output does not depend on has gain 0."""
    model = Chain({"used": nn.Linear(2, 2), "unused": nn.Linear(2, 2)}, "used")
    gains = jacobian_gains(model, torch.randn(4, 2), stored_weights(model))
    assert gains["unused.weight"].squared == 0
    assert gains["used.weight"].squared > 0


def test_bad_arguments_are_refused():
    """Too few passes and probes, a step of zero, a batch of the wrong shape."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    weights = stored_weights(model)
    with pytest.raises(ArgumentError, match="passes must be a whole number of at least 2, got 1"):
        jacobian_gains(model, batch, weights, passes=1)
    with pytest.raises(ArgumentError, match="probes must be a whole number of at least 2, got 0"):
        probe_gains(model, batch, weights, probes=0)
    with pytest.raises(ArgumentError, match=r"epsilon must be above 0, got 0\.0"):
        probe_gains(model, batch, weights, epsilon=0.0)
    with pytest.raises(ModelError, match="failed on inputs of shape"):
        jacobian_gains(model, batch[:, :, :2], weights)


def test_deviation_of_a_known_change():
    """A shift of one bias-free linear layer moves the output by exactly the product."""
    model = nn.Linear(3, 2, bias=False).double()
    batch, change = torch.randn(5, 3).double(), torch.randn(2, 3).double()
    (deviation,) = output_deviations(model, batch, [{"weight": model.weight + change}])
    assert torch.isclose(deviation, (batch @ change.T).square().sum(1).mean())


def test_inference_mode_of_the_caller_does_not_matter():
    """Gains need autograd; they switch it on, also for tensors made in inference mode."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    expected = jacobian_gains(model, batch, stored_weights(model))
    with torch.inference_mode():
        assert jacobian_gains(model, batch.clone(), stored_weights(model)) == expected
        made = nn.Linear(2, 2)
        assert jacobian_gains(made, torch.ones(3, 2), stored_weights(made))["weight"].squared > 0


def test_a_model_without_gradients_is_refused():
    """A forward pass under no_grad has no gains: an error, not zeros."""

    class Frozen(nn.Linear):
        @torch.no_grad()
        def forward(self, x):
            return super().forward(x)

    with pytest.raises(ModelError, match="does not depend differentiably on any stored tensor"):
        jacobian_gains(Frozen(2, 2), torch.ones(3, 2), {"weight": torch.ones(2, 2)})


def test_gains_that_overflow_are_refused():
    """Half precision that overflows asks for a wider dtype instead of planning with infinity."""
    model = nn.Linear(2, 2).half()
    huge = torch.full((3, 2), 3e4, dtype=torch.float16)
    with torch.no_grad():
        model.weight.fill_(1e-4)
    with pytest.raises(
        ModelError, match="the gain of tensor 'weight' is NaN or infinite: give the model in a wider dtype"
    ):
        jacobian_gains(model, huge, stored_weights(model), passes=16)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_row_gains_average_to_the_gain_of_the_tensor(case):
    """From the same passes: equal but for rounding."""
    model, batch = case.model().double(), case.batch(samples=8)
    batch = batch.double() if batch.is_floating_point() else batch
    weights = stored_weights(model)
    tensors, rows = (gains(model, batch, weights, passes=4) for gains in (jacobian_gains, row_gains))
    for name, gain in tensors.items():
        assert rows[name].shape == (weights[name].shape[0],)
        assert float(rows[name].mean()) == pytest.approx(gain.squared, rel=1e-12)


@pytest.mark.slow
def test_row_gains_agree_with_the_whole_jacobian():
    """A linear layer after another whose units differ a hundredfold: each row within 4.5 standard errors.

    Over 2000 passes; the squared gradient of one weight has a relative spread below 1.5 a pass, so the error is below
    4 per cent. A row that took the gain of its neighbour would be off by more than a third.
    """
    torch.manual_seed(0)
    model, batch = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)).double(), torch.randn(8, 3).double()
    with torch.no_grad():
        model[1].weight.mul_(2.0 ** torch.arange(5))
    found = row_gains(model, batch, {"0.weight": model[0].weight}, passes=2000)["0.weight"]
    weight = model[0].weight.detach()
    jacobian = torch.func.jacrev(lambda w: torch.func.functional_call(model, {"0.weight": w}, (batch,)))(weight)
    exact = jacobian.detach().square().sum((0, 1)).mean(1) / len(batch)
    assert (found / exact - 1).abs().max() < 4.5 * 1.5 / 2000**0.5


def test_a_vector_is_one_row_and_what_does_not_act_has_no_gain():
    """A bias has one gain, that of the tensor; an unused matrix has zeros, one for each row."""
    model = Chain({"used": nn.Linear(3, 2), "unused": nn.Linear(3, 4)}, "used")
    weights = {"used.bias": model["used"].bias, "unused.weight": model["unused"].weight}
    gains = row_gains(model, torch.randn(5, 3), weights, passes=2)
    whole = jacobian_gains(model, torch.randn(5, 3), weights, passes=2)["used.bias"]
    assert gains["used.bias"].tolist() == [pytest.approx(whole.squared)]
    assert gains["unused.weight"].tolist() == [0.0] * 4


@pytest.mark.slow
@pytest.mark.parametrize("case", [RESIDUAL, TRANSFORMER], ids=lambda case: case.name)
def test_parts_of_the_batch_have_the_gains_of_the_whole(case):
    """Unbiased whatever goes through together: within 4.5 standard errors of the Jacobian; and with less spread."""
    model, batch = case.model().double(), case.batch(samples=7)
    batch = batch.double() if batch.is_floating_point() else batch
    weights = stored_weights(model)
    parts = jacobian_gains(model, batch, weights, passes=500, samples_at_once=3)
    whole = jacobian_gains(model, batch, weights, passes=500)
    for name, gain in parts.items():
        assert abs(gain.squared - dense_gain(model, batch, name)) < 4.5 * gain.standard_error, name
        assert gain.standard_error < whole[name].standard_error, name


def test_one_part_is_the_whole_batch():
    """As many samples at once as there are, or more, change nothing."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch(samples=8)
    weights = stored_weights(model)
    whole = jacobian_gains(model, batch, weights, passes=4)
    assert jacobian_gains(model, batch, weights, passes=4, samples_at_once=8) == whole
    assert jacobian_gains(model, batch, weights, passes=4, samples_at_once=100) == whole


def test_named_and_several_inputs_are_cut_alike():
    """Tensors as long as the first one are cut; others, and what is no tensor, go along whole."""

    class Scaled(nn.Linear):
        def forward(self, x, scale, table, flag=None):
            assert table.shape == (2,)
            assert flag is None or flag == "on"
            return super().forward(x * scale) * table.sum()

    model, x, scale, table = Scaled(3, 2).double(), torch.randn(6, 3).double(), torch.rand(6, 1).double(), torch.ones(2)
    weights = stored_weights(model)
    expected = jacobian_gains(model, (x, scale, table), weights, passes=8, samples_at_once=2)
    named = {"x": x, "scale": scale, "table": table, "flag": "on"}
    assert jacobian_gains(model, named, weights, passes=8, samples_at_once=2) == expected


def test_samples_that_do_not_come_first_cannot_be_cut():
    """A model that gives one output for a whole batch is refused in parts, not averaged wrongly."""

    class Mean(nn.Linear):
        def forward(self, x):
            return super().forward(x).mean(0, keepdim=True)

    model = Mean(3, 2)
    with pytest.raises(ModelError, match="gives 1 outputs for 2 samples of the batch: samples must come first"):
        jacobian_gains(model, torch.randn(4, 3), stored_weights(model), samples_at_once=2)


@pytest.mark.slow
def test_passes_stop_at_the_relative_error():
    """No standard error is above what was asked for, a small one takes more passes, and the seed decides all."""
    model, batch = RESIDUAL.model(), RESIDUAL.batch()
    weights = stored_weights(model)
    fine, again = (jacobian_gains(model, batch, weights, passes=4000, relative_error=0.03) for _ in range(2))
    rough = jacobian_gains(model, batch, weights, passes=4000, relative_error=0.3)
    assert fine == again
    assert all(gain.standard_error <= 0.03 * gain.squared for gain in fine.values())
    assert any(gain.standard_error > 0.03 * gain.squared for gain in rough.values())
    rows = row_gains(model, batch, weights, passes=4000, relative_error=0.3)
    assert all(float(rows[name].mean()) == pytest.approx(gain.squared, rel=1e-6) for name, gain in rough.items())


def test_passes_are_the_most_that_are_made():
    """Where they do not suffice the gains are those of all passes, and their standard errors say so."""
    model, batch = RESIDUAL.model(), RESIDUAL.batch()
    weights = stored_weights(model)
    stopped = jacobian_gains(model, batch, weights, passes=12, relative_error=1e-6)
    for name, gain in jacobian_gains(model, batch, weights, passes=12).items():
        assert stopped[name].squared == pytest.approx(gain.squared, rel=1e-6)
        assert stopped[name].standard_error > 1e-6 * gain.squared


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_weight_gains_average_to_row_gains(case):
    """From the same passes, but for single precision; on the shape of the tensor."""
    model, batch = case.model(), case.batch(samples=8)
    weights = stored_weights(model)
    rows = row_gains(model, batch, weights, passes=4)
    for name, gains in weight_gains(model, batch, weights, passes=4).items():
        assert gains.shape == weights[name].shape
        assert gains.dtype == torch.float32
        assert torch.allclose(gains.reshape(len(rows[name]), -1).double().mean(1), rows[name], rtol=1e-4)


def test_large_tensors_are_summed_a_piece_at_a_time():
    """A tensor of more than one piece, whose gains are known."""
    model = nn.Linear(1100, 1000, bias=False)
    gains = jacobian_gains(model, torch.eye(1100)[:64], {"weight": model.weight}, passes=2)
    # Each input is a unit vector: every weight of its column has the square 1.
    assert gains["weight"].squared == pytest.approx(1 / 1100, rel=1e-12)
    rows = row_gains(model, torch.eye(1100)[:64], {"weight": model.weight}, passes=2)["weight"]
    assert torch.allclose(rows, torch.full((1000,), 1 / 1100, dtype=torch.float64), rtol=1e-12)


def test_bad_sizes_are_refused():
    """A relative error of zero, and no samples at once."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch()
    weights = stored_weights(model)
    with pytest.raises(ArgumentError, match=r"relative_error must be above 0, got 0\.0"):
        jacobian_gains(model, batch, weights, relative_error=0.0)
    with pytest.raises(ArgumentError, match="samples_at_once must be a whole number of at least 1, got 0"):
        row_gains(model, batch, weights, samples_at_once=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gains_on_cuda_are_those_of_the_cpu(case):
    """The same signs on every device: equal but for rounding."""
    model, batch = case.model(), case.batch(samples=8)
    expected = jacobian_gains(model, batch, stored_weights(model), passes=8, samples_at_once=4)
    moved = model.cuda()
    found = jacobian_gains(moved, batch.cuda(), stored_weights(moved), passes=8, samples_at_once=4)
    for name, gain in expected.items():
        assert found[name].squared == pytest.approx(gain.squared, rel=1e-3)


def test_a_linear_network_has_the_same_gains_everywhere():
    """Its Jacobian does not depend on the weights: averaged over reads it is that at the trained ones."""
    model, inputs = nn.Linear(6, 3, bias=False).double(), torch.randn(20, 6, dtype=torch.float64)
    reads = [{"weight": model.weight.detach() + scale} for scale in (0.5, -2.0, 7.0)]
    trained = jacobian_gains(model, inputs, {"weight": model.weight.detach()}, passes=256)["weight"]
    found = averaged_gains(model, inputs, reads, passes=256)["weight"]
    assert found.squared == pytest.approx(trained.squared, rel=0.05)


def test_gains_at_reads_are_those_of_the_weights_read():
    """Y = tanh(w x) at x = 1: the squared derivative at each weight read, averaged."""

    class Scalar(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.tensor([[0.0]], dtype=torch.float64))

        def forward(self, x):
            return torch.tanh(x @ self.w)

    values = (0.0, 0.5, 2.0)
    reads = [{"w": torch.tensor([[value]], dtype=torch.float64)} for value in values]
    found = averaged_gains(Scalar(), torch.ones(1, 1, dtype=torch.float64), reads, passes=2)["w"]
    expected = sum((1 - math.tanh(value) ** 2) ** 2 for value in values) / 3
    assert found.squared == pytest.approx(expected)
    with pytest.raises(ArgumentError, match="reads must be at least 2, got 1"):
        averaged_gains(Scalar(), torch.ones(1, 1, dtype=torch.float64), reads[:1], passes=2)


def _cut_by_itself(monkeypatch, least_held):
    """Let small networks count as large, with so many bytes for activations."""
    monkeypatch.setattr(gradients, "_LARGE", 0)
    monkeypatch.setattr(gradients, "_LEAST_HELD", least_held)


@pytest.mark.slow
def test_batches_of_large_networks_are_cut_by_themselves(monkeypatch):
    """No part holds more than it may, all samples count, and the gains are those of the Jacobian."""
    torch.manual_seed(0)
    model, batch = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double(), torch.randn(7, 6).double()
    weights, seen = stored_weights(model), []
    model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])) if torch.is_grad_enabled() else None)
    _cut_by_itself(monkeypatch, 500)
    gains = jacobian_gains(model, batch, weights, passes=600)
    # One and two samples, whose activations are counted, then parts.
    assert seen[:2] == [1, 2]
    assert max(seen[2:]) < 7
    assert sum(seen[2:]) == 7
    for name, gain in gains.items():
        assert abs(gain.squared - dense_gain(model, batch, name)) < 4.5 * gain.standard_error, name


@pytest.mark.parametrize("mixing", [lambda x: x + x.flip(0), lambda x: x.cumsum(0)], ids=["flip", "cumsum"])
def test_samples_that_act_on_each_other_stay_together(mixing, monkeypatch):
    """Where outputs of parts are not those of the batch, the gains are what they are without a limit, to the bit."""

    class Mixing(nn.Linear):
        def forward(self, x):
            return super().forward(mixing(x))

    model, batch = Mixing(3, 2), torch.randn(6, 3)
    whole = jacobian_gains(model, batch, stored_weights(model), passes=4)
    _cut_by_itself(monkeypatch, 1)
    assert jacobian_gains(model, batch, stored_weights(model), passes=4) == whole


def test_networks_of_one_size_of_batch_are_not_cut(monkeypatch):
    """A network that fails on fewer samples is measured on all of them."""

    class Fixed(nn.Linear):
        def forward(self, x):
            return super().forward(x.reshape(6, 3))

    model, batch = Fixed(3, 2), torch.randn(6, 3)
    whole = jacobian_gains(model, batch, stored_weights(model), passes=4)
    _cut_by_itself(monkeypatch, 1)
    assert jacobian_gains(model, batch, stored_weights(model), passes=4) == whole


def test_every_cut_has_the_same_signs():
    """What is held against a forward pass of the whole batch is measured with its signs."""
    output = torch.zeros(5, 3)
    whole = gradients.random_signs(output, 0, 1)
    parts = [gradients.random_signs(output[:2], 0, 1, 0, 5), gradients.random_signs(output[2:], 0, 1, 2, 5)]
    assert torch.equal(torch.cat(parts), whole)
    assert set(whole.flatten().tolist()) == {-1.0, 1.0}


def test_what_is_looked_at_of_a_pass_is_let_go():
    """An output that the backward pass of its own layer needs (tanh) would else hold its graph, and so all weights."""
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, inputs):
            hidden = torch.tanh(self.layer(inputs))
            seen.append(weakref.ref(hidden))
            return 2 * hidden

    model = Watched()
    assert gradients._held(model, torch.ones(5, 4), dict(model.named_parameters())) > 0
    gc.collect()
    assert seen
    assert all(one() is None for one in seen)
