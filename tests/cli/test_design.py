"""`qtaml design` as a user's script sees it."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.export import Dim

import qtaml
from qtaml import _files as files
from qtaml.device import ExtrapolationWarning

SETTINGS = ("design", "network.pt2", "--calibration", "calibration.npz", "--decoders", "none,table,majority")
PAPER = ("design", "network.pt2", "--calibration", "calibration.npz", "--decoders", "ideal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: a program, calibration and test data."""
    path = tmp_path_factory.mktemp("user")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 3)).eval()
        batch = torch.randn(80, 12)
    torch.export.save(torch.export.export(model, (batch,), dynamic_shapes=({0: Dim("samples")},)), path / "network.pt2")
    labels = model(batch).argmax(1)
    np.savez(path / "calibration.npz", inputs=batch[:40].numpy())
    safetensors.torch.save_file({"inputs": batch, "labels": labels}, path / "test.safetensors")
    return path


@pytest.fixture
def here(folder, monkeypatch, command):
    """The command in the user's folder."""
    monkeypatch.chdir(folder)
    return command


@pytest.mark.slow
def test_a_design_is_stored_and_evaluated(here, tmp_path):
    """As a table and as JSON; `qtaml evaluate` reads what was written."""
    ended, out, err = here(*SETTINGS, "--p", 0.1, "--cells", 2.5, "--out", tmp_path / "stored")
    assert ended == 0, err
    assert "plan: design" in out
    assert f"stored network: {tmp_path / 'stored'}" in out.replace("\n", "")
    arguments = ("--p", 0.1, "--cells", 2.5, "--rows", "--json")
    _, out, _ = here(*SETTINGS, *arguments, "--out", tmp_path / "rows")
    plan = qtaml.Plan.from_json(out)
    assert plan.cells <= 2.5
    assert plan.settings.rows is True
    assert plan.settings.decoders == ("none", "table", "majority")
    for name in ("stored", "rows"):
        ended, out, err = here(
            "evaluate", tmp_path / name, "--model", SETTINGS[1], "--test", "test.safetensors", "--trials", 3, "--json"
        )
        assert ended == 0, err
        assert qtaml.Result.from_json(out).mean > 0.5


@pytest.mark.slow
def test_words_with_feedback_are_verified_with_the_calibration_inputs(folder, monkeypatch, command, tmp_path):
    """They hang on them; without, all but these words is compared. Graphs of torch.export show no layers."""
    monkeypatch.chdir(folder)
    (folder / "two_layers.py").write_text(
        "from torch.nn import Linear, Sequential, Tanh\n\n"
        "def network():\n    return Sequential(Linear(12, 32), Tanh(), Linear(32, 3))"
    )
    safetensors.torch.save_file(
        nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 3)).state_dict(), folder / "weights.safetensors"
    )
    model = ("two_layers:network", "--weights", "weights.safetensors")
    asked = ("--p", 1e-4, "--cells", 0.7, "--decoders", "table", "--feedback")
    calibration = ("--calibration", "calibration.npz")
    ended, out, err = command("design", *model, *calibration, *asked, "--out", tmp_path / "stored", "--json")
    assert ended == 0, err
    assert qtaml.Plan.from_json(out).fed_back
    ended, out, err = command("verify", tmp_path / "stored", "--model", *model, *calibration)
    assert ended == 0, err
    assert "all equal" in out
    ended, out, err = command("verify", tmp_path / "stored", "--model", *model)
    assert ended == 0, err
    assert "but the words of 0.weight, which hang on the calibration inputs" in out.replace("\n", " ")


@pytest.mark.slow
def test_a_goal_may_be_an_error_or_an_accuracy(here, tmp_path):
    """The least cells that are predicted, or measured, to reach it."""
    _, out, err = here(*PAPER, "--p", 0.1, "--error", 0.05, "--json", "--out", tmp_path / "error")
    assert qtaml.Plan.from_json(out).predicted_error <= 0.05, err
    goal = ("--accuracy", 0.8, "--test", "test.safetensors", "--trials", 4)
    ended, _, err = here(*PAPER, "--p", 0.1, *goal, "--out", tmp_path / "accuracy")
    assert ended == 0, err


