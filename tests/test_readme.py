"""The README holds what it says: its Python runs, its commands do, its targets and links are there."""

import re
import shlex
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import qtaml
from qtaml.cli.main import main

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text()
COMMANDS = re.findall(r"^ {4}qtaml (.*?)(?: {2,}#.*)?$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The names that the Python of the README leaves, what it printed, and the folder in which it ran."""
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    folder, printed, names = tmp_path_factory.mktemp("readme"), [], {}
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.chdir(folder)
        names["print"] = lambda *values, sep=" ": printed.append(sep.join(map(str, values)))
        exec(code, names)
    return names, printed, folder


@pytest.mark.slow
def test_the_example_runs_and_says_the_truth(example):
    """With torch alone; the accuracies in its comments are those found."""
    names, (compensated, designed, reached), folder = example
    (said,) = re.findall(r"# (\d+)%, of (\d+)% without errors.*?# (\d+)%$", TEXT, re.MULTILINE | re.DOTALL)
    plain = qtaml.store(names["model"], qtaml.uniform_msp(names["model"], p=0.10, protected_bits=0))
    (unprotected,) = re.findall(r"and (\d+)% unprotected", TEXT)
    found = (
        float(compensated.split()[0]),
        names["accuracy"](names["model"]),
        float(designed.splitlines()[-1].split()[0]),
        qtaml.evaluate(plain, names["accuracy"], trials=30).mean,
    )
    assert found == pytest.approx([int(percent) / 100 for percent in (*said, unprotected)], abs=0.01)
    assert 0.8 < float(reached) < found[1]
    assert "0.weight" in designed
    assert "95% over reads; 30 reads" in designed
    assert (folder / "deployed" / "manifest.json").exists()


@pytest.mark.slow
def test_the_commands_run(example, monkeypatch, capsys):
    """One after the other, on the network of the example."""
    names, _, folder = example
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    samples = torch.export.Dim("samples")
    program = torch.export.export(names["model"].eval(), (names["inputs"][:64],), dynamic_shapes=({0: samples},))
    torch.export.save(program, "network.pt2")
    np.savez("inputs.npz", inputs=names["inputs"][:64])
    np.savez("test.npz", inputs=names["inputs"][2000:], labels=names["labels"][2000:])
    assert [command.split()[0] for command in COMMANDS] == [
        *("predict", "compensate", "design", "evaluate", "report", "export", "readback")
    ]
    for command in COMMANDS:
        if command.startswith("readback"):
            run("export deployed dump.bin", monkeypatch)
        run(command, monkeypatch)
    assert "95%" in capsys.readouterr().out


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command line, which has to succeed."""
    monkeypatch.setattr(sys, "argv", ["qtaml", *shlex.split(command)])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()


def test_how_to_install_comes_first():
    """By line 12, and the extras that it names exist."""
    assert any(line.startswith("    pip install .") for line in TEXT.splitlines()[:12])
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for listed in re.findall(r"'\.\[(.*?)\]'", TEXT) for extra in listed.split(",")}
    assert named
    assert named <= extras.keys()


def test_it_is_short_and_its_links_exist():
    """At most 90 lines, and every file it points to is there."""
    assert len(TEXT.splitlines()) <= 90
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (README.parent / target).exists(), target


@pytest.mark.skipif(sys.platform == "win32", reason="needs make")
def test_its_make_targets_exist():
    """Every `make` command of README and CONTRIBUTING is a target."""
    makefile = (README.parent / "Makefile").read_text()
    for document in (README, README.parent / "CONTRIBUTING.md"):
        for target in re.findall(r"^ {4}make (\w+)", document.read_text(), re.MULTILINE):
            assert f"\n{target}:" in makefile, target
