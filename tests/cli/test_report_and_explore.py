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


@pytest.fixture
def exploring(here, folder):
    """`qtaml explore` of a network that is a factory, with its data."""
    model, batch = CONVOLUTION.model().eval(), CONVOLUTION.batch(60)
    (folder / "own.py").write_text(
        "from tests.cases import CONVOLUTION\n\n\ndef make():\n    return CONVOLUTION.model()\n"
    )
    np.savez(folder / "own.npz", images=batch.numpy(), labels=model(batch).argmax(1).numpy())
    np.savez(folder / "inputs.npz", images=batch.numpy())
    words = ("--device", "gaincell_2t_sion", "--array", "gain_cell_3t", "--node", "28", "--windows", "1e-5:2e-5:2")
    more = ("--budgets", "2", "--trials", "2", "--folder", "explored", "--out", "explored.html", "--workers", "1")
    return lambda *added: here("explore", "own:make", "--calibration", "inputs.npz", *words, *more, *added)


@pytest.mark.slow
def test_a_network_is_explored(exploring, here, folder):
    """The page, the rows, the plans; the folder makes the page again."""
    code, out, _ = exploring("--test", "own.npz", "--picture", "explored.png", "--over", "height,window")
    assert code == 0
    assert "height (eV)" in out
    assert "explorer: explored.html, 2 rows" in out
    assert (folder / "explored.png").exists()
    code, out, _ = exploring("--test", "own.npz", "--json")
    record = json.loads(out)
    assert [row["window"] for row in record["rows"]] == [1e-5, 2e-5]
    assert record["manifest"]["chosen"]["power"] == min(row["power"] for row in record["rows"])
    assert len(list((folder / "explored" / "plans").iterdir())) == 2
    code, out, _ = here("explore", "explored", "--out", "again.html")
    assert (code, out) == (0, "explorer: again.html, 2 rows\n")
    code, out, err = exploring("--test", "own.npz", "--hardening", "none", "--hardening", "refresh", "--json")
    assert code == 0, err
    assert {row["hardening"] for row in json.loads(out)["rows"]} == {"none", "refresh"}


def test_exploring_needs_what_it_is_of(exploring, here):
    """And options of exploring need a network."""
    code, _, err = exploring()
    assert code == 2
    assert "to explore give one network, --calibration, --test, --device, --array, --windows" in err
    code, _, err = exploring("--test", "own.npz", "--thicknesses", "1:2")
    assert code == 2
    assert "--thicknesses must be numbers such as 1,2 or a range such as 1:3:9, got '1:2'" in err
    code, _, err = here("explore", "sweep", "--node", "28")
    assert code == 2
    assert "--node needs --calibration: without, results are shown" in err
    code, _, err = exploring("--test", "own.npz", "--over", "hight")
    assert code == 2
    assert "over must be one of 'thickness', 'height', 'voltage', 'temperature', 'window', got 'hight'" in err