@pytest.mark.slow
def test_a_device_stands_for_a_probability(here, tmp_path):
    """Larger cells of the preset are among the protections."""
    arguments = ("--device", "gaincell_2t_sion", "--cells", 1.0, "--json", "--out", tmp_path / "stored")
    ended, out, err = here(*PAPER, *arguments)
    assert ended == 0, err
    record = qtaml.device.preset_record("gaincell_2t_sion")
    assert qtaml.Plan.from_json(out).fault.p == record.cell.flip_probability(record.window)


@pytest.mark.slow
def test_a_fitted_cell_is_planned_for_and_read_from_its_file(here, tmp_path, measured_cell):
    """Its band is the range that the plan holds for and that reads draw from; beyond its data it is said."""
    cell = measured_cell
    cell.save(tmp_path / "cell.json")
    given = ("--device", tmp_path / "cell.json", "--window", 3e-4)
    band = qtaml.faults.given(cell.band(3e-4), None)
    stored = ("--overhead", 0.3, "--passes", 2, "--out", tmp_path / "stored")
    ended, out, err = here("compensate", *SETTINGS[1:4], *given, *stored, "--json")
    assert ended == 0, err
    assert qtaml.Plan.from_json(out).fault == band
    _, out, err = here("predict", *SETTINGS[1:4], *given, "--passes", 2, "--json")
    assert json.loads(out)["settings"]["fault"]["members"] == json.loads(files.to_json(band))["members"], err
    evaluate = ("evaluate", tmp_path / "stored", "--model", SETTINGS[1], "--test", "test.safetensors", "--trials", 2)
    ended, out, err = here(*evaluate, *given[:3], 4e-4, "--json")
    assert ended == 0, err
    assert qtaml.Result.from_json(out).fault == qtaml.faults.given(cell.band(4e-4), None)
    ended, _, err = here(*evaluate, *given, "--p", 0.1)
    assert (ended, "give at most one of --p, --fault and --device" in err) == (2, True)
    ended, _, err = here(*evaluate, *given[2:])
    assert (ended, "--window must be given with --device" in err) == (2, True)
    with pytest.warns(ExtrapolationWarning, match="window of 1e-08 s at 300 K is an extrapolation"):
        here(*evaluate, *given[:3], 1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--p", 0.1, "--cells", 0.001), 3, "cells must be at least 1 for the cheapest formats"),
        (("--p", 0.1, "--error", 1e-12), 3, "no design of at most 2 cells reaches an output error of 1e-12"),
        (("--p", 0.1, "--cells", 1, "--error", 1), 2, "give exactly one of --cells, --error and --accuracy"),
        (("--p", 0.1), 2, "give exactly one of --cells, --error and --accuracy"),
        (("--cells", 1), 2, "give exactly one of --p, --fault and --device"),
        (("--cells", 1, "--p", 0.1, "--device", "hbn_fg_15L"), 2, "give exactly one of --p, --fault and --device"),
        (("--cells", 1, "--device", "hbn"), 2, "preset must be one of"),
        (
            ("--cells", 1, "--device", "gaincell_2t_sion", "--hardening", "refresh"),
            2,
            "--price must be 'refreshes' for",
        ),
        (("--cells", 1, "--p", 0.1, "--hardening", "refresh"), 2, "--hardening must be given with a device"),
        (("--p", 0.1, "--accuracy", 0.9), 2, "--accuracy and --test must be given together"),
        (
            ("--p", 0.1, "--accuracy", 0.9, "--test", "calibration.npz"),
            2,
            "calibration.npz must hold an array named 'labels'",
        ),
        (("--p", 0.1, "--cells", 1, "--decoders", "table,magic"), 2, "decoders must be one of"),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(here, tmp_path, arguments, code, message):
    """No traceback, no partial output, exit code 3 where the budget is below the least."""
    ended, out, err = here(*SETTINGS, *arguments, "--out", tmp_path / "stored")
    assert ended == code, err
    assert message in err.replace("\n", " ")
    assert out == ""
    assert not (tmp_path / "stored").exists()
