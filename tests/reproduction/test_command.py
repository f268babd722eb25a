"""`python -m reproduction`."""

import json
import sys

import pytest

from reproduction.__main__ import main

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.fixture
def reproduce(monkeypatch, capsys, tmp_path, laboratory_beside):
    """The command at its smallest size, in a folder of its own, with networks that are trained already."""
    (tmp_path / "work").mkdir()
    laboratory_beside(tmp_path / "work")

    def call(*arguments):
        size = ("--trials", 2, "--trainings", 1, "--workers", 1)
        folders = ("--out", tmp_path / "out", "--work", tmp_path / "work")
        monkeypatch.setattr(sys, "argv", ["reproduction", *map(str, (*arguments, *size, *folders))])
        with pytest.raises(SystemExit, match=r"^\d+$") as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


@pytest.mark.slow
def test_a_figure_is_a_table_numbers_and_a_picture(reproduce, tmp_path):
    """The numbers say how they were made; a second run measures nothing and says the same."""
    ended, out, err = reproduce("figure8", "--seed", 3)
    assert ended == 0, err
    assert "full TAC" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["figure8.json", "figure8.png"]
    assert (tmp_path / "out" / "figure8.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads((tmp_path / "out" / "figure8.json").read_text())
    manifest = result["manifest"]
    assert (manifest["seed"], manifest["trials"], manifest["training_seeds"]) == (3, 2, [0])
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "measurements").iterdir()}

    ended, out, err = reproduce("figure8", "--seed", 3, "--json")
    assert ended == 0, err
    assert json.loads(out)["rows"] == result["rows"]
    assert json.loads(out) == json.loads((tmp_path / "out" / "figure8.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "measurements").iterdir()} == kept


def test_a_table_has_no_picture(reproduce, tmp_path):
    """Numbers only."""
    ended, out, err = reproduce("table3")
    assert ended == 0, err
    assert "picture:" not in out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["table3.json"]


def test_unknown_names_list_the_known_ones(reproduce, tmp_path):
    """With exit code 2, and nothing written."""
    ended, _, err = reproduce("figure99")
    assert ended == 2
    assert "name must be one of 'figure1'" in err
    assert "got 'figure99'" in err
    assert not (tmp_path / "out").exists()


def test_the_report_names_a_result_that_is_missing(reproduce, tmp_path):
    """What was asked is computed; the page is not written."""
    ended, _, err = reproduce("table3", "--report", tmp_path / "page.md")
    assert ended == 4
    assert "figure1.json must be there for the report; make it with `python -m reproduction figure1`" in err.replace(
        "\n", " "
    )
    assert (tmp_path / "out" / "table3.json").exists()
    assert not (tmp_path / "page.md").exists()
