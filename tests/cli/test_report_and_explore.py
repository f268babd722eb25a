"""`qtaml report` and `qtaml explore`."""

import json

import numpy as np
import pytest
import torch
from torch.export import Dim

import qtaml
from tests.cases import CONVOLUTION


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two stored networks, and a result of a sweep."""
    path = tmp_path_factory.mktemp("user")
    model = CONVOLUTION.model().eval()
    for bits in (1, 2):
        qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=bits)).save(path / f"stored{bits}")
    (path / "sweep").mkdir()
    row = {"network": "SmallCNN", "spent": 0.1, "mean": 0.9, "mean_low": 0.8, "mean_high": 0.95}
    (path / "sweep" / "sweep.json").write_text(json.dumps({"title": "Sweep", "rows": [row], "manifest": {}}))
    return path


@pytest.fixture
def here(folder, monkeypatch, command):
    """The command in the user's folder."""
    monkeypatch.chdir(folder)
    return command


@pytest.mark.slow
def test_networks_are_measured_and_compared(here, folder):
    """The folders' names are those of the networks, and --json has every number."""
    model, batch = CONVOLUTION.model().eval(), CONVOLUTION.batch(80)
    torch.export.save(torch.export.export(model, (batch,), dynamic_shapes=({0: Dim("samples")},)), "network.pt2")
    np.savez("test.npz", images=batch.numpy(), labels=model(batch).argmax(1).numpy())
    words = ("--model", "network.pt2", "--test", "test.npz", "--trials", "3", "--chips", "3", "--out", "two.html")
    code, out, _ = here("report", "stored1", "stored2", *words, "--json")
    assert code == 0
    record = json.loads(out)
    assert [one["name"] for one in record["networks"]] == ["stored1", "stored2"]
    assert [one["first"] for one in record["comparisons"]] == ["stored2"]
    assert record["command"].startswith("qtaml report stored1 stored2 --model network.pt2")
    assert (record["metric"], record["better"], record["missing"]) == ("accuracy", "higher", [])
    assert "stored1: 228 weights" in (folder / "two.html").read_text()


def test_without_the_network_it_shows_the_plan(here):
    """And says what is missing."""
    code, out, _ = here("report", "stored1", "--out", "plan.html")
    assert code == 0
    assert out.splitlines()[0] == "report: plan.html"
    assert "No metric was given" in out


def test_test_data_need_the_network(here):
    """The source that a stored network remembers is never loaded."""
    code, _, err = here("report", "stored1", "--test", "test.npz")
    assert code == 2
    assert "--test needs the network: name it with --model, got test.npz" in err


def test_the_same_folder_twice_is_refused(here):
    """One name for one network."""
    code, _, err = here("report", "stored1", "stored1")
    assert code == 2
    assert "STORED must be different folders" in err


def test_a_sweep_is_explored(here, folder):
    """Its file, or the folder that holds it."""
    for source in ("sweep", "sweep/sweep.json"):
        code, out, _ = here("explore", source, "--out", "sweep.html")
        assert (code, out) == (0, "explorer: sweep.html, 1 rows\n")
    assert "<title>Sweep - qtaml</title>" in (folder / "sweep.html").read_text()


def test_a_folder_without_a_result_is_named(here):
    """And what would write one."""
    code, _, err = here("explore", "stored1/..")
    assert code == 4
    assert "holds no result: `qtaml sweep` writes one" in err
