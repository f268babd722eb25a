"""Designs for chips that are each written with a map of their weak cells: what they predict is what such chips do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.device import Preset, preset_record
from qtaml.errors import ArgumentError
from qtaml.faults import StaticCells
from qtaml.formats import Format, RootMeanSquare, Section, TensorFormat
from qtaml.formats.levels import standard_trellises
from qtaml.measuring import OutputError, check_prediction, evaluate, observed_errors
from qtaml.memory import weak_bits, words_as_read
from qtaml.planning import Design, TensorPlan
from qtaml.planning.measured import with_measured
from qtaml.search.chip_average import chip_average
from qtaml.search.expectation import Expectations
from qtaml.search.measured_goal import Goal
from tests.search.test_mapped_weights import weak_cells

TENTH, TABLES = weak_cells(0.1), ("none", "table")


@pytest.fixture(scope="module")
def study():
    """Of 3,600 weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(48, 64), nn.Tanh(), nn.Linear(64, 8))
    return model.eval(), torch.randn(48, 48), qtaml.Study(model, torch.randn(48, 48))


@pytest.fixture(scope="module")
def plan(study):
    """In 0.5 cells."""
    return study[2].design(fault=TENTH, cells=0.5, decoders=TABLES, weak_cells="known")


@pytest.mark.slow
def test_what_is_predicted_is_what_written_chips_do(study, plan):
    """Within a fifth, and a quarter of the error of a plan for a writer who does not know."""
    model, _, asked = study
    batch = asked.calibration.batch
    memory, metric = qtaml.store(model, plan), OutputError(model, batch)
    assert plan.cells <= 0.5
    check = check_prediction(memory, model, batch, trials=12)
    assert 0.8 < check.ratio < 1.25
    chips = evaluate(memory, metric, chips=8, trials=1, rewrite=model)
    assert 0.7 < np.mean(chips.values) / plan.predicted_error < 1.4
    unaware = asked.design(fault=TENTH, cells=0.5, decoders=TABLES)
    without = evaluate(qtaml.store(model, unaware), metric, chips=8, trials=1)
    assert np.mean(chips.values) < np.mean(without.values) / 2.5
    assert qtaml.Plan.from_json(plan.to_json()) == plan
    assert "0.102 of the cells are in it" in next(one for one in plan.remarks if "map of its weak cells" in one)
    assert plan.cell_capacity == pytest.approx(1 - 26 / 256)


@pytest.mark.slow
def test_streams_of_each_chip_are_fed_back(study, plan):
    """Around its weak cells: less error on the calibration inputs, which its writer needs too."""
    model, _, asked = study
    batch = asked.calibration.batch
    stream = next(one for one in standard_trellises() if (one.bits, one.window, one.weights_per_word) == (2, 4, 1))
    settings = replace(plan.settings, decoders=(*TABLES, "trellis"), feedback=True)
    errors = []
    for correction in ("least_error", "fed_back"):
        tensors = [
            TensorPlan.of(
                one.name,
                (),
                model.get_parameter(one.name),
                TensorFormat((Section(one.storage.weights, Format(stream)),), RootMeanSquare(), correction=correction),
            )
            for one in plan.tensors
        ]
        fed = replace(plan, tensors=tuple(tensors), settings=settings)
        memory = qtaml.store(model, fed, calibration=batch)
        found = evaluate(memory, OutputError(model, batch), chips=6, trials=1, rewrite=model)
        errors.append(float(np.mean(found.values)))
    assert errors[1] < 0.75 * errors[0]
    # On samples that the words were not chosen by it is more.
    predicted = with_measured(fed, asked.calibration).predicted_error
    assert errors[1] < predicted < errors[0]
    storages = {one.name: one.storage for one in fed.tensors}
    plain = {name: replace(one, correction="least_error") for name, one in storages.items()}
    expectations = Expectations(asked.calibration, plan.settings.known_cells, adjust=True)
    assert all(share < 0.8 for share in expectations.shares_left(plain, storages).values())
    with pytest.raises(ArgumentError, match=r"calibration must be the inputs that the plan was made with"):
        qtaml.store(model, fed, weak_cells=weak_bits(fed, TENTH))


