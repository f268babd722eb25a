"""`qtaml device`."""

import json

import pytest

from qtaml.device import PRESETS, preset_record


def test_every_preset_is_listed(command):
    """As a table and as JSON, with the p of the library."""
    ended, out, err = command("device", "list")
    assert ended == 0, err
    assert all(name in out for name in PRESETS)
    _, out, _ = command("device", "list", "--json")
    for entry in json.loads(out):
        record = preset_record(entry["name"])
        assert entry["p"] == record.cell.flip_probability(record.window)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_shown_with_its_source(command, name):
    """Parameters, source and caution; the JSON holds every field."""
    ended, out, err = command("device", "show", name)
    assert ended == 0, err
    assert str(preset_record(name).cell.electrons) in out
    _, out, _ = command("device", "show", name, "--json")
    shown = json.loads(out)
    assert shown["source"] == preset_record(name).source
    assert shown["cell"]["temperature"] == preset_record(name).cell.temperature


@pytest.mark.slow
def test_leakage_says_what_sets_p(command, tmp_path):
    """At the preset's window, or another one and temperature; a preset without a barrier to sweep leads here."""
    ended, out, err = command("device", "leakage", "gaincell_3t_16nm", "--out", tmp_path / "leakage.png")
    assert ended == 0, err
    assert "subthreshold sets p" in out
    assert (tmp_path / "leakage.png").exists()
    _, out, _ = command("device", "leakage", "nand_fg_7nm_trap", "--window", 1e6, "--temperature", 350, "--json")
    shown = json.loads(out)
    assert (shown["temperature"], shown["mechanisms"][0]["name"]) == (350.0, "tunnelling and traps")
    ended, _, err = command("device", "sweep", "gaincell_3t_16nm")
    assert ended == 2
    assert "qtaml device leakage" in err
    ended, _, err = command("device", "leakage", "gaincell_3t_16nm", "--temperature", -40)
    assert ended == 2
    assert "temperature must be above 0, got -40" in err


RETENTION = """temperature (C),window (us),failing,cells
25,10,2,100000
25,30,35,100000
25,100,420,100000
85,10,440,100000
85,30,2700,100000
"""


@pytest.mark.slow
def test_a_cell_is_fitted_shown_and_stated(command, tmp_path):
    """From retention data to a cell, a reserve for `--device`, a picture, and failures in time."""
    (tmp_path / "retention.csv").write_text(RETENTION)
    (tmp_path / "mission.csv").write_text("temperature (C),time (h)\n25,8000\n85,500\n")
    cell = tmp_path / "cell.json"
    picture = tmp_path / "fit.png"
    arguments = ("--out", cell, "--window", 2e-5, "--no-tail", "--picture", picture)
    ended, out, err = command("device", "fit", tmp_path / "retention.csv", *arguments)
    assert ended == 0, err
    assert f"as a reserve: --device {cell} --window 2e-05" in " ".join(out.split("\n"))
    assert picture.exists()
    _, out, _ = command("device", "fit", tmp_path / "retention.csv", *arguments[:4], "--law", "exponential", "--json")
    assert json.loads(out)["cell"]["law"] == "exponential"
    assert json.loads(out)["question"]["extrapolation"] == ""
    ended, out, err = command("device", "show", cell)
    assert ended == 0, err
    assert "halved every (K)" in out
    ended, out, err = command(
        *("device", "failures", cell, "--profile", tmp_path / "mission.csv", "--bits", 10_000, "--tolerated", 0.02),
        *("--window", 2e-5, "--confidence", 0.9, "--out", tmp_path / "fit.csv", "--json"),
    )
    assert ended == 0, err
    assert len(json.loads(out)["statement"]["phases"]) == 2
    assert "assumption 1" in (tmp_path / "fit.csv").read_text()


@pytest.mark.slow
def test_extrapolation_and_bad_data_are_said_on_the_command_line(command, tmp_path):
    """A window beyond the data, missing units, an unknown law; nothing is written for the latter two."""
    path = tmp_path / "retention.csv"
    path.write_text(RETENTION)
    ended, out, err = command("device", "fit", path, "--out", tmp_path / "cell.json", "--window", 1.0)
    assert ended == 0, err
    assert "is an extrapolation: data reach" in " ".join(out.split())
    ended, _, err = command("device", "fit", path, "--out", tmp_path / "new.json", "--law", "eyring")
    assert ended == 2
    assert "law must be one of 'arrhenius', 'exponential', got 'eyring'" in err
    path.write_text(RETENTION.replace(" (us)", ""))
    ended, _, err = command("device", "fit", path, "--out", tmp_path / "new.json")
    assert ended == 4
    assert "column 'window' must have a unit in brackets" in err
    assert not (tmp_path / "new.json").exists()


@pytest.mark.slow
def test_a_sweep_is_a_table_and_a_picture(command, tmp_path):
    """The ranges asked for are the ends of the sweeps."""
    arguments = ("--out", tmp_path / "sweep.png", "--thickness", 2.0, 3.5, "--window", 1, 100, "--points", 7, "--json")
    ended, out, err = command("device", "sweep", "fg_dt_3p0", *arguments)
    assert ended == 0, err
    result = json.loads(out)
    assert [result["over_thickness"][i]["thickness"] for i in (0, -1)] == [2.0, 3.5]
    assert [result["over_time"][i]["window"] for i in (0, -1)] == pytest.approx([1, 100])
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes_have_exit_codes(command, tmp_path):
    """An unknown preset lists the known ones; a picture of an unknown format is not written."""
    ended, _, err = command("device", "show", "flash")
    assert ended == 2
    assert "'gaincell_2t_sion'" in err
    ended, _, err = command("device", "sweep", "fg_dt_3p0", "--out", tmp_path / "new" / "sweep.xyz")
    assert ended == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_picture_without_an_ending_is_a_png(command, tmp_path):
    """Its name is completed, and nothing else is left there."""
    ended, out, err = command("device", "sweep", "few_electron_dt", "--out", tmp_path / "new" / "sweep", "--points", 5)
    assert ended == 0, err
    assert "sweep.png" in out.replace("\n", "")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sweep.png"]
    assert (tmp_path / "new" / "sweep.png").read_bytes().startswith(b"\x89PNG")
