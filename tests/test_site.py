"""The documentation: its code runs, its commands and links exist, tutorials say the truth, and the site builds."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import typer

from qtaml.cli.main import app
from qtaml.laboratory.sweep_file import read_sweep
from tools.site_hooks import OUTSIDE, inside, page_of_script

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TUTORIALS = {path.stem: path.read_text() for path in sorted((DOCS / "tutorials").glob("*.py"))}
PAGES = {path.name: path.read_text() for path in sorted(DOCS.glob("*.md"))} | {
    f"tutorials/{name}.md": page_of_script(text) for name, text in TUTORIALS.items()
}
BLOCKS = {name: re.findall(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE) for name, text in PAGES.items()}
TESTED_ELSEWHERE = {"extending.md", "training.md"} | {name for name in PAGES if name.startswith("tutorials/")}
BEFORE = {
    "training.md": """
import torch
import qtaml
torch.manual_seed(0)
inputs, others, test_inputs = (torch.randn(3, 48, 32) * torch.tensor([9.0] + 31 * [1.0])).unbind()
model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 3)).eval()
labels, test_labels = ((one[:, 0] > 0).long() for one in (inputs, test_inputs))
calibration, loss, loader = inputs[:32], torch.nn.functional.cross_entropy, [(inputs, labels)]
my_loss = loss
others = (others, (others[:, 0] > 0).long())
"""
}
"""What the blocks of a page take to be there; they run one after the other."""
# The last block of the page on training takes a minute and more: tests/training/test_codesigning.py runs that.
RUNNING = {name: "\n".join([before, *(code for _, code in BLOCKS[name][:2])]) for name, before in BEFORE.items()}
RUNNING |= {
    f"{name} {number}": code
    for name, blocks in BLOCKS.items()
    if name not in TESTED_ELSEWHERE
    for number, (kind, code) in enumerate(blocks)
    if kind == "python"
}


def anchors(page: str) -> set[str]:
    """Of its headings, as MkDocs and GitHub name them alike."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


def test_the_languages_of_blocks_are_known():
    """So that none is left out here: Python and sweeps run, changes are made by another test, Verilog is shown."""
    assert {kind for blocks in BLOCKS.values() for kind, _ in blocks} <= {"python", "toml", "diff", "verilog"}


@pytest.mark.slow
@pytest.mark.parametrize("block", RUNNING)
def test_blocks_of_python_run(block, tmp_path, monkeypatch):
    """Each by itself, or after what its page takes to be there, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        exec(compile(RUNNING[block], block, "exec"), {"__name__": "__main__"})


def test_the_sweep_is_one(tmp_path):
    """As far as it can be read without the files that it names."""
    ((_, text),) = [block for block in BLOCKS["sweeps.md"] if block[0] == "toml"]
    (tmp_path / "sweep.toml").write_text(text)
    assert len(read_sweep(tmp_path / "sweep.toml").file.networks) == 2


def test_commands_have_what_is_said_of_them():
    """Each command that a page shows is there, with its options."""
    commands, wrong = typer.main.get_command(app).commands, []
    lines = [line for page in PAGES.values() for line in re.findall(r"(?:^ {4}|`)qtaml ([a-z].*?)(?:`|$)", page, re.M)]
    assert len(lines) > 20
    for line in lines:
        name, *words = line.split("  #")[0].split()
        known = commands.get(name)
        if known is None:
            wrong.append(line)
            continue
        if hasattr(known, "commands"):
            known = known.commands.get(words[0]) if words else known
        options = {option for parameter in known.params for option in parameter.opts} | {"--help"}
        wrong += [line for word in words if word.startswith("--") and word not in options]
    assert wrong == []


def test_links_lead_somewhere():
    """Files, pages of the site, and headings in them."""
    outside = {path.relative_to(ROOT).as_posix() for pattern in OUTSIDE for path in ROOT.glob(pattern)}
    wrong = []
    for name, page in PAGES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", page):
            if target.startswith(("http", "mailto")):
                continue
            path, _, anchor = target.partition("#")
            found = os.path.normpath(Path(name).parent / path) if path else name
            known = found in PAGES or (DOCS / found).exists() or inside(f"]({found})")[2:-1] in outside
            if not known or (anchor and found in PAGES and anchor not in anchors(PAGES[found])):
                wrong.append(f"{name}: {target}")
    assert wrong == []


def test_every_page_is_in_the_navigation():
    """And nothing else."""
    named = re.findall(r"(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(named) == sorted([*PAGES, *(name for name in OUTSIDE if name.endswith(".md"))])


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long]) for name in TUTORIALS])
def test_tutorials_run(name, tmp_path):
    """In an empty folder, and find about what their comments say."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "120"}
    script = DOCS / "tutorials" / f"{name}.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for pattern, low, high in FOUND[name]:
        (value,) = re.findall(pattern, done.stdout)
        assert low <= float(value) <= high, f"{pattern}: {value}"


FOUND = {
    "researcher": [
        (r"^(0\.\d+)\n", 0.93, 0.95),
        (r"\n(0\.\d+) \[.*30 reads\)\nTAC", 0.68, 0.73),
        (r"as many cells as the plain memory: .*accuracy (0\.\d+)", 0.91, 0.95),
    ],
    "memory_engineer": [
        (r"standard deviation of ln t\s+│ (0\.\d+)", 0.67, 0.71),
        (r"3e-05 s: plain (0\.\d+)", 0.70, 0.77),
        (r"3e-05 s: designed (0\.\d+)", 0.91, 0.95),
    ],
    "hardware": [(r"\n(\d+) words of 32 bits", 400, 400)],
}


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    """Strictly: each link, anchor, reference and page of the navigation."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Which method do I want?" in (tmp_path / "site" / "index.html").read_text()


def test_the_version_is_the_same_everywhere():
    """In the package, in the citation, and as the first release of the changes, with its date."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text()
    dates = re.findall(r"^date-released: (\S+)$", citation, re.MULTILINE)
    releases = re.findall(r"^## (\d\S*) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert re.findall(r"^version: (\S+)$", citation, re.MULTILINE) == [version]
    assert releases[0] == (version, *dates)
    assert sorted(releases, key=lambda release: release[1], reverse=True) == releases
