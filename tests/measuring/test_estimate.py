"""A number with its interval, and what `print` makes of results."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml import device
from qtaml._tables import as_text, captioned_table
from qtaml.formats import Format
from qtaml.measuring import Estimate, check_prediction, measure, observed_errors
from qtaml.memory import words_as_read
from qtaml.planning import CorrectionTest
from qtaml.search import Histogram, fit
from qtaml.showing import cell, columns, percent

ACCURACY = Estimate(0.1234, -0.01, 0.2, "reads")


def test_an_estimate_shows_its_interval():
    """To four digits, or in the format asked for; None is a dash."""
    assert str(ACCURACY) == f"{ACCURACY}" == "0.1234 [-0.01, 0.2]"
    assert f"{ACCURACY:.1f}" == "0.1 [-0.0, 0.2]"
    assert percent(ACCURACY) == "12.3 [-1.0, 20.0]"
    assert percent(ACCURACY, "+") == "+12.3 [-1.0, +20.0]"
    assert cell(ACCURACY) == "0.123 ± 0.1"
    assert percent(None) == cell(None) == "-"
    assert columns([ACCURACY] * 2, 10)[1] == [-0.1, -0.1]


def test_a_mapped_estimate_covers_the_same():
    """Number and both ends go through the function; cutting off moves the ends alone."""
    assert ACCURACY.scaled(2) == Estimate(0.2468, -0.02, 0.4, "reads")
    assert ACCURACY.within(0.0, 0.15) == Estimate(0.1234, 0.0, 0.15, "reads")


def test_tables_are_plain_text_on_a_terminal_too(monkeypatch):
    """No escape codes, whatever the terminal can show."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = captioned_table("title", "caption")
    table.add_column("bit")
    assert "\x1b" not in as_text(table)
    assert as_text(table).startswith("title\n")


@pytest.fixture(scope="module")
def network():
    """A small network, its inputs, and the labels it gives them."""
    torch.manual_seed(0)
    model, inputs = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(32, 8)
    return model, inputs, model(inputs).argmax(1)


@pytest.fixture(scope="module")
def memory(network):
    """It, stored by TAC."""
    model, inputs, _ = network
    return qtaml.store(model, qtaml.compensate(model, inputs, p=0.1, overhead=0.1))


def test_a_result_offers_its_estimates(network, memory):
    """With what each covers; the same numbers as its fields."""
    _, inputs, labels = network
    result = qtaml.evaluate(memory, qtaml.Accuracy(inputs, labels), trials=3)
    assert result.estimate == Estimate(result.mean, result.low, result.high, "reads and test samples")
    assert result.reads_estimate == Estimate(result.mean, result.reads_low, result.reads_high, "reads")
    assert str(result).startswith(f"{result.estimate} (95% over reads and test samples; 3 reads")


@pytest.mark.slow
def test_every_result_prints_as_a_line_or_a_table(network, memory):
    """No raw records: `print` is for people."""
    model, inputs, labels = network
    weight, entry = model[0].weight.detach(), memory.plan.tensors[0]
    tables = [
        memory.plan,
        qtaml.predict(model, inputs, p=0.1),
        observed_errors(memory.artifact, words_as_read(memory.artifact, seed=0), reads=19),
        device.preset_record("gaincell_2t_sion"),
        device.larger_cells(device.preset("few_electron_dt"), 64e-3, [1, 3]),
    ]
    lines = [
        memory,
        qtaml.evaluate(memory, qtaml.Accuracy(inputs, labels), trials=2),
        check_prediction(memory, model, inputs, trials=2),
        measure(model, qtaml.Accuracy(inputs, labels)),
        observed_errors(memory.artifact, words_as_read(memory.artifact, seed=0), reads=19)[0],
        entry.gain,
        CorrectionTest(0.4, 0.3, 0.01),
        fit(Histogram.of(weight), Format().law(memory.plan.fault)),
    ]
    for result in tables:
        assert "┏" in str(result) or "┌" in str(result), type(result)
        assert len(str(result).splitlines()) >= 5
    for result in lines:
        assert "\n" not in str(result)
        assert not str(result).startswith((type(result).__name__, "<")), type(result)
