"""Results from files, and their numbers as text."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from qtaml.errors import StoredFileError
from qtaml.laboratory.result_file import flat_row
from qtaml.measuring import Estimate
from reproduction.architectures import NetworkRow
from reproduction.catalog import CATALOG
from reproduction.results import Outcome, Result, load_results, number, overlap, points, share

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it

ROOT = Path(__file__).parents[2]


def estimate(value, low, high):
    """An estimate over trainings."""
    return Estimate(value, low, high, "trainings")


def test_a_result_is_read_back(tmp_path):
    """Rows as the records of their experiment, manifest as it is."""
    record = NetworkRow("SmallCNN", 38160, 40000, 4, 0, "2 linear", estimate(0.98, 0.97, 0.99))
    (tmp_path / "table4.json").write_text(json.dumps({"rows": [flat_row(record)], "manifest": {"seed": 3}}))
    result = load_results(tmp_path, ["table4"])["table4"]
    read = result.one(tensors=4)
    assert isinstance(read, NetworkRow)
    assert (read.clean.value, read.clean.low, read.clean.high) == (0.98, 0.97, 0.99)
    assert result.manifest["seed"] == 3
    with pytest.raises(StoredFileError, match=r"a row with \{'tensors': 5\}"):
        result.one(tensors=5)


@pytest.mark.parametrize("name", CATALOG)
def test_committed_results_are_read_without_loss(name):
    """Written again they are the same rows, field by field and digit by digit."""
    path = ROOT / "results" / f"{name}.json"
    if not path.exists():
        pytest.skip("this result is not there")
    rows = load_results(path.parent, [name])[name].rows
    assert json.dumps([flat_row(row) for row in rows]) == json.dumps(json.loads(path.read_text())["rows"])


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": [1], "manifest": {}}', '{"rows": []}'])
def test_what_is_no_result_is_named(tmp_path, text):
    """With the command that makes it anew."""
    (tmp_path / "table1.json").write_text(text)
    with pytest.raises(StoredFileError, match="python -m reproduction table1"):
        load_results(tmp_path, ["table1"])


def test_a_missing_result_is_named(tmp_path):
    """The first that is missing."""
    with pytest.raises(
        StoredFileError, match=r"table1\.json must be there for the report; .*python -m reproduction table1"
    ):
        load_results(tmp_path, ["table1"])


def test_numbers_as_text():
    """Intervals in brackets; none where there is no width."""
    wide = estimate(0.1234, 0.1, 0.15)
    assert number(wide) == "0.123 [0.1, 0.15]"
    assert share(wide) == "12.3% [10.0, 15.0]"
    assert points(wide) == "+12.3 points [+10.0, +15.0]"
    assert number(estimate(2.0, 2.0, 2.0)) == "2"
    assert share(estimate(0.5, 0.5, 0.5)) == "50.0%"


@pytest.mark.parametrize(("low", "high", "common"), [(0.0, 1.0, True), (3.0, 4.0, True), (3.1, 4.0, False)])
def test_intervals_overlap(low, high, common):
    """Where they share a number, ends included."""
    one, other = estimate(2.0, 1.0, 3.0), estimate(low, low, high)
    assert overlap(one, other) is common
    assert overlap(other, one) is common


@pytest.mark.parametrize(
    ("conditions", "verdict"),
    [([True, True], "holds"), ([True, False], "holds in part"), ([False, False], "does not hold")],
)
def test_a_verdict_counts_conditions(conditions, verdict):
    """All, some, none."""
    assert Outcome.of(conditions, "", "").verdict == verdict


def test_rows_without_a_field_are_not_found():
    """Rows of one result may be of several kinds."""
    result = Result((SimpleNamespace(part="a", p=1), SimpleNamespace(part="b")), {})
    assert result.where(p=1) == [result.rows[0]]
