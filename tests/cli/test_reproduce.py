"""`qtaml reproduce`."""

import json
from functools import partial
from types import SimpleNamespace

import pytest

from qtaml.cli import reproduce
from qtaml.experiments import error_law


@pytest.fixture
def _few_draws(monkeypatch):
    """The same experiment from fewer reads."""
    quick = SimpleNamespace(compute=partial(error_law.compute, draws=1000), table=error_law.table, draw=error_law.draw)
    monkeypatch.setitem(reproduce.RESULTS, "figure1", quick)


@pytest.mark.usefixtures("_few_draws")
def test_figure_one_is_a_table_numbers_and_a_picture(command, tmp_path):
    """The numbers on disk are those of the library at this seed; nothing else is left in the folder."""
    ended, out, err = command("reproduce", "figure1", "--out", tmp_path, "--seed", 3)
    assert ended == 0, err
    assert "theory" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure1.json", "figure1.png"]
    assert (tmp_path / "figure1.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure1.json").read_text() == error_law.compute(draws=1000, seed=3).to_json()


@pytest.mark.usefixtures("_few_draws")
def test_json_goes_to_standard_output(command, tmp_path):
    """And is what the file holds."""
    ended, out, err = command("reproduce", "figure1", "--out", tmp_path, "--json")
    assert ended == 0, err
    assert json.loads(out) == json.loads((tmp_path / "figure1.json").read_text())


def test_unknown_names_list_the_known_ones(command, tmp_path):
    """With exit code 2, and nothing written."""
    ended, _, err = command("reproduce", "figure9", "--out", tmp_path)
    assert ended == 2
    assert "name must be one of 'figure1', 'figure8', got 'figure9'" in err
    assert list(tmp_path.iterdir()) == []