@pytest.mark.slow
def test_a_chip_that_the_words_are_not_for_is_told(study, plan):
    """What another chip gives back departs from what is expected; so does a map of another kind of chips."""
    model = study[0]
    chips = [TENTH.of_chip(number) for number in (1, 2)]
    memory = qtaml.store(model, plan, weak_cells=weak_bits(plan, chips[0]))
    tables = []
    for chip in chips:
        read = words_as_read(memory.artifact, seed=0, fault=chip)
        tables.append(" ".join(str(observed_errors(memory.artifact, read, reads=19)).split()))
    assert "all rates are as assumed" in tables[0]
    assert "words that were not written for this chip are read so" in tables[1]
    with pytest.warns(UserWarning, match=r"weak_cells hold 0\.2\d* of the raw cells, and the plan is for 0\.102"):
        qtaml.store(model, plan, weak_cells=weak_bits(plan, weak_cells(0.25)))


@pytest.mark.slow
def test_a_goal_is_reached_by_chips_that_are_written(study, plan):
    """On average over reads of chips of their own, and by a share of them; without a map it is not."""
    model, inputs, whole = study
    metric = qtaml.Accuracy(inputs, model(inputs).argmax(1))
    unaware = replace(plan, settings=replace(plan.settings, weak_cells="unknown"))
    for chips in (None, 0.5):
        asked = Design(fault=TENTH, accuracy=0.7, chips=chips, trials=4, weak_cells="known", decoders=TABLES)
        goal = Goal(model, metric, asked, whole.calibration)
        assert goal.confirmed(plan, 1) is not None
        assert goal.confirmed(unaware, 1) is None


def test_several_reads_of_a_pattern_find_more():
    """Cells that fail in two reads of five: one map in two misses them, eight reads hardly ever."""
    fault = StaticCells(p01=(0.0,) * 8, p10=(0.0,) * 6 + (0.4, 1.0))
    left = [Design(fault=fault, cells=1.0, weak_cells="known", map_reads=reads).known_cells.left[1] for reads in (1, 8)]
    assert left[0] > 0.03
    assert left[1] < left[0] / 25


@pytest.mark.slow
def test_what_a_design_for_known_cells_asks():
    """Cells that stay weak, of which a map tells something; a device brings them."""
    for asked, message in (
        ({"p": 0.1}, "fault must be StaticCells, whose weak cells stay where they are"),
        ({"fault": [TENTH, weak_cells(0.2)]}, "fault must be StaticCells"),
        ({"fault": StaticCells.lognormal(0.1, 1.0)}, "fault must have cells that fail in every read"),
        ({"fault": weak_cells(0.0)}, "fault must have cells that fail in every read"),
        ({"fault": weak_cells(1.0)}, "fault must have cells that fail in every read"),
        ({"fault": TENTH, "decoders": ("none",)}, "decoders must hold 'table' for weak_cells='known'"),
        ({"fault": TENTH, "map_reads": 0}, "map_reads must be a whole number of at least 1"),
    ):
        with pytest.raises(qtaml.ArgumentError, match=message):
            Design(cells=0.5, weak_cells="known", **asked)
    with pytest.raises(qtaml.ArgumentError, match="map_reads must be given with weak_cells='known', got 2 without"):
        Design(cells=0.5, fault=TENTH, map_reads=2)
    known = preset_record("gaincell_2t_sion")
    of_device = Design(device=Preset("mine", "", known.cell, known.window, ""), cells=0.5, weak_cells="known")
    assert of_device.fault.p01 == (0.0,) * 64
    assert of_device.known_cells.held_at[0] == pytest.approx(known.cell.flip_probability(known.window), abs=0.02)


def test_the_mean_over_chips_is_a_function_of_the_weight():
    """A coarse word and noise: the mean is found to 0.1, but in the bin with the step, and the variance to 5%."""
    random = np.random.default_rng(0)
    weights = torch.from_numpy(random.standard_normal(20_000))
    mean, storage = weights.sign() * 0.8, TensorFormat((Section(20_000, Format()),))
    reads = [mean + 0.5 * torch.from_numpy(random.standard_normal(20_000))]
    found, variance = chip_average(weights, reads, torch.tensor(2.0), storage)
    assert float((found - mean).square().mean()) < 0.01
    assert variance == pytest.approx(0.25 * 20_000, rel=0.05)
