"""The second main job through the public door."""

from itertools import pairwise

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Uniform
from qtaml.measuring import Accuracy, check_prediction
from qtaml.protections import HardenedCell
from tests.cases import CASES, CONVOLUTION, assert_unchanged, snapshot

VOTES = ("none", "table", "majority")
CONFIDENCE = 0.999
"""Of the ratio tests: each raises a false alarm in 1 of 1000 seeds; the seeds are fixed."""


def network(*sizes):
    """Layers with tanh between them, and inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        between = [module for layer in layers for module in (layer, nn.Tanh())][:-1]
        return nn.Sequential(*between), torch.randn(64, sizes[0])


def quick(model, inputs, **arguments):
    """A design in a moment."""
    settings = {"p": 0.1, "decoders": VOTES, "passes": 8} | arguments
    return qtaml.design(model, inputs, **settings)


# The paper's schemes are special cases


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("cells", [1.0, 1.07, 1.3, 2.0])
def test_tac_is_a_design_of_plain_words_and_the_ideal_code(case, cells):
    """The same sections and corrections, and so the same words."""
    model, batch = case.model(), case.batch()
    asked = {"p": 0.1, "passes": 8, "beyond_first_order": False}
    found = qtaml.design(model, batch, cells=cells, decoders=("none", "ideal"), **asked)
    tac = qtaml.compensate(model, batch, overhead=cells - 1, decision="always", **asked)
    assert [tensor.storage for tensor in found.tensors] == [tensor.storage for tensor in tac.tensors]
    assert found.noise_error == pytest.approx(tac.noise_error)


@pytest.mark.parametrize("protected", range(9))
def test_uniform_msp_is_the_design_of_one_tensor(protected):
    """With nothing to choose between, the ideal code spends k / 8 on the k most significant bits."""
    model, inputs = network(12, 6)
    found = quick(model, inputs, cells=1 + protected / 8, decoders=("none", "ideal"))
    uniform = qtaml.uniform_msp(model, p=0.1, protected_bits=protected)
    assert found.tensors[0].storage.sections == uniform.tensors[0].storage.sections
    assert found.cells == uniform.cells


def test_the_uncompensated_memory_is_the_design_without_choices():
    """Raw cells and nothing else."""
    model, inputs = network(12, 8, 6)
    found = quick(model, inputs, cells=1.5, decoders=("none",))
    plain = qtaml.uniform_msp(model, p=0.1, protected_bits=0)
    assert [t.storage.sections for t in found.tensors] == [t.storage.sections for t in plain.tensors]


# What is stored


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "rows"),
    [
        pytest.param(case, rows, marks=[pytest.mark.long] if number else [])
        for number, (case, rows) in enumerate(zip(CASES, (True, False, True, False), strict=True))
    ],
)
def test_a_stored_design_is_the_same_after_a_file(case, rows, tmp_path):
    """Words, scales and reads bit for bit; the plan as a file and the original weights rebuild the same words."""
    model, batch = case.model(), case.batch()
    before = snapshot(model)
    plan = quick(model, batch, cells=4.0, rows=rows)
    assert_unchanged(model, before)
    memory = qtaml.store(model, plan)
    memory.save(tmp_path / "stored")
    plan.save(tmp_path / "plan.json")
    loaded = qtaml.load(tmp_path / "stored", case.model(seed=5))
    rebuilt = qtaml.store(case.model(), qtaml.Plan.load(tmp_path / "plan.json"))
    for other in (loaded, rebuilt):
        assert other.plan == plan
        for name, tensor in memory.tensors.items():
            assert torch.equal(other.tensors[name].words, tensor.words)
            assert torch.equal(other.tensors[name].scale, tensor.scale)
        first, second = memory.state_dict(seed=3), other.state_dict(seed=3)
        assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_design_prints_as_a_table():
    """With the bits under each protection."""
    model, inputs = network(24, 64, 8)
    text = str(quick(model, inputs, cells=2.0))
    assert "plan: design" in text
    assert "repetition" in text
    assert "mean only" in str(quick(model, inputs, cells=0.4))


# Predictions


@pytest.mark.slow
@pytest.mark.parametrize("decoders", [VOTES, ("ideal",)], ids=["fitted", "plain"])
def test_one_layer_errs_as_predicted(decoders):
    """Its output is linear in the weights: bias and variance are all there is, at any p. 500 reads, ratio 1."""
    model, inputs = network(32, 8)
    plan = quick(model, inputs, cells=1.0, decoders=decoders, passes=512)
    check = check_prediction(qtaml.store(model, plan), model, inputs, trials=500, confidence=CONFIDENCE)
    assert check.low < 1 < check.high
    assert check.high - check.low < 0.3


@pytest.mark.slow
@pytest.mark.parametrize(("p", "cells"), [(0.01, 0.75), (0.01, 1.2), (0.03, 1.2)])
def test_small_errors_are_predicted_within_a_fifth(p, cells):
    """A network with tanh whose output error is below a tenth of its output power: the linear range."""
    model, inputs = network(24, 64, 8)
    power = float(model(inputs).detach().square().sum(1).mean())
    plan = quick(model, inputs, p=p, cells=cells, passes=128)
    assert plan.predicted_error < power / 10
    check = check_prediction(qtaml.store(model, plan), model, inputs, trials=200, confidence=CONFIDENCE)
    assert 0.8 < check.low < check.high < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("decoders", [VOTES, ("ideal",)], ids=["fitted", "plain"])
def test_without_errors_the_prediction_is_the_quantisation(decoders):
    """At p = 0 every read is the same, and its output error is the predicted one."""
    model, inputs = network(24, 64, 8)
    plan = quick(model, inputs, p=0.0, cells=1.0, decoders=decoders)
    check = check_prediction(qtaml.store(model, plan), model, inputs, trials=2)
    assert check.ratio == pytest.approx(1, rel=1e-3)


# Goals


@pytest.mark.long
def test_the_fewest_cells_for_a_predicted_error():
    """It is reached, and not with a hundredth fewer cells."""
    model, inputs = network(24, 64, 8)
    plan = quick(model, inputs, error=0.2)
    assert plan.predicted_error <= 0.2
    assert quick(model, inputs, cells=0.97 * plan.cells).predicted_error > 0.2


@pytest.mark.long
def test_the_fewest_cells_for_a_measured_accuracy():
    """The lower end of the interval over the same reads reaches it."""
    model, inputs = network(24, 64, 8)
    metric = Accuracy(inputs, model(inputs).argmax(1))
    plan = quick(model, inputs, accuracy=0.6, metric=metric, trials=10, seed=4)
    assert qtaml.evaluate(qtaml.store(model, plan), metric, trials=10, seed=4).reads_low >= 0.6
    fewer = quick(model, inputs, cells=plan.cells / 2, seed=4)
    assert qtaml.evaluate(qtaml.store(model, fewer), metric, trials=10, seed=4).reads_low < 0.6


@pytest.mark.slow
def test_a_goal_out_of_reach_is_refused():
    """Twice a plain memory is not enough."""
    model, inputs = network(24, 16, 8)
    with pytest.raises(qtaml.BudgetError, match="no design of at most 2 cells reaches an output error of 1e-09"):
        quick(model, inputs, error=1e-9)
    metric = Accuracy(inputs, torch.full((64,), 7))
    with pytest.raises(qtaml.BudgetError, match=r"no design of at most 2 cells reaches a metric of 1\.0"):
        quick(model, inputs, accuracy=1.0, metric=metric, trials=3)


@pytest.mark.slow
def test_a_device_brings_its_larger_cells():
    """Its flip probability at its window, and cells that need no decoder."""
    model, inputs = network(24, 64, 8)
    record = qtaml.device.preset_record("few_electron_dt")
    plan = quick(model, inputs, p=None, device=record, cells=1.0, decoders=("table",))
    p = record.cell.flip_probability(record.window)
    assert plan.fault == Uniform(p)
    larger = {
        protection
        for tensor in plan.tensors
        for section in tensor.storage.sections
        for protection in section.format.protections
        if isinstance(protection, HardenedCell)
    }
    assert larger
    assert all(cell.p01 < p and cell.area > 1 for cell in larger)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give exactly one of cells, error and accuracy, got cells=None"),
        ({"cells": 1.0, "error": 0.1}, "give exactly one of cells, error and accuracy"),
        ({"accuracy": 0.9}, "metric must be given with accuracy"),
        ({"cells": 1.0, "metric": lambda model: 1.0}, "metric must be given with accuracy, and only then"),
        ({"cells": 1.0, "p": None}, "give exactly one of p, fault and device, got p=None, fault=None and device=None"),
        ({"cells": 1.0, "fault": Uniform(0.1)}, "give exactly one of p, fault and device"),
        ({"cells": 1.0, "p": 0.5}, r"p must be a flip probability in \[0, 0.5\), got 0.5"),
        ({"cells": 1.0, "p": None, "fault": 0.1}, "fault must be a fault model"),
        ({"cells": -1.0}, "cells must be above 0, got -1"),
        ({"cells": float("nan")}, "cells must be finite, got nan"),
        ({"error": 0.0}, "error must be above 0, got 0"),
        ({"cells": 1.0, "decoders": "table"}, "decoders must be several names .* got 'table'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    """Each names the argument and its value."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        quick(CONVOLUTION.model(), CONVOLUTION.batch(), **arguments)


@pytest.mark.slow
def test_a_network_of_zeros_needs_next_to_nothing():
    """The search of the least cells ends at once where the dearest plan costs nothing."""
    model = nn.Linear(256, 256)
    nn.init.zeros_(model.weight)
    plan = qtaml.design(model, torch.randn(8, 256), p=0.1, error=0.1, passes=2)
    assert plan.cells < 0.01


@pytest.mark.parametrize("decoders", ["table", 5, iter(("none", "table"))])
def test_decoders_are_several_names(decoders):
    """Not one text, a number, or what is used up when it is looked at."""
    with pytest.raises(qtaml.ArgumentError, match="decoders must be several names"):
        qtaml.design(nn.Linear(4, 2), torch.randn(8, 4), p=0.1, cells=0.5, decoders=decoders)
