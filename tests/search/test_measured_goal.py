"""The least cells for an accuracy, on average or by a share of the chips, confirmed on chips that chose nothing."""

from typing import ClassVar

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import FaultModel, Several, StaticCells, Uniform
from qtaml.measuring import Accuracy, Metric
from qtaml.planning import Confirmation, Design
from qtaml.search import measured_goal
from qtaml.search.measured_goal import Goal
from qtaml.sensitivity import Calibration

DECODERS = ("none", "ideal")
"""With the ideal code, every accuracy is within reach of twice a plain memory, and nothing is fitted."""


def classifier() -> tuple[nn.Module, torch.Tensor, Accuracy]:
    """Inputs in four classes, which one layer tells apart."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(64, 4)
    inputs = torch.randn(100, 64, generator=generator)
    return model, inputs, Accuracy(inputs, model(inputs).argmax(1))


def least(fault: FaultModel, **arguments) -> qtaml.Plan:
    """A design in a moment."""
    model, inputs, metric = classifier()
    settings = {"decoders": DECODERS, "passes": 4, "accuracy": 0.8} | arguments
    return qtaml.design(model, inputs, fault=fault, metric=metric, **settings)


LOT = Several((Uniform(0.02), Uniform(0.1)))


@pytest.fixture(scope="module")
def plan() -> qtaml.Plan:
    """The least cells with which 90% of the chips keep 80% of the answers."""
    return least(LOT, chips=0.9, trials=2)


@pytest.mark.slow
def test_the_plan_says_what_confirms_it(plan) -> None:
    """On the printed page and in a file; the settings are those that were asked."""
    found = plan.confirmation
    assert (found.confidence, found.trials, found.low) == (0.95, 2, None)
    assert found.good >= 0.9 * found.chips >= 30
    assert plan.settings == Design(fault=LOT, accuracy=0.8, chips=0.9, trials=2, decoders=DECODERS, passes=4)
    assert (
        f"At least 0.9 of the chips reach 0.8, with 95% confidence, by 2 reads of each of {found.chips} chips"
        in str(plan)
    )
    assert qtaml.Plan.from_json(plan.to_json()) == plan


def test_other_chips_reach_the_accuracy_too(plan) -> None:
    """Of 300 others, of which fewer than 252 would be good in one lot of 1,000; in a plain memory too few are."""
    model, _, metric = classifier()
    chips = qtaml.evaluate(qtaml.store(model, plan), metric, chips=300, trials=2, seed=77)
    assert sum(value >= 0.8 for value in chips.values) >= 252
    plain = qtaml.uniform_msp(model, fault=LOT, protected_bits=0)
    assert qtaml.evaluate(qtaml.store(model, plain), metric, chips=100, trials=2).share_above(0.8).high < 0.9


@pytest.mark.slow
def test_the_same_seed_finds_the_same_plan(plan) -> None:
    """Chips and reads are those of the seed."""
    assert least(LOT, chips=0.9, trials=2) == plan


@pytest.mark.slow
@pytest.mark.parametrize("fault", [StaticCells((0.0,) * 15 + (1.0,)), Uniform(0.05)], ids=["static", "uniform"])
def test_chips_of_any_kind(fault: FaultModel) -> None:
    """Chips with cells of their own, whatever number the fault model has; and such as differ in their reads only."""
    found = least(fault, chips=0.8, trials=2)
    model, _, metric = classifier()
    chips = qtaml.evaluate(qtaml.store(model, found), metric, chips=100, trials=2, seed=5)
    assert chips.share_above(0.8).high >= 0.8


@pytest.mark.slow
def test_a_mean_is_confirmed_on_other_reads() -> None:
    """Its lower end is that of an attempt, whose seed is none of the search."""
    found = least(Uniform(0.05), trials=10, accuracy=0.7)
    assert found.confirmation.low >= 0.7
    assert (found.confirmation.trials, found.confirmation.chips) == (10, None)
    assert "The metric is at least 0.7 on average, with 95% confidence, by 10 reads" in str(found)
    model, _, metric = classifier()
    assert qtaml.evaluate(qtaml.store(model, found), metric, trials=100, seed=9).mean >= 0.7


class Lucky(Goal):
    """A goal that every plan seems to reach, and none of the first two that are confirmed does."""

    tried: ClassVar[list[tuple[float, int]]] = []

    def seems_reached(self, plan: qtaml.Plan) -> bool:
        return True

    def confirmed(self, plan: qtaml.Plan, attempt: int) -> Confirmation | None:
        self.tried.append((plan.cells, attempt))
        return Confirmation(0.95, 2, good=1, chips=1) if attempt > 2 else None


@pytest.mark.slow
def test_a_lucky_plan_is_not_returned(monkeypatch) -> None:
    """The budget grows until a plan is confirmed; each attempt has a number, and so errors, of its own."""
    monkeypatch.setattr("qtaml.search.goals.Goal", Lucky)
    Lucky.tried.clear()
    found = least(LOT, chips=0.9)
    cells = [cells for cells, _ in Lucky.tried]
    assert cells == sorted(set(cells))
    assert found.cells == cells[-1]
    assert len(cells) <= [attempt for _, attempt in Lucky.tried][-1]


def test_attempts_to_confirm_share_one_error(monkeypatch) -> None:
    """The first takes half of it, the second a quarter, ...; each with chips of its own."""
    model, inputs, metric = classifier()
    goal = Goal(model, metric, Design(fault=LOT, accuracy=0.0, chips=0.9), Calibration(model, inputs))
    plan = qtaml.uniform_msp(model, fault=LOT, protected_bits=8)
    asked = []

    def none_good(outcomes, share: float, *, error: float) -> bool:
        asked.append((next(iter(outcomes)), share, error))
        return False

    seeds = []
    monkeypatch.setattr(measured_goal, "share_is_reached", none_good)
    drawn = measured_goal.values_of_chips
    monkeypatch.setattr(
        measured_goal,
        "values_of_chips",
        lambda *given, seed, **more: seeds.append(seed) or drawn(*given, seed=seed, **more),
    )
    assert [goal.confirmed(plan, attempt) for attempt in (1, 2, 3)] == [None] * 3
    assert asked == [(True, 0.9, 0.05 / 2**attempt) for attempt in (1, 2, 3)]
    assert len({*seeds, goal.settings.seed}) == 4


def test_an_accuracy_out_of_reach_of_the_chips_is_refused() -> None:
    """No chip is right where a label is wrong."""
    model, inputs, _ = classifier()
    wrong: Metric = Accuracy(inputs, (model(inputs).argmax(1) + 1) % 4)
    with pytest.raises(
        qtaml.BudgetError, match=r"no design of at most 2 cells reaches a metric of 0\.9 on 0\.95 of the chips"
    ):
        qtaml.design(model, inputs, p=0.05, accuracy=0.9, chips=0.95, metric=wrong, passes=4, decoders=("none",))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cells": 0.5, "chips": 0.9}, "be given with accuracy, got chips=0.9 and accuracy=None"),
        ({"accuracy": 0.5, "chips": 1.0}, r"chips must be a share between 0 and 1, .* got chips=1.0"),
        ({"accuracy": 0.5, "chips": 200}, r"chips must be a share between 0 and 1, .* got chips=200"),
    ],
)
def test_shares_out_of_range_are_refused(asked, message: str) -> None:
    """Before anything is measured."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        Design(p=0.1, **asked)


def test_reads_are_thirty_or_five_of_each_chip() -> None:
    """Unless asked otherwise."""
    assert (Design(p=0.1, accuracy=0.5).trials, Design(p=0.1, accuracy=0.5, chips=0.9).trials) == (30, 5)
