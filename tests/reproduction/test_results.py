"""Results from files, and their numbers as text."""

from types import SimpleNamespace

import pytest

from qtaml.errors import StoredFileError
from reproduction.results import Outcome, Result, load_results, number, overlap, points, share


def estimate(**ends):
    """A row with one estimate x."""
    return SimpleNamespace(**{f"x{end}": value for end, value in zip(("", "_low", "_high"), ends["x"], strict=True)})


def test_a_result_is_read_back(tmp_path):
    """Rows by attribute, manifest as it is."""
    (tmp_path / "table1.json").write_text('{"rows": [{"p": 0.1, "x": 2}], "manifest": {"seed": 3}}')
    result = load_results(tmp_path, ["table1"])["table1"]
    assert result.one(p=0.1).x == 2
    assert result.manifest["seed"] == 3
    with pytest.raises(StoredFileError, match=r"a row with \{'p': 0.2\}"):
        result.one(p=0.2)


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
    row = estimate(x=(0.1234, 0.1, 0.15))
    assert number(row, "x") == "0.123 [0.1, 0.15]"
    assert share(row, "x") == "12.3% [10.0, 15.0]"
    assert points(row, "x") == "+12.3 points [+10.0, +15.0]"
    assert number(estimate(x=(2.0, 2.0, 2.0)), "x") == "2"
    assert share(estimate(x=(0.5, 0.5, 0.5)), "x") == "50.0%"


@pytest.mark.parametrize(("low", "high", "common"), [(0.0, 1.0, True), (3.0, 4.0, True), (3.1, 4.0, False)])
def test_intervals_overlap(low, high, common):
    """Where they share a number, ends included."""
    row = SimpleNamespace(a_low=1.0, a_high=3.0, b_low=low, b_high=high)
    assert overlap(row, "a", "b") is common
    assert overlap(row, "b", "a") is common


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
