"""Baselines spend the same budget by other rules."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Uniform
from qtaml.planning import (
    UniformMsp,
    fixed_point,
    magnitude_protection,
    random_protection,
    sensitivity_protection,
    weight_scaling,
)
from tests.cases import CASES, CONVOLUTION, Chain, assert_unchanged, snapshot


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
    model = Chain({"used": nn.Linear(4, 4), "unused": nn.Linear(4, 4)}, "used")
    with torch.no_grad():
        model["unused"].weight.mul_(100)
    used, unused = sensitivity_protection(model, torch.randn(8, 4), p=0.1, overhead=0.25).tensors
    assert used.storage.protected_bits > 0
    assert unused.storage.protected_bits == 0


@pytest.mark.slow
def test_sensitivity_agrees_with_the_gains_where_errors_are_small():
    """At a small p the measured deviation per unit of variance is the Jacobian gain: same protection as TAC's bits."""
    model, batch = CONVOLUTION.model(), CONVOLUTION.batch(64)
    measured = sensitivity_protection(model, batch, p=1e-3, overhead=0.25, trials=2000)
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


def test_mixed_k_is_one_bit_more_for_the_first_weights():
    """Of 1.5 bits the first half of each tensor has two; a share that is no whole weight is rounded down."""
    half = qtaml.uniform_msp(nn.Linear(5, 3), p=0.1, protected_bits=1.5)
    (tensor,) = half.tensors
    assert [(part.weights, part.format.protected_bits) for part in tensor.storage.sections] == [(7, 2), (8, 1)]
    assert half.overhead == pytest.approx((7 * 2 + 8 * 1) / (8 * 15))
    assert half.settings == UniformMsp(p=0.1, protected_bits=1.5)
    assert qtaml.Plan.from_json(half.to_json()) == half
    tenth = qtaml.uniform_msp(nn.Linear(10, 10), p=0.1, protected_bits=0.1)
    assert tenth.overhead == pytest.approx(10 / 800)


@pytest.mark.parametrize("bits", [0, 2, 8])
def test_a_whole_number_is_the_same_however_it_is_written(bits):
    """2 and 2.0 are one plan, of one section."""
    model = CONVOLUTION.model()
    whole = qtaml.uniform_msp(model, p=0.1, protected_bits=bits)
    assert qtaml.uniform_msp(model, p=0.1, protected_bits=float(bits)).to_json() == whole.to_json()
    assert {len(tensor.storage.sections) for tensor in whole.tensors} == {1}


@pytest.mark.parametrize("value", [-0.5, 8.5, float("nan"), "two", True])
def test_impossible_numbers_of_protected_bits_are_refused(value):
    """The message names the argument and its value."""
    with pytest.raises(qtaml.ArgumentError, match=r"protected_bits must be .*got"):
        qtaml.uniform_msp(CONVOLUTION.model(), p=0.1, protected_bits=value)


def test_fixed_point_has_one_power_of_two_for_all_tensors():
    """The least that holds the largest weight; errors in a small tensor are then as large as in the largest."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with torch.no_grad():
        model[0].weight.fill_(0.01)
        model[1].weight.fill_(0.6)
    plan = fixed_point(model, p=0.1)
    assert [tensor.storage.scale.value for tensor in plan.tensors] == [1.0, 1.0]
    assert plan.overhead == 0
    assert qtaml.Plan.from_json(plan.to_json()) == plan
    read = qtaml.store(model, plan).state_dict(seed=0, fault=Uniform(0.4))
    assert float(read["0.weight"].abs().max()) > 0.4
    with torch.no_grad():
        model[1].weight.fill_(0.5)
    assert fixed_point(model, p=0.1).tensors[0].storage.scale.value == 0.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_weight_scaling_is_the_uncompensated_memory(case):
    """Multiplied to fill a fixed-point memory, read there and divided, each tensor is what a plain memory reads.

    The constants put the largest magnitude at the end of the range. The constant itself is rounded once: a weight that
    sits on the boundary of two levels may go the other way, none does here.
    """
    model = case.model()
    plain, scaled = qtaml.uniform_msp(model, p=0.1, protected_bits=0), weight_scaling(model, p=0.1)
    first, second = (qtaml.store(model, plan).state_dict(seed=3) for plan in (plain, scaled))
    assert all(torch.equal(first[name], second[name]) for name in first)

    fixed = fixed_point(model, p=0.1)
    full_scale = fixed.tensors[0].storage.scale.value
    weights = {tensor.name: model.state_dict()[tensor.name] for tensor in fixed.tensors}
    constants = {name: full_scale / float(weight.abs().max()) for name, weight in weights.items()}
    multiplied = case.model()
    with torch.no_grad():
        for name, weight in weights.items():
            multiplied.state_dict()[name].copy_(constants[name] * weight.double())
    in_fixed_point = qtaml.store(multiplied, fixed)
    for name, tensor in qtaml.store(model, plain).tensors.items():
        assert torch.equal(in_fixed_point.tensors[name].words, tensor.words)
    read = in_fixed_point.state_dict(seed=3)
    for name, constant in constants.items():
        torch.testing.assert_close(read[name] / constant, first[name], rtol=1e-5, atol=1e-7)


def test_weight_scaling_helps_where_ranges_differ(tmp_path):
    """A tensor of small weights is read with smaller errors than from one fixed-point range; both can be kept."""
    model = nn.Sequential(nn.Linear(40, 40), nn.Linear(40, 40))
    with torch.no_grad():
        model[0].weight.mul_(0.1)
    errors = []
    for plan in (fixed_point(model, p=0.1), weight_scaling(model, p=0.1)):
        qtaml.store(model, plan).save(tmp_path / plan.method)
        read = qtaml.load(tmp_path / plan.method, model).state_dict(seed=0)["0.weight"]
        errors.append(float((read - model[0].weight.detach()).square().mean()))
    assert errors[1] < 0.1 * errors[0]
