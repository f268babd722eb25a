"""Designs within budgets of refreshes, in which each bit may have a rate of its own."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import qtaml
from qtaml.device import preset_record
from qtaml.errors import ArgumentError
from qtaml.networks import trained
from qtaml.planning import Design, Plan, side_cells
from qtaml.planning.hardened_cells import hardened_cells
from qtaml.planning.side_values import side_storage
from qtaml.protections import HardenedCell

DEVICE = preset_record("gaincell_2t_sion")


@pytest.fixture(scope="module")
def network():
    """A network with its inputs, and the share of samples whose class it keeps."""
    torch.manual_seed(3)
    model, inputs = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 4)), torch.randn(300, 16)
    return model, inputs, qtaml.Accuracy(inputs, model(inputs).argmax(1))


@pytest.fixture(scope="module")
def plan(network):
    """A plan in as many refreshes as a plain memory has."""
    model, inputs, _ = network
    asked = {"decoders": ("none", "table"), "hardening": ("refresh",), "price": "refreshes"}
    return qtaml.design(model, inputs[:64], device=DEVICE, cells=1.0, beyond_first_order=False, **asked)


@pytest.mark.slow
def test_significant_bits_are_refreshed_more_often_by_its_own_choice(plan):
    """In every word rates never fall towards the most significant bit; in most weights' words they differ."""
    graded = weights = 0
    for tensor in plan.tensors:
        for section in tensor.storage.sections:
            rates = [one.refresh_rate for one in section.format.protections]
            assert rates == sorted(rates)
            graded += section.weights * (len(set(rates)) > 1)
            weights += section.weights
    assert graded > weights / 2


def test_the_budget_is_one_of_refreshes(plan):
    """Recounted from the words; the side values in the cells that are cheapest in refreshes."""
    assert plan.refreshes <= 1.0
    assert plan.spent == plan.refreshes != plan.cells
    words = sum(
        section.weights * one.cells * one.refresh_rate
        for tensor in plan.tensors
        for section in tensor.storage.sections
        for one in section.format.protections
    )
    beside = side_storage(plan.fault, plan.side_values, ("none", "table"), plan.settings.hardened, "refreshes")[1]
    assert plan.refreshes * 8 * plan.weights == pytest.approx(words + beside)
    assert "refreshes" in str(plan)


def test_a_plan_with_refresh_rates_is_read_again_from_its_file(plan):
    """With its rates, which give the power."""
    again = Plan.from_json(plan.to_json())
    assert (again, again.refreshes) == (plan, plan.refreshes)
    cost = plan.cost(array="gain_cell_3t", node=28.0, window=DEVICE.window)
    energy = plan.refreshes * 8 * plan.weights * 138e-15
    assert cost.figure("power", "refresh, write-back").value == pytest.approx(energy / DEVICE.window)


@pytest.mark.slow
def test_own_rates_take_less_than_half_the_refreshes_within_a_point_of_accuracy(tmp_path):
    """A digit network: 0.27 of a plain memory's; plain words miss the point at four times as many."""
    model, data = trained("SmallCNN", cache=tmp_path)
    metric = qtaml.Accuracy(data.test_inputs, data.test_labels)
    wanted = float(metric.scores(model).float().mean()) - 0.01
    own = {"hardening": ("refresh",), "price": "refreshes", "decoders": ("none", "table"), "beyond_first_order": False}
    plan = qtaml.design(model, data.calibration, device=DEVICE, cells=0.27, **own)
    result = qtaml.evaluate(qtaml.store(model, plan), metric, trials=10)
    p = DEVICE.cell.flip_probability(DEVICE.window / (4 * 0.27))
    plain = qtaml.evaluate(qtaml.store(model, qtaml.uniform_msp(model, p=p, protected_bits=0)), metric, trials=10)
    assert plan.refreshes <= 0.27
    assert result.reads_low >= wanted > plain.reads_high


@pytest.mark.slow
def test_a_memory_that_is_known_to_a_range_has_refresh_rates_too(network):
    """Of several memories; the worst counts for the side values."""
    model, inputs, _ = network
    better = HardenedCell(1.0, 1e-3, 1e-3, refreshes=3.0)
    plan = qtaml.design(
        model,
        inputs[:64],
        p=(0.05, 0.1),
        cells=1.5,
        hardened=[better],
        price="refreshes",
        decoders=("none", "table"),
        beyond_first_order=False,
    )
    assert plan.refreshes <= 1.5
    assert better in {
        one for tensor in plan.tensors for part in tensor.storage.sections for one in part.format.protections
    }


