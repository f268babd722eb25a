"""`qtaml cost`."""

import json

import pytest

import qtaml
from tests.cases import CONVOLUTION


@pytest.fixture
def here(tmp_path, monkeypatch, command):
    """The command in a folder with a plan and a stored network."""
    monkeypatch.chdir(tmp_path)
    model = CONVOLUTION.model().eval()
    plan = qtaml.uniform_msp(model, p=0.1, protected_bits=2)
    plan.save("plan.json")
    qtaml.store(model, plan).save("stored")
    return command


@pytest.mark.slow
def test_a_stored_network_and_its_plan_cost_the_same(here):
    """228 weights in 10 cells each: 2,280 x (2.1 + 138) fJ each millisecond."""
    words = ("--array", "gain_cell_3t", "--node", "28", "--window", "1e-3", "--json")
    first, second = here("cost", "stored", *words), here("cost", "plan.json", *words)
    assert first == second
    lines = {(one["quantity"], one["part"]): one["figure"] for one in json.loads(first[1])["lines"]}
    assert lines["power", "refresh, write-back"]["value"] == pytest.approx(2280 * 138e-15 / 1e-3)


def test_it_prints_a_table_with_sources(here):
    """And what no source has."""
    code, out, _ = here("cost", "stored", "--array", "gain_cell_3t", "--node", "28", "--window", "1e-3")
    assert code == 0
    assert "area (mm2)" in out
    assert "No source, in no sum" in out


def test_it_draws_parts_with_their_ranges(here, tmp_path):
    """Each part that has a source, and the sums."""
    pytest.importorskip("matplotlib")
    words = ("--array", "gain_cell_3t", "--node", "28", "--window", "1e-3", "--picture", "cost.png")
    assert here("cost", "stored", *words)[0] == 0
    assert (tmp_path / "cost.png").exists()
    cost = qtaml.Plan.load("plan.json").cost(array="gain_cell_3t", node=28.0, window=1e-3)
    area, energy, power = cost.plot().axes
    names = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in (area, energy, power)]
    assert names[0] == ["array", "sum"]
    assert names[1] == ["read", "write", "refresh, read", "refresh, write-back"]
    assert names[2] == ["refresh, read", "refresh, write-back", "sum"]
    marker, *_ = power.containers[0]
    assert marker.get_ydata()[-1] == pytest.approx(cost.known("power").value)


def test_a_node_without_data_is_refused(here):
    """With the nodes that there are."""
    code, _, error = here("cost", "stored", "--array", "gain_cell_3t", "--node", "5", "--window", "1e-3")
    assert code == 2
    assert "node must be one of 28, 16, 7 nm for 'gain_cell_3t', got 5" in error


def test_it_writes_the_memory_for_other_programs(here, tmp_path):
    """ZigZag, and Timeloop with Accelergy."""
    words = ("--array", "gain_cell_3t", "--node", "28", "--window", "1e-3")
    code, _, _ = here("cost", "stored", *words, "--zigzag", "zigzag.yaml", "--timeloop", "timeloop.yaml")
    assert code == 0
    assert (tmp_path / "zigzag.yaml").read_text().startswith("weights:")
    assert "ERT:" in (tmp_path / "timeloop.yaml").read_text()
    code, _, error = here("cost", "stored", *words, "--zigzag", "one.yaml", "--timeloop", "one.yaml")
    assert code == 2
    assert "--zigzag and --timeloop must be two files, got one.yaml for both" in error
