"""Estimates in flat rows."""

from types import SimpleNamespace

import pytest

from qtaml.laboratory.fields import cell, columns, interval_fields
from qtaml.measuring import Estimate


def test_fields_become_columns_and_cells():
    """What is written into a row is what is drawn and shown."""
    row = SimpleNamespace(**interval_fields(score=Estimate(0.5, 0.4, 0.6), missing=None))
    assert columns([row, row], "score", 100) == ([50, 50], [40, 40], [60, 60])
    assert (cell(row, "score", ".1f", 100), cell(row, "score"), cell(row, "missing")) == (
        "50.0 ± 10.0",
        "0.5 ± 0.1",
        "-",
    )
    assert row.missing_low is None


def test_an_unknown_field_is_an_error():
    """A name that no row has is not drawn as nothing."""
    with pytest.raises(AttributeError, match="has no attribute 'score'"):
        columns([SimpleNamespace()], "score")