@pytest.mark.slow
def test_an_error_is_reached_with_the_least_refreshes(network):
    """The budget that is searched is one of refreshes."""
    model, inputs, _ = network
    own = {"hardening": ("refresh",), "price": "refreshes", "decoders": ("none", "table"), "beyond_first_order": False}
    study = qtaml.Study(model, inputs[:64])
    error = study.design(device=DEVICE, cells=1.0, **own).predicted_error
    plan = study.design(device=DEVICE, error=error, **own)
    assert plan.predicted_error <= error
    assert plan.refreshes <= 1.01


def test_hardened_cells_of_a_device():
    """Larger by charge, thicker by the energy of writing at one field, refreshed by the rate."""
    cells = {kind: hardened_cells(DEVICE.cell, DEVICE.window, [kind]) for kind in ("larger", "thicker", "refresh")}
    assert {(one.area, one.refreshes) for one in cells["larger"]} == {(1.5, 1), (2, 1), (3, 1), (4, 1)}
    thick = cells["thicker"][2]
    assert (thick.area, thick.refreshes) == (1.0, pytest.approx(2.0 / 1.8))
    assert thick.p01 == pytest.approx(DEVICE.cell.thickened(0.2).flip_probability(DEVICE.window))
    # A quarter of the refreshes would leave more than half of the bits wrong.
    assert DEVICE.cell.flip_probability(4 * DEVICE.window) > 0.5
    assert min(one.refreshes for one in cells["refresh"]) == 0.5
    fast = cells["refresh"][2]
    assert (fast.refreshes, fast.p10) == (4.0, pytest.approx(DEVICE.cell.flip_probability(DEVICE.window / 4)))


def test_side_values_are_stored_in_the_way_of_the_least_price():
    """A better cell that is refreshed 8 times as often saves refreshes as well; at 1,000 times it saves none."""
    fault = qtaml.faults.Uniform(0.1)
    fast, wild = HardenedCell(1.0, 1e-9, 1e-9, refreshes=8.0), HardenedCell(1.0, 1e-9, 1e-9, refreshes=1000.0)
    plain = side_cells(fault, 100, ("none",))
    cells, refreshes = side_storage(fault, 100, ("none",), [fast], "refreshes")
    assert cells < plain
    assert refreshes == 8 * cells < plain
    assert side_storage(fault, 100, ("none",), [wild], "refreshes") == (plain, plain)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"p": 0.1, "hardening": ("refresh",)}, "hardening must be given with a device"),
        ({"device": DEVICE, "hardening": ("refresh",)}, "price must be 'refreshes' for hardening='refresh'"),
        ({"device": DEVICE, "hardening": ("thicker",)}, "price must be 'refreshes' for hardening='thicker'"),
        (
            {"device": DEVICE, "hardening": ("gold",)},
            "hardening must be one of 'larger', 'thicker', 'refresh', got 'gold'",
        ),
        ({"device": DEVICE, "hardening": "larger"}, "hardening must be several names"),
        (
            {"p": 0.1, "hardened": [HardenedCell(1.0, 0.0, 0.0, refreshes=2.0)]},
            "price must be 'refreshes' for HardenedCell",
        ),
        ({"p": 0.1, "price": "power"}, "price must be one of 'cells', 'refreshes', got 'power'"),
    ],
)
def test_hardening_that_would_be_free_is_refused(asked, told):
    """And what has no meaning."""
    with pytest.raises(ArgumentError, match=told):
        Design(cells=1.0, **asked)


def test_by_default_a_device_offers_what_the_budget_counts():
    """Larger cells for area, refresh rates for refreshes."""
    area, power = Design(device=DEVICE, cells=1.0), Design(device=DEVICE, cells=1.0, price="refreshes")
    assert {one.refreshes for one in area.hardened} == {1.0}
    assert {one.area for one in power.hardened} == {1.0}
    assert replace(power, cells=0.5).hardened == power.hardened
