"""docs/extending.md: what it adds is added to a copy of the package, by what it says alone, and used."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import qtaml

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
PACKAGE = Path(qtaml.__file__).parent
SECTIONS = {
    title: re.findall(r"```(python|diff)\n(.*?)```", text, re.S)
    for title, text in re.findall(r"^## (Your own .*?)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
}


def add(root: Path, kind: str, block: str) -> Path | None:
    """Write the new file of a block, or make its change; the file, or None for code that only uses things."""
    first, rest = block.split("\n", 1)
    if kind == "python":
        if first == "# use":
            return None
        file = root / first.removeprefix("# ")
        assert not file.exists(), f"{file} is there already"
        file.write_text(rest)
        return file
    file = root / first.strip()
    text = file.read_text()
    imports = [line[1:] for line in rest.splitlines() if line.startswith("+from ")]
    old = "\n".join(line[1:] for line in rest.splitlines() if line.startswith("-"))
    new = "\n".join(line[1:] for line in rest.splitlines() if line.startswith("+") and line[1:] not in imports)
    assert text.count(old) == 1, f"{old!r} must be once in {file}"
    text = text.replace(old, new)
    last = text.rindex("\nfrom qtaml") if imports else 0
    file.write_text(text[:last] + "".join(f"\n{line}" for line in imports) + text[last:])
    return file


def test_the_page_has_all_kinds():
    """One section for each thing that people add."""
    kinds = ["fault model", "code", "number format", "metric", "exporter", "device"]
    assert list(SECTIONS) == [f"Your own {kind}" for kind in kinds]


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the package with everything on the page, and how many files each section touched."""
    root = tmp_path_factory.mktemp("extended")
    shutil.copytree(PACKAGE, root / "src" / "qtaml", ignore=shutil.ignore_patterns("__pycache__"))
    touched = {title: [add(root, *block) for block in blocks] for title, blocks in SECTIONS.items()}
    return root, {title: sum(file is not None for file in files) for title, files in touched.items()}


def test_one_new_file_and_one_change_are_enough(extended):
    """At most: a metric and a device need no change at all."""
    _, touched = extended
    assert list(touched.values()) == [2, 2, 1, 0, 2, 0]


@pytest.mark.long
def test_what_was_added_works(extended):
    """Each section's code runs on the copy, in one process."""
    root, _ = extended
    uses = [block for blocks in SECTIONS.values() for kind, block in blocks if block.startswith("# use")]
    assert len(uses) == len(SECTIONS)
    script = "import qtaml\nprint(qtaml.__file__)\n" + "\n".join(f"exec({use!r}, {{}})" for use in uses)
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=root)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(root))
