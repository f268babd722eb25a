"""Tables, curves and pages of measurements, and the order of runs."""

import time

import pytest
import torch

from benchmarks import __main__ as runner
from benchmarks import harness
from benchmarks.harness import Measurement, Record, Results
from qtaml import _files


def measurement(size: int = 1000, seconds: float = 0.5) -> Measurement:
    """A row that takes half a second where its reference takes two."""
    return Measurement("subject", "thing", size, "weights", seconds, "reference", 4 * seconds, "seen")


def record(name: str = "sensitivity") -> Record:
    """What one module measured."""
    return Record(
        name, f"python -m benchmarks {name}", "2026-01-02", "a machine", {"torch": "2"}, 3.0, 2**30, (measurement(),)
    )


def test_functions_take_turns_after_one_call_of_each():
    """So that a busy machine is busy for all of them alike."""
    called = []
    harness.medians([lambda: called.append("a"), lambda: called.append("b")], 2)
    assert called == ["a", "b", "a", "b", "a", "b"]


@pytest.mark.slow
def test_the_median_is_that_of_the_repetitions():
    """One slow call of five, and the slow first one, do not count."""
    waits = iter([0.2, 0.001, 0.2, 0.001, 0.001, 0.001])
    assert harness.median_seconds(lambda: time.sleep(next(waits)), 5) < 0.1


def test_threads_are_put_back():
    """After the block there are as many as before."""
    before = torch.get_num_threads()
    with harness.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1234.0, "1234 s"), (1.234, "1.23 s"), (0.0123, "12.3 ms"), (1.5e-6, "1.5 us"), (2e-9, "0.002 us")],
)
def test_times_have_three_digits(seconds, text):
    """And a unit that suits them."""
    assert harness.duration(seconds) == text


def test_a_table_has_a_line_for_each_measurement():
    """With the ratio to the reference."""
    lines = harness.markdown_table([measurement(), measurement(2000)]).splitlines()
    assert len(lines) == 4
    assert lines[2] == "| thing | 1,000 weights | 500 ms | reference | 2 s | 4 | seen |"


def test_curves_have_the_exponent_of_their_power_law():
    """Time as the square of the size; two sizes, and units that do not grow, make no curve."""
    rows = [measurement(size, size**2 * 1e-6) for size in (10, 100, 1000)]
    (panel,) = harness.growth_panels(rows)
    assert [curve.label for curve in panel.curves] == ["thing (exponent 2.00)", "reference (exponent 2.00)"]
    assert panel.curves[0].x == [10, 100, 1000]
    assert harness.growth_panels(rows[:2]) == []


def test_a_page_gets_its_tables_and_keeps_its_text():
    """Twice the same; marks without a record stay as they are."""
    page = "text\n<!-- bench sensitivity -->\nold\n<!-- end -->\nmore\n<!-- bench reads -->\n<!-- end -->\n"
    filled = runner.filled(page, {"sensitivity": record()})
    assert filled.startswith(
        "text\n<!-- bench sensitivity -->\n`python -m benchmarks sensitivity`, 2026-01-02, a machine"
    )
    assert "old" not in filled
    assert filled.endswith("<!-- end -->\nmore\n<!-- bench reads -->\n<!-- end -->\n")
    assert runner.filled(filled, {"sensitivity": record()}) == filled


def test_results_come_back_from_their_file():
    """JSON and back."""
    results = Results({"sensitivity": record()})
    assert _files.from_json(Results, _files.to_json(results), "results") == results


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    """The runner with its files in a folder of the test, and modules that only note that they ran."""
    for name, path in {"UNFINISHED": "out", "RESULTS": "bench.json", "PICTURE": "bench.png", "PAGE": "page.md"}.items():
        monkeypatch.setattr(runner, name, tmp_path / path)
    ran = []

    def run(name, path):
        ran.append(name)
        if name == "reads":
            return False
        _files.write_text(path, _files.to_json(record(name)))
        return True

    monkeypatch.setattr(runner, "run_apart", run)
    monkeypatch.setattr(runner, "MODULES", ("sensitivity", "reads", "planning"))
    return tmp_path, ran


def test_what_an_interrupted_run_finished_is_kept(in_folder, monkeypatch):
    """A module that has a record from before does not run again; one that fails leaves the others published."""
    folder, ran = in_folder
    waiting = runner.unfinished_run() / "sensitivity.json"
    _files.write_text(waiting, _files.to_json(record()))
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    assert runner.main() == 1
    assert ran == ["reads", "planning"]
    results = _files.from_json(Results, (folder / "bench.json").read_bytes(), "results")
    assert list(results.records) == ["sensitivity", "planning"]
    assert not waiting.exists()


def test_a_module_by_name_runs_anew(in_folder, monkeypatch):
    """And leaves the results of others alone."""
    folder, ran = in_folder
    _files.write_text(folder / "bench.json", _files.to_json(Results({"sensitivity": record()})))
    _files.write_text(runner.unfinished_run() / "planning.json", "left by an interrupted run")
    monkeypatch.setattr("sys.argv", ["benchmarks", "planning"])
    assert runner.main() == 0
    assert ran == ["planning"]
    results = _files.from_json(Results, (folder / "bench.json").read_bytes(), "results")
    assert list(results.records) == ["sensitivity", "planning"]
