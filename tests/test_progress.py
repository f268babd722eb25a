"""Progress of long work where no terminal shows a bar."""

import pytest

from qtaml import _progress


@pytest.mark.parametrize(("seconds", "lines"), [(0, ["outer: 1 of 2", "outer: 2 of 2"]), (30, [])])
def test_a_file_of_a_batch_job_gets_a_line_now_and_then(monkeypatch, capfd, seconds, lines):
    """None within the first half minute; inner loops belong to the display of the outer one."""
    monkeypatch.setattr(_progress, "_SECONDS", seconds)
    for _ in _progress.track(["a", "b"], "outer"):
        pass
    assert capfd.readouterr().err.splitlines() == [f"qtaml: {line}" for line in lines]


def test_a_worker_is_silent(monkeypatch, capfd):
    """Its parent shows the progress of the whole."""
    monkeypatch.setattr(_progress, "_SECONDS", 0)
    token = _progress._active.set(None)
    try:
        _progress.be_silent()
        assert list(_progress.track([1], "inner")) == [1]
    finally:
        _progress._active.reset(token)
    assert capfd.readouterr().err == ""


def test_a_loop_that_was_broken_off_is_no_outer_loop(monkeypatch, capfd):
    """Its display is over: the next loop has one of its own, whose first line is due in half a minute."""
    monkeypatch.setattr(_progress, "_SECONDS", 0)
    first = _progress.track([1, 2], "broken off")
    second = _progress.track([1, 2], "ends after it")
    next(first), next(second)
    first.close()
    second.close()
    monkeypatch.setattr(_progress, "_SECONDS", 30)
    assert list(_progress.track([1], "next")) == [1]
    assert capfd.readouterr().err == ""
