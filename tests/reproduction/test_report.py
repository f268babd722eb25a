"""The page on the paper's claims."""

import dataclasses
import json
from pathlib import Path

import pytest

from qtaml.errors import StoredFileError
from reproduction import report
from reproduction.catalog import CATALOG, PAPER
from reproduction.claims import CLAIMS
from reproduction.results import Outcome

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

ROOT = Path(__file__).parents[2]
MANIFEST = {"seed": 0, "trials": 30, "training_seeds": [0, 1, 2, 3, 4], "seconds": 60.0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Empty results of the whole paper, whose claims are decided at once."""
    decided = [dataclasses.replace(claim, check=lambda results: Outcome("1", "holds", "So.")) for claim in CLAIMS]
    monkeypatch.setattr(report, "CLAIMS", decided)
    monkeypatch.setattr(report, "remarks_texts", lambda result: [("A point", "A paragraph.")])
    for name in PAPER:
        (tmp_path / f"{name}.json").write_text(json.dumps({"rows": [], "manifest": MANIFEST}))
    return tmp_path


def test_the_page_tells_every_claim_and_shows_every_picture(folder):
    """In the table and in its section; links go from the page to the pictures."""
    page = folder / "docs" / "page.md"
    report.write_report(folder, page)
    text = page.read_text()
    for claim in CLAIMS:
        says = claim.says.replace("*", r"\*")
        assert f"| {says} | [{claim.results[0]}](#{claim.results[0]}) | **holds** |" in text
        assert f"**{says}** ({claim.where})" in text
    for name, experiment in PAPER.items():
        assert (f"](../{name}.png)" in text) == (experiment.draw is not None)
    assert "5 trained networks and 30 reads" in text
    assert f"took {len(PAPER)} minutes" in text
    assert "1. **A point.** A paragraph." in text
    assert all("- " + choice.replace("*", r"\*") in text for choice in report.CHOICES)


def test_a_missing_result_is_named(folder):
    """And no page is written."""
    (folder / "table7.json").unlink()
    with pytest.raises(StoredFileError, match="python -m reproduction table7"):
        report.write_report(folder, folder / "page.md")
    assert not (folder / "page.md").exists()


@pytest.mark.skipif(
    not all((ROOT / "results" / f"{name}.json").exists() for name in PAPER), reason="not all results are there"
)
def test_the_committed_page_is_that_of_the_committed_results(tmp_path):
    """Links aside."""
    report.write_report(ROOT / "results", tmp_path / "page.md")
    made, kept = (path.read_text() for path in (tmp_path / "page.md", ROOT / "docs" / "reproduction.md"))
    drop = [line for line in made.splitlines() if not line.startswith("![")]
    assert drop == [line for line in kept.splitlines() if not line.startswith("![")]


def test_an_experiment_may_have_a_page_of_its_own(tmp_path, monkeypatch):
    """It is written where it alone is named; its picture is linked from where the page lies."""
    experiment = dataclasses.replace(
        CATALOG["real_networks"], page=lambda rows, manifest, picture: f"{len(rows)} {manifest['trials']} {picture}"
    )
    monkeypatch.setitem(CATALOG, "real_networks", experiment)
    (tmp_path / "real_networks.json").write_text(json.dumps({"rows": [], "manifest": MANIFEST}))
    page = tmp_path / "docs" / "page.md"
    report.write_page(tmp_path, page, ["real_networks"])
    assert page.read_text() == "0 30 ../real_networks.png"
    for names in ([], ["table1"], ["real_networks", "table1"]):
        with pytest.raises(StoredFileError, match=r"figure1\.json must be there for the report"):
            report.write_page(tmp_path, page, names)
