"""The saving predicted before any Monte Carlo is the one that plans have."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import qtaml
from tests.cases import CASES, CONVOLUTION, RESIDUAL, Chain, assert_unchanged, snapshot


class Branches(nn.Module):
    """Two matrices, the second of which acts on the output through a factor."""

    def __init__(self, size: int, factor: float) -> None:
        super().__init__()
        self.small = nn.Linear(4, 4, bias=False)
        self.large = nn.Linear(4, size, bias=False)
        self.factor = factor
        for weight in self.parameters():
            nn.init.ones_(weight)

    def forward(self, x):
        return torch.cat([self.small(x), self.factor * self.large(x)], 1)


def test_equal_tensors_save_nothing():
    """Tensors of one score each need what Uniform-MSP needs: ratio 1, factor 1, TAC does not pay."""
    prediction = qtaml.predict(Branches(4, 1.0), torch.eye(4), p=0.1, passes=400)
    assert prediction.saturation_ratio == pytest.approx(1, abs=0.01)
    assert [saving.factor for saving in prediction.savings] == pytest.approx([1] * 4, abs=0.1)
    assert not prediction.pays


def test_an_unimportant_large_tensor_is_where_tac_saves():
    """One small tensor that matters beside a large one that hardly does: TAC needs far less."""
    prediction = qtaml.predict(Branches(256, 0.01), torch.eye(4), p=0.1)
    assert prediction.saturation_ratio < 0.5
    assert prediction.savings[0].factor > 2
    assert prediction.pays


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_saving_is_that_of_plans(case):
    """A plan at TAC's overhead has the predicted error of Uniform-MSP, but for one weight's step."""
    model, batch = case.model(), case.batch()
    before = snapshot(model)
    prediction = qtaml.predict(model, batch, p=0.1, seed=3)
    assert_unchanged(model, before)
    saving = prediction.savings[0]
    plan = qtaml.compensate(model, batch, p=0.1, overhead=saving.tac_overhead, correction="none", seed=3)
    bound = {tensor.name: tensor.gain.squared for tensor in plan.tensors}
    uniform = qtaml.uniform_msp(model, p=0.1, protected_bits=1)
    memory = qtaml.store(model, uniform)
    wanted = sum(
        bound[entry.name]
        * entry.storage.summed_variance(
            memory.tensors[entry.name].words, memory.tensors[entry.name].scale, uniform.fault
        )
        for entry in uniform.tensors
    )
    assert plan.noise_error == pytest.approx(wanted, rel=0.05)
    assert saving.tac_overhead <= saving.uniform_overhead


def test_a_tensor_without_effect_is_named_and_left_out():
    """What is said is what would be said of the network without it."""
    used, inputs = nn.Linear(4, 4), torch.randn(16, 4)
    prediction = qtaml.predict(Chain({"used": used, "unused": nn.Linear(4, 4)}, "used"), inputs, p=0.1)
    alone = qtaml.predict(Chain({"used": used}, "used"), inputs, p=0.1)
    assert prediction.unreached == ("unused.weight",)
    assert replace(prediction, unreached=()) == alone
    assert "unused.weight" in prediction.table().caption


def test_it_is_a_table_and_json():
    """For people and for scripts."""
    prediction = qtaml.predict(RESIDUAL.model(), RESIDUAL.batch(), p=0.1)
    assert "saturation ratio" in prediction.table().title
    assert json.loads(prediction.to_json())["saturation_ratio"] == prediction.saturation_ratio


def test_bad_arguments_are_refused():
    """As for a plan."""
    with pytest.raises(qtaml.ArgumentError, match="give exactly one of p, fault and device"):
        qtaml.predict(CONVOLUTION.model(), CONVOLUTION.batch())
    with pytest.raises(qtaml.ModelError, match="failed on inputs"):
        qtaml.predict(CONVOLUTION.model(), torch.zeros(2, 2), p=0.1)
