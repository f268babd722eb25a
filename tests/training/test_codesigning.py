"""Encoding and weights optimised together."""

from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

import qtaml
from qtaml.faults import StaticCells
from qtaml.formats import EvenLevels, Format, Section, TableLevels, TensorFormat
from qtaml.planning import ByHand, Design, Plan, TensorPlan
from qtaml.showing import codesign_panel
from qtaml.training import Tune, expected_network, narrowed

WANTED = 0.7
DESIGN = Design(p=0.02, cells=1.0, decoders=("none",), passes=2, beyond_first_order=False)
TUNING = Tune(epochs=3, batch_size=32)


@pytest.fixture(scope="module")
def network():
    """A small classifier: (model, inputs, metric of its own classes)."""
    torch.manual_seed(0)
    inputs = torch.randn(256, 8)
    model = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 3)).eval()
    return model, inputs, qtaml.Accuracy(inputs, model(inputs).argmax(1))


@pytest.fixture(scope="module")
def kept(network, tmp_path_factory):
    """A codesign, and the folder of its steps."""
    model, inputs, metric = network
    folder = tmp_path_factory.mktemp("codesign")
    return codesigned(model, inputs, metric, folder), folder


def codesigned(model, inputs, metric, folder, design=DESIGN, **changed):
    """Few reads, large steps."""
    asked = {"metric": metric, "wanted": WANTED, "shrink": 0.6, "trials": 5, "folder": folder} | changed
    return qtaml.codesign(model, inputs[:32], inputs, design, TUNING, **asked)


@pytest.mark.slow
def test_cells_fall_until_what_is_wanted_is_missed(network, kept):
    """The result is the step of the fewest cells that reached it, and reads as it says."""
    path, _ = kept
    reached = [step for step in path.steps if step.reached]
    cells = [step.plan.cells for step in reached]
    assert cells == sorted(cells, reverse=True)
    assert len(cells) > 1
    assert path.plan == reached[-1].plan
    assert not path.steps[-1].reached
    assert all(step.reached == (step.tuned.reads_low >= WANTED) for step in path.steps)
    assert qtaml.evaluate(qtaml.store(path.model, path.plan), network[2], trials=30).mean > WANTED - 0.05
    assert str(path).count("\n") == len(path.steps) - 1


