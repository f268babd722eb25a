"""The README holds what it says."""

import re
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


@pytest.mark.slow
def test_the_example_runs(tmp_path, monkeypatch, capsys):
    """The Python of the README runs as it stands, and prints the plan and an accuracy."""
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    printed = capsys.readouterr().out
    assert "conv1.weight" in printed
    assert "95% over reads and test samples; 30 reads" in printed
    assert (tmp_path / "out" / "deployed" / "manifest.json").exists()


def test_it_is_short_and_its_links_exist():
    """At most 90 lines, and every file it points to is there."""
    text = README.read_text()
    assert len(text.splitlines()) <= 90
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (README.parent / target).exists(), target


@pytest.mark.skipif(sys.platform == "win32", reason="needs make")
def test_its_make_targets_exist():
    """Every `make` command of README and CONTRIBUTING is a target."""
    makefile = (README.parent / "Makefile").read_text()
    for document in (README, README.parent / "CONTRIBUTING.md"):
        for target in re.findall(r"^ {4}make (\w+)", document.read_text(), re.MULTILINE):
            assert f"\n{target}:" in makefile, target
