"""How often each bit of each tensor may flip, against reads of the words."""

import math

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import PerBit
from qtaml.formats import EvenLevels, Format, Section, TensorFormat
from qtaml.planning import ByHand, Plan, TensorPlan


@pytest.fixture(scope="module")
def layer():
    """A linear layer, for which first order is exact, and its inputs."""
    torch.manual_seed(0)
    return nn.Linear(20, 5, bias=False), torch.randn(64, 20)


@pytest.mark.slow
def test_reads_at_the_allowed_rates_make_the_allowed_error(layer):
    """To 10%: 400 reads of 800 bits, and what the bits of a word share of the mean."""
    model, inputs = layer
    study = qtaml.Study(model, inputs, passes=256)
    power = float(model(inputs).detach().square().sum(1).mean())
    allowed = study.allowed_flips(0.002 * power, order=2.0, most=0.05)
    fault = PerBit(tuple(one.p for one in allowed), tuple(one.p for one in allowed))
    entry = TensorPlan.of("weight", (), model.weight, TensorFormat((Section(100, Format(EvenLevels(8))),)))
    memory = qtaml.store(model, Plan(ByHand(fault=fault), (entry,)))
    measured = qtaml.evaluate(memory, qtaml.measuring.OutputError(model, inputs), trials=400).mean
    # Rounding to 8 bits adds far less than the tolerance.
    assert measured == pytest.approx(0.002 * power, rel=0.1)


def test_significant_bits_are_refreshed_more_often(layer):
    """And important tensors: rates are in the ratio that the order says."""
    model, inputs = layer
    rows = qtaml.Study(model, inputs).allowed_flips(1e-4, order=1.0)
    refreshes = [one.hardening for one in rows]
    assert refreshes == sorted(refreshes)
    assert refreshes[-1] / refreshes[-2] == pytest.approx(2.0)


def test_thickness_grows_by_the_logarithm(layer):
    """Of 4 for each bit."""
    model, inputs = layer
    table = qtaml.Study(model, inputs).allowed_flips(1e-4, order=math.inf)
    assert table[-1].hardening - table[-2].hardening == pytest.approx(math.log(4))
    assert "bit 7" in str(table)
    assert len(table) == 8
