"""The benchmark of pages at its quick sizes; nothing where there is no browser."""

import pytest

from benchmarks import pages


@pytest.mark.long
def test_pages_are_timed():
    """A row for each page, with what it took to make."""
    if pages.chromium() is None:
        pytest.skip("needs playwright and a Chromium: pip install playwright, apt-get install chromium")
    rows = pages.measure(quick=True)
    assert [row.what for row in rows] == ["report of a network", "report of many tensors", "explorer"]
    assert all(0 < row.seconds < 60 for row in rows)
    assert all("MB" in row.note for row in rows)


def test_without_a_browser_there_is_no_row(monkeypatch):
    """And no error."""
    monkeypatch.setattr(pages.shutil, "which", lambda name: None)
    assert pages.measure(quick=True) == []
