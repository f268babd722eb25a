"""One calibration, many questions: the same plans as the functions of one question, for this network only."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.search import Study

VOTES = ("none", "table", "majority")


def network() -> tuple[nn.Module, torch.Tensor]:
    """A small network with seeded weights, and inputs for it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 4)), torch.randn(32, 12)


@pytest.mark.slow
def test_plans_are_those_of_the_functions_of_one_question() -> None:
    """Whatever was asked before."""
    model, inputs = network()
    study = Study(model, inputs, passes=8, seed=3)
    assert study.compensate(p=0.1, overhead=0.1) == qtaml.compensate(
        model, inputs, p=0.1, overhead=0.1, passes=8, seed=3
    )
    assert study.predict(p=0.05) == qtaml.predict(model, inputs, p=0.05, passes=8, seed=3)
    for cells in (1.2, 0.9):
        asked = {"p": 0.05, "cells": cells, "decoders": VOTES}
        assert study.design(**asked) == qtaml.design(model, inputs, passes=8, seed=3, **asked)


@pytest.mark.slow
def test_a_saved_study_gives_the_same_plans_without_measuring(tmp_path, monkeypatch) -> None:
    """Its gains come from the file."""
    model, inputs = network()
    study = Study(model, inputs, passes=8)
    plan = study.compensate(p=0.1, overhead=0.1)
    study.save(tmp_path / "study.json")
    monkeypatch.setattr("qtaml.sensitivity.calibration.checked_gains", None)
    assert Study.load(tmp_path / "study.json", model, inputs).compensate(p=0.1, overhead=0.1) == plan


def test_a_study_of_another_network_or_other_inputs_is_refused(tmp_path) -> None:
    """By name, when it is loaded."""
    model, inputs = network()
    Study(model, inputs, passes=8).save(tmp_path / "study.json")
    with pytest.raises(qtaml.ArgumentError, match="calibration must be the inputs of the study"):
        Study.load(tmp_path / "study.json", model, inputs + 1)
    other = nn.Sequential(model[0], nn.ReLU(), model[2])
    with pytest.raises(qtaml.ModelError, match="is a study of a network with these weights, but other outputs"):
        Study.load(tmp_path / "study.json", other, inputs)
    with torch.no_grad():
        model[0].weight.mul_(2)
    with pytest.raises(qtaml.ModelError, match="is a study of a network with other weights"):
        Study.load(tmp_path / "study.json", model, inputs)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(qtaml.StoredFileError, match=r"study\.json is not a valid"):
        Study.load(tmp_path / "study.json", model, inputs)


@pytest.mark.parametrize("way", ["in place", "by way of data"])
def test_weights_that_changed_since_are_refused(way) -> None:
    """A step of training makes what was measured wrong."""
    model, inputs = network()
    study = Study(model, inputs, passes=8)
    if way == "in place":
        with torch.no_grad():
            model[0].weight.add_(0.1)
    else:
        model[0].weight.data.add_(0.1)
    with pytest.raises(qtaml.ModelError, match="weights of the model have changed since the study was made"):
        study.compensate(p=0.1, overhead=0.1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"passes": 8}, "passes must be given to the study, which has 32"),
        ({"passes": 8, "seed": 1}, "passes must be given to the study, which has 32"),
    ],
)
def test_what_belongs_to_the_study_is_not_asked_again(asked, message) -> None:
    """Two values would contradict each other."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        Study(*network()).compensate(p=0.1, overhead=0.1, **asked)


def test_a_record_of_settings_has_to_agree_with_the_study() -> None:
    """Its passes are those of the calibration."""
    study = Study(*network(), passes=8)
    with pytest.raises(qtaml.ArgumentError, match="passes must be that of the study, 8, got 32: make another study"):
        study.compensate(qtaml.planning.Tac(p=0.1, overhead=0.1))
    assert study.compensate(qtaml.planning.Tac(p=0.1, overhead=0.1, passes=8)).overhead == pytest.approx(0.1, abs=0.01)
