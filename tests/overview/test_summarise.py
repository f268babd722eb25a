"""What a report shows: the numbers of plans and measurements, and what is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Asymmetric, Uniform
from qtaml.measuring import OutputDivergence, paired_difference
from qtaml.memory import read_artifact
from qtaml.overview import Overview, good_chips, summarise, verdict
from qtaml.theory import error_distribution


@pytest.fixture(scope="module")
def trained():
    """A small network, its accuracy and two ways to store it."""
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 4))
    inputs = torch.randn(150, 16)
    quick = {"decision": "predicted", "passes": 4, "beyond_first_order": False}
    tac = qtaml.compensate(model, inputs[:32], p=0.05, overhead=0.15, **quick)
    msp = qtaml.uniform_msp(model, p=0.05, protected_bits=1)
    return model, qtaml.Accuracy(inputs, model(inputs).argmax(1)), {"TAC": tac, "MSP": msp}


@pytest.fixture(scope="module")
def found(trained):
    """Both measured and compared."""
    model, metric, plans = trained
    return summarise(
        {name: qtaml.store(model, plan) for name, plan in plans.items()}, metric, model=model, trials=4, chips=5
    )


@pytest.mark.slow
def test_numbers_are_those_of_the_plan_and_of_evaluate(trained, found):
    """Nothing is measured in another way than by the functions of the library."""
    model, metric, plans = trained
    memory, shown = qtaml.store(model, plans["TAC"]), found.networks[0]
    assert (shown.cells, shown.weights, shown.predicted_error) == (memory.plan.cells, 480, memory.plan.predicted_error)
    assert shown.result.values == qtaml.evaluate(memory, metric, trials=4).values
    assert shown.chips.values == qtaml.evaluate(memory, metric, chips=5).values
    other = qtaml.store(model, plans["MSP"])
    assert found.comparisons[0].difference == paired_difference(other, memory, metric, trials=4)
    baseline = next(one for one in found.references if one.name == "Uniform-MSP, 1 bit")
    assert baseline.metric == qtaml.evaluate(other, metric, trials=4).estimate


def test_cells_of_bits_add_up_to_those_of_the_plan(found):
    """Bit by bit, protection by protection, and side values besides."""
    for network in found.networks:
        cells = sum(part.cells for tensor in network.tensors for part in tensor.by_bit)
        side = sum(tensor.side_cells for tensor in network.tensors)
        assert cells + side == pytest.approx(network.cells * network.plain_bits * network.weights)
        assert all(tensor.by_bit[0].bit == 7 for tensor in network.tensors)
    assert sum(tensor.error_share for tensor in found.networks[0].tensors) == pytest.approx(1.0)


def test_the_curve_passes_through_the_plan(trained, found):
    """At the planned p it is the result, and the noise that the plan predicts; it grows with p."""
    plan, curve = trained[2]["TAC"], found.networks[0].curve
    planned = next(point for point in curve if point.at == found.planned == 0.05)
    assert planned.metric == found.networks[0].result.estimate
    assert planned.noise_error == pytest.approx(plan.noise_error)
    assert planned.shares == pytest.approx([tensor.error_share for tensor in found.networks[0].tensors])
    noise = [point.noise_error for point in curve]
    assert noise == sorted(noise)


def test_the_law_of_errors_is_that_of_the_theory(trained):
    """The mixture over the stored weights of the exact law of each, and reads agree with it."""
    model, _, plans = trained
    memory = qtaml.store(model, plans["MSP"])
    errors = summarise({"MSP": memory}).networks[0].details[0].errors
    entry = memory.plan.tensors[0]
    words = memory.tensors[entry.name].words.flatten().tolist()
    fmt = entry.storage.sections[0].format
    laws = [error_distribution(fmt, memory.plan.fault, word) for word in words]
    values, weights = (np.concatenate(parts) for parts in zip(*laws, strict=True))
    expected = np.histogram(values[values != 0], errors.edges, weights=weights[values != 0])[0] / len(words)
    assert errors.expected == pytest.approx(expected, abs=1e-12)
    assert errors.right == pytest.approx(0.95**7)
    assert sum(errors.expected) + errors.right == pytest.approx(1.0)
    inside = [low <= law <= high for low, law, high in zip(errors.low, errors.expected, errors.high, strict=True)]
    assert np.mean(inside) > 0.85


def test_weights_at_their_levels_and_as_trained(trained, found):
    """Shares of all weights, in units of the scale."""
    detail = found.networks[1].details[0]
    assert sum(detail.shares) == pytest.approx(1.0)
    assert sum(detail.trained) == pytest.approx(1.0)
    largest = trained[0][0].weight.detach().abs().max()
    scale = qtaml.store(trained[0], trained[2]["MSP"]).tensors["0.weight"].scale
    assert max(map(abs, detail.edges)) == pytest.approx(float(largest / scale))


def test_what_the_bar_says(found):
    """5% off the trained network; how far the interval stays above it, and how many chips reach it."""
    assert found.bar == pytest.approx(0.95 * found.trained.value)
    for network in found.networks:
        share = sum(value >= found.bar for value in network.chips.values) / 5
        assert good_chips(found, network).value == share
        holds = [point.at for point in network.curve if point.at >= 0.05 and point.metric.low >= found.bar]
        assert network.holds_to == (None if 0.05 not in holds else pytest.approx(network.holds_to))
    less = replace(found, better="lower")
    assert good_chips(less, less.networks[0]).value == sum(v <= found.bar for v in found.networks[0].chips.values) / 5


def test_the_reserve_ends_at_the_first_place_that_fails(trained):
    """A place beyond it that holds again, by luck, does not count."""
    model, metric, plans = trained
    memory = qtaml.store(model, plans["MSP"])
    along = {0.05: Uniform(0.05), 0.06: Uniform(0.4), 0.07: Uniform(0.0)}
    shown = summarise({"MSP": memory}, metric, bar=0.6, along=along, axis="p", trials=3, chips=0)
    assert shown.networks[0].holds_to == 0.05
    assert "No reserve: the interval stays above 60.0% at p = 0.05, not at 0.06." in verdict(shown, shown.networks[0])


def test_the_verdict_is_one_paragraph(found):
    """Cells, metric with its interval, chips, reserve."""
    said = verdict(found, found.networks[0])
    network = found.networks[0]
    assert said.startswith(f"480 weights in {network.cells:.4g} of the cells of a plain 8-bit memory: accuracy ")
    assert f"{100 * network.result.low:.1f}, {100 * network.result.high:.1f}], " in said
    assert "of 5 chips reach " in said
    assert "flip probability p = " in said


def test_what_is_missing_is_said(trained, tmp_path):
    """A plan alone; a stored network without its model; a memory without a metric."""
    model, metric, plans = trained
    memory = qtaml.store(model, plans["TAC"])
    memory.save(tmp_path / "stored")
    plan = summarise({"a": plans["TAC"]})
    assert plan.missing[0] == "Words of a are not known: neither its weights nor their errors are shown."
    assert not plan.networks[0].details
    assert "Nothing was measured." in verdict(plan, plan.networks[0])
    artifact = summarise({"a": read_artifact(tmp_path / "stored")}, metric)
    assert "The network of a is not known: it was not measured." in artifact.missing
    assert artifact.networks[0].details
    assert artifact.networks[0].curve[0].noise_error is not None
    fault = Asymmetric(p01=0.0, p10=0.1)
    without_p = summarise({"a": qtaml.uniform_msp(model, fault=fault, protected_bits=1)})
    assert without_p.missing[-1].startswith("No other memories were given")
    assert not without_p.axis


def test_another_network_is_not_taken_for_the_trained_one(trained):
    """Baselines of other weights would be wrong without a word."""
    model, metric, plans = trained
    memory = qtaml.store(model, plans["MSP"])
    torch.manual_seed(1)
    other = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 4))
    with pytest.raises(qtaml.ArgumentError, match="model must be the trained network that 'MSP' stores, to the bit"):
        summarise({"MSP": memory}, metric, model=other)


@pytest.mark.slow
def test_with_the_trained_network_plans_and_artifacts_are_measured_too(trained, tmp_path):
    """They are what the network and the plan make, and give what the memory gives."""
    model, metric, plans = trained
    memory = qtaml.store(model, plans["MSP"])
    memory.save(tmp_path / "stored")
    stored = {"plan": plans["MSP"], "artifact": read_artifact(tmp_path / "stored"), "memory": memory}
    shown = summarise(stored, metric, model=model, trials=2, chips=0)
    assert len({network.result.values for network in shown.networks}) == 1
    assert len({network.words_sha256 for network in shown.networks}) == 1
    assert shown.missing == ("No chips were measured.",)


@pytest.mark.slow
def test_a_bar_that_is_nothing_has_to_be_said(trained):
    """5% off a divergence of 0."""
    model, _, plans = trained
    divergence = OutputDivergence(model, torch.randn(40, 16))
    with pytest.raises(qtaml.ArgumentError, match="bar must be given where the metric without errors is 0"):
        summarise({"a": plans["MSP"]}, divergence, model=model, better="lower", trials=2, chips=0)
    shown = summarise({"a": plans["MSP"]}, divergence, model=model, better="lower", bar=0.1, trials=2, chips=2)
    assert shown.metric == "output divergence"
    assert good_chips(shown, shown.networks[0]).value in (0.0, 0.5, 1.0)


@pytest.mark.slow
def test_limits_follow_from_the_memory_and_the_weights(trained):
    """Words without errors need 1 / capacity; a design has a limit below what it takes."""
    model, _, _ = trained
    plan = qtaml.design(model, torch.randn(32, 16), p=0.05, cells=2.0, decoders=("none", "majority"))
    shown = summarise({"design": qtaml.store(model, plan)}, model=model)
    words, weights, own = shown.references
    assert words.cells == pytest.approx(1 / (1 + 0.05 * np.log2(0.05) + 0.95 * np.log2(0.95)))
    assert 0 < own.cells < weights.cells < plan.cells
    kept = {part.protection for tensor in shown.networks[0].tensors for part in tensor.by_bit}
    assert all(one == "raw" or one.startswith("repetition ") for one in kept)


def test_it_is_written_and_read(found):
    """As JSON, intervals without ends included."""
    assert Overview.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stored": {}}, "stored must hold at least one stored network, got none"),
        ({"along": {1.0: Uniform(0.1)}}, "along and axis must be given together"),
        ({"trials": 1}, "trials must be a whole number of at least 2, got 1"),
        ({"chips": -1}, "chips must be a whole number of at least 0, got -1"),
    ],
)
def test_wrong_values_are_refused(trained, arguments, message):
    """By name."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        summarise(**({"stored": {"a": trained[2]["MSP"]}} | arguments))


@pytest.mark.parametrize("levels", ["fp8_e5m2", "fp16"])
def test_float_words_that_keep_infinity(trained, levels):
    """Levels are those that are stored; of errors that may be infinite no histogram is drawn."""
    model, _, _ = trained
    plan = qtaml.uniform_msp(model, p=0.01, protected_bits=0, levels=levels, scale="none", nonfinite="keep")
    found = summarise({"floats": qtaml.store(model, plan)})
    for detail in found.networks[0].details:
        assert np.isfinite(detail.levels).all()
        assert sum(detail.shares) == pytest.approx(1.0)
        assert detail.errors is None
    assert Overview.from_json(found.to_json()) == found
