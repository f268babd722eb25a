"""Baselines spend the same budget by other rules."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.planning import magnitude_protection, random_protection, sensitivity_protection
from tests.cases import CASES, CONVOLUTION, assert_unchanged, snapshot


def plans_of(case, overhead):
    """One plan of each baseline, and the model they were made for."""
    model, batch = case.model(), case.batch()
    return model, {
        "magnitude": magnitude_protection(model, p=0.1, overhead=overhead),
        "sensitivity": sensitivity_protection(model, batch, p=0.1, overhead=overhead, trials=2),
        "random": random_protection(model, p=0.1, overhead=overhead),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("overhead", [0.0, 0.2, 1.0])
def test_budgets_are_kept_and_models_unchanged(case, overhead):
    """No baseline spends more than asked; all survive JSON and can be stored."""
    before = snapshot(case.model())
    model, plans = plans_of(case, overhead)
    for method, plan in plans.items():
        assert plan.method == method
        assert plan.overhead <= overhead + 1e-12
        assert {tensor.storage.correction for tensor in plan.tensors} == {"none"}
        assert qtaml.Plan.from_json(plan.to_json()) == plan
        qtaml.store(model, plan).state_dict(seed=0)
    assert_unchanged(model, before)
    if overhead == 1:
        assert plans["random"].overhead == plans["magnitude"].overhead == 1


def test_magnitude_looks_at_the_largest_weight_only():
    """Of two equal tensors the one scaled up is protected first, though its errors do not reach the output."""
    model = nn.ModuleDict({"small": nn.Linear(4, 4), "large": nn.Linear(4, 4)})
    with torch.no_grad():
        model["large"].weight.copy_(10 * model["small"].weight)
    small, large = magnitude_protection(model, p=0.1, overhead=0.125).tensors
    assert (small.storage.protected_bits, large.storage.protected_bits) == (0, 32)


def test_sensitivity_looks_at_the_output():
    """A tensor that the output does not depend on is not protected, however large."""
    model = nn.ModuleDict({"used": nn.Linear(4, 4), "unused": nn.Linear(4, 4)})
    with torch.no_grad():
        model["unused"].weight.mul_(100)
    model.forward = lambda x: model["used"](x)
    used, unused = sensitivity_protection(model, torch.randn(8, 4), p=0.1, overhead=0.25).tensors
    assert used.storage.protected_bits > 0
    assert unused.storage.protected_bits == 0


def test_sensitivity_agrees_with_the_gains_where_errors_are_small():
    """At a small p the measured deviation per unit of variance is the Jacobian gain: same protection as TAC's bits."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch(64)
    measured = sensitivity_protection(model, batch, p=1e-3, overhead=0.25, trials=400)
    tac = qtaml.compensate(model, batch, p=1e-3, overhead=0.25, allocation="greedy", correction="none", passes=200)
    assert [t.storage.protected_bits for t in measured.tensors] == [t.storage.protected_bits for t in tac.tensors]


def test_random_protection_is_seeded():
    """The same seed protects the same bits; another seed others."""
    model = CONVOLUTION.model()
    first, again, other = (random_protection(model, p=0.1, overhead=0.3, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.tensors != other.tensors


@pytest.mark.parametrize(
    ("plan", "arguments", "message"),
    [
        (magnitude_protection, {"p": 0.1, "overhead": 2}, "overhead must be a share from 0 to 1"),
        (magnitude_protection, {"p": 0.1, "overhead": 0.1, "allocation": "best"}, "allocation must be one of"),
        (random_protection, {"p": 0.6, "overhead": 0.1}, "p must be a flip probability"),
        (random_protection, {"p": 0.1, "overhead": -1}, "overhead must be a share from 0 to 1"),
    ],
)
def test_bad_arguments_are_refused(plan, arguments, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        plan(CONVOLUTION.model(), **arguments)