@pytest.mark.slow
def test_an_interrupted_codesign_goes_on(network, kept):
    """From its folder, to the same steps and the same network; a step that is missing is made again."""
    path, folder = kept
    last = max(folder.glob("step-*"))
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    again = codesigned(*network, folder)
    assert [step.tuned.values for step in again.steps] == [step.tuned.values for step in path.steps]
    for one, other in zip(again.model.parameters(), path.model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_weights_are_clipped_where_that_is_better(kept):
    """Nobody asked for it: it is tried at a budget that was missed, and kept if it read better than all before."""
    steps, clip = kept[0].steps, None
    assert steps[0].clip is None
    assert any(step.clip == 1.0 for step in steps)
    missed = []
    for step in steps:
        assert step.clip == (1.0 if step.clip and clip is None else clip)
        if step.clip and step.tuned.mean > max(missed, default=0.0):
            clip = step.clip
        missed = [] if step.reached else [*missed, step.tuned.mean]
    assert ", clipped at 1" in str(kept[0])


@pytest.mark.slow
def test_what_is_clipped_is_not_clipped_again(network, tmp_path):
    """At the root mean square of clipped weights the limit would fall with each step."""
    model, inputs, metric = network
    asked = {"metric": metric, "wanted": WANTED, "shrink": 0.6, "trials": 5, "folder": tmp_path}
    path = qtaml.codesign(model, inputs[:32], inputs, DESIGN, replace(TUNING, clip=1.0), **asked)
    assert len(path.steps) > 1
    limit = model[0].weight.detach().double().square().mean().sqrt()
    for file in tmp_path.glob("step-*/tensors.safetensors"):
        assert safetensors.torch.load_file(file)["0.weight"].abs().max() == pytest.approx(float(limit), rel=1e-6)


@pytest.mark.slow
def test_the_path_is_a_curve(kept):
    """Cells and metric of each step, before and after tuning."""
    path, _ = kept
    designed, tuned = codesign_panel(path, "accuracy").curves
    assert len(designed.x) == len(tuned.x) == len(path.steps)
    assert list(tuned.x) == sorted(tuned.x)


@pytest.mark.slow
def test_a_folder_belongs_to_one_question(network, kept):
    """Another wish, loss or held-out batch is refused there."""
    for changed in ({"wanted": 0.5}, {"loss": "divergence"}, {"held_out": network[1][:8]}):
        with pytest.raises(qtaml.ArgumentError, match="folder must be that of this question"):
            codesigned(*network, kept[1], **changed)


@pytest.mark.slow
def test_too_few_cells_to_begin_with_are_told(network, tmp_path):
    """With what was reached for them."""
    with pytest.raises(qtaml.BudgetError, match="cells must be"):
        codesigned(*network, None, wanted=1.0, design=Design(p=0.4, cells=0.02, decoders=("none", "table"), passes=2))


def test_a_budget_and_a_step_are_needed(network):
    """Before anything is computed."""
    model, inputs, metric = network
    asked = {"metric": metric, "wanted": 0.5}
    chips = StaticCells((0.0, 0.0), p10=(0.0, 1.0))
    with pytest.raises(qtaml.ArgumentError, match="settings must have cells"):
        qtaml.codesign(model, inputs, inputs, Design(p=0.1, error=0.1), **asked)
    with pytest.raises(qtaml.ArgumentError, match="settings must have feedback=False"):
        qtaml.codesign(model, inputs, inputs, Design(p=0.1, cells=0.5, feedback=True), **asked)
    with pytest.raises(qtaml.ArgumentError, match="settings must have weak_cells='unknown'"):
        qtaml.codesign(model, inputs, inputs, Design(fault=chips, cells=0.5, weak_cells="known"), **asked)
    with pytest.raises(qtaml.ArgumentError, match=r"shrink must be above 0 and at most 0\.98"):
        qtaml.codesign(model, inputs, inputs, DESIGN, shrink=1.0, **asked)


def by_hand(model, *sections):
    """A plan of one tensor."""
    storage = TensorFormat(sections, correction="exact")
    return Plan(ByHand(p=0.1), (TensorPlan.of("weight", (), model.weight, storage),))


@pytest.mark.slow
def test_the_expected_network_is_the_mean_of_its_reads():
    """Of 2,000 reads, to five standard errors in every weight; the biases stay."""
    model = nn.Linear(3, 2)
    plan = by_hand(model, Section(6, Format(EvenLevels(3))))
    memory = qtaml.store(model, plan)
    reads = torch.stack([dict(memory.read(seed=seed))["weight"] for seed in range(2000)]).double()
    expected = expected_network(model, plan)
    error = reads.std(0) / 2000**0.5
    assert bool(((reads.mean(0) - expected.weight.detach().double()).abs() < 5 * error).all())
    assert torch.equal(expected.bias, model.bias)


def test_a_narrowed_plan_leaves_out_the_last_rows():
    """As few as the budget asks for; what was not stored before stays so."""
    model = nn.Linear(100, 50)
    nothing = Format(TableLevels((0.25,)))
    plan = by_hand(model, Section(4000, Format(EvenLevels(4))), Section(1000, nothing))
    fewer = narrowed(plan, 0.8 * plan.cells)
    stored, left_out = fewer.tensors[0].storage.sections
    assert (stored.weights, left_out.weights) == (3100, 1900)
    assert left_out.format == nothing
    assert fewer.cells <= 0.8 * plan.cells < fewer.cells + 400 / 40_000
    assert narrowed(plan, 0.01) is None
