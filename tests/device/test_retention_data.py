"""Retention data from CSV files: three kinds of rows, units, and what is refused."""

import numpy as np
import pytest

from qtaml.device import RetentionData, read_retention
from qtaml.errors import ArgumentError, StoredFileError

TIMES = """# cell array 7
time (us), temperature (C), cells
12.5, 25, 1
>100, 25, 30
<1, 85, 2
"""
BITS = """temperature (K),window (ms),failing,cells,chip
300,2,7,100,a
300,1,3,100,a
300,1,4,50,b
"""


def read(tmp_path, text):
    """The data of a file with this text."""
    path = tmp_path / "retention.csv"
    path.write_text(text)
    return read_retention(path)


def test_times_may_be_bounds(tmp_path):
    """In seconds and kelvin; equal bounds are an exact time."""
    data = read(tmp_path, TIMES)
    assert np.allclose(data.after, [12.5e-6, 100e-6, 0.0])
    assert np.allclose(data.by, [12.5e-6, np.inf, 1e-6])
    assert np.allclose(data.temperature, [298.15, 298.15, 358.15])
    assert (data.failures, data.total) == (3, 33)
    assert data.source.endswith("retention.csv")


def test_two_bounds_either_of_which_may_be_unknown(tmp_path):
    """An empty field is an unknown bound."""
    data = read(tmp_path, "after (s),by (s),temperature (K)\n1,2,300\n,3,300\n4,,300\n")
    assert list(zip(data.after, data.by, strict=True)) == [(1.0, 2.0), (0.0, 3.0), (4.0, np.inf)]


def test_failing_bits_are_the_same_cells_at_growing_windows(tmp_path):
    """Those that fail anew failed in between; another chip is other cells; rows may come in any order."""
    data = read(tmp_path, BITS)
    rows = list(zip(data.after, data.by, data.cells, strict=True))
    assert rows == [(0, 1e-3, 3), (1e-3, 2e-3, 4), (2e-3, np.inf, 93), (0, 1e-3, 4), (1e-3, np.inf, 46)]


def test_spreadsheets_write_other_signs(tmp_path):
    """A mark at the beginning, either Greek letter, square brackets, degrees, columns of one's own."""
    path = tmp_path / "retention.csv"
    path.write_bytes("\ufeffTime [µs],Temperature [°C],operator\n5,25,me\n".encode())
    assert read_retention(path).after == pytest.approx([5e-6])
    path.write_bytes(b"time (\xb5s),temperature (C)\n5,25\n")
    with pytest.raises(StoredFileError, match=r"is not a text in UTF-8"):
        read_retention(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,temperature (C)\n1,25\n", r"column 'time' must have a unit in brackets, one of ns, us.*got 'time'"),
        ("time (us),temperature\n1,25\n", r"column 'temperature' must have a unit in brackets, one of K, C.*got"),
        ("time (fortnights),temperature (C)\n1,25\n", r"column 'time' must have a unit.*got 'time \(fortnights\)'"),
        ("after (us),by (ms),temperature (C)\n1,2,25\n", r"all times must have one unit, got ms and us"),
        (
            "time (us),temperature (C)\n5 ms,25\n",
            r"line 2: time must be a number, with its unit in the header, got '5 ms'",
        ),
        ("time (us),temperature (K)\n5,-40\n", r"line 2: temperature must be above 0 K, got -40 K: is it in C\?"),
        ("time (us),temperature (C)\n5,-300\n", r"line 2: temperature must be above 0 K, got -300 C"),
        ("time (us),temperature (C)\n-5,25\n", r"line 2: time must be at least 0, got '-5'"),
        ("time (us),temperature (C),failed bits\n1,25,7\n", r"must name what counts by time, .*got 'failed bits'"),
        ("time (us),temperature (C),failing,cells\n1,25,7,99\n", r"rows of one kind, got 'failing' beside 'time'"),
        ("after (us),temperature (C),window (us)\n1,25,7\n", r"rows of one kind, got 'after' beside 'window'"),
        ("time (us),temperature (C),count\n1,25,7\n", r"must name what counts by time, .*got 'count'"),
        ("time (us),temperature (C),chip id\n1,25,7\n", r"must name what counts by time, .*got 'chip id'"),
        ("time (us),temperature (C)\n5,3,25\n", r"line 2: .*the 2 fields of the header, got 3: is a comma meant as"),
        ('time (us),temperature (C),who\n5,25,"a\nb"\n', r"line 2: each row must be one line of CSV"),
        ("time (us),temperature (C)\n><5,25\n", r"line 2: time must be a number, with its unit.*got '<5'"),
        ("time (us),temperature (C),cells\n5,25,2.5\n", r"line 2: cells must be a whole number.*got '2\.5'"),
        (
            BITS.replace("7,100", "0.07,100"),
            r"line 2: failing must be a whole number, a count and no share, got '0\.07'",
        ),
        ("time (us)\n5\n", r"must have a column `temperature \(C\)`"),
        ("time (us),temperature (C)\n", r"must have a header and at least one row"),
        ("time (us),temperature (C),time (us)\n1,2,3\n", r"must have 'time' once, got it twice"),
        ("time (us),temperature (C)\n>5,25\n", r"none of the data is of a cell that failed"),
        ("window (us),cells,temperature (C)\n1,10,25\n", r"must have a column 'failing' beside `window`"),
        (BITS.replace("7,100", "2,100"), r"line 2: failing must grow with the window.*got 2 after 3; give other cells"),
        (BITS.replace("7,100", "7,200"), r"line 2: cells must be as many.*100, got 200; give other cells another name"),
        (BITS.replace("7,100", "700,100"), r"line 2: failing must grow with the window, at most to 100"),
    ],
)
def test_files_that_are_refused(tmp_path, text, message):
    """Units missing or mixed, impossible numbers: with the line where there is one."""
    with pytest.raises(StoredFileError, match=message):
        read(tmp_path, text)


def test_arrays_that_are_refused():
    """Named with their values."""
    with pytest.raises(ArgumentError, match=r"temperature must be above 0 K, got -40\.0"):
        RetentionData([1.0], [1.0], [-40.0], [1.0])
    with pytest.raises(ArgumentError, match=r"must be of one length, got \[1, 2\]"):
        RetentionData([1.0], [1.0], [300.0, 300.0], [1.0])
    with pytest.raises(ArgumentError, match=r"by must be above 0 and not before `after`, got 1\.0"):
        RetentionData([2.0], [1.0], [300.0], [1.0])
