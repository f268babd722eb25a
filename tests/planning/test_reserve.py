"""Plans for memories that are not known exactly: the worst of them, or their mean."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Several, Uniform

VOTES = ("none", "table", "majority")


def network() -> tuple[nn.Module, torch.Tensor]:
    """A small network with seeded weights, and inputs for it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(16, 48), nn.Tanh(), nn.Linear(48, 4)), torch.randn(32, 16)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["compensate", "design"])
def test_the_worst_member_is_planned_for(method) -> None:
    """The words are those of the plan for it alone, and the error at each member is told."""
    model, inputs = network()
    asked = {"overhead": 0.2, "passes": 8} if method == "compensate" else {"cells": 1.0, "decoders": VOTES, "passes": 8}
    plan = getattr(qtaml, method)(model, inputs, p=(0.02, 0.1), **asked)
    alone = getattr(qtaml, method)(model, inputs, p=0.1, **asked)
    assert plan.written_for == Uniform(0.1)
    assert isinstance(plan.fault, Several)
    assert [one.storage for one in plan.tensors] == [one.storage for one in alone.tensors]
    assert [one.fault for one in plan.reserve] == list(plan.fault.members)
    assert max(plan.reserve, key=lambda one: one.error.mean).fault == Uniform(0.1)
    stored, single = (qtaml.store(model, one).tensors for one in (plan, alone))
    assert all(torch.equal(stored[name].words, single[name].words) for name in stored)
    assert qtaml.Plan.from_json(plan.to_json()) == plan
    assert any("Planned for all of 5 memories" in remark for remark in plan.remarks)


@pytest.mark.slow
def test_weights_make_a_mean() -> None:
    """A member that never occurs is not planned for."""
    model, inputs = network()
    lot = Several((Uniform(0.02), Uniform(0.3)), weights=(1.0, 0.0))
    plan = qtaml.compensate(model, inputs, fault=lot, overhead=0.2, passes=8)
    alone = qtaml.compensate(model, inputs, p=0.02, overhead=0.2, passes=8)
    assert plan.reserve[0].error.mean <= 1.2 * alone.measured_error.mean if alone.measured_error else True
    assert plan.reserve[0].error.mean < plan.reserve[1].error.mean
