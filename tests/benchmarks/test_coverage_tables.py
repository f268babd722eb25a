"""The simulation of coverage runs at a small size, finds intervals that are too narrow, and fills its page."""

import numpy as np
import pytest

from benchmarks import coverage, coverage_page
from benchmarks.coverage_page import Coverage, Row


def row(share: float, kind: str = "accuracy 0.9") -> Row:
    """What a simulation found."""
    return Row(kind, "somehow", 20, 5, share, 1 - share, 0.0, 0.1, 0.05, 2000, 1.0, share)


@pytest.mark.parametrize(
    "draw",
    [
        coverage.difficulty(0.97, 3, 0.3),
        coverage.hard_samples(0.97),
        coverage.lognormal(0.3, 0.5, 0.2),
        coverage.cosines(0.1, 0.3, 0.5, 0.2),
        coverage.numbers(0.3, 1, 0.5),
        coverage.from_table(np.random.default_rng(0).random((30, 40))),
    ],
)
def test_scores_have_the_stated_mean(draw):
    """Of many reads of many samples, within four standard errors."""
    scores, truth = draw(np.random.default_rng(1), 400, 20, 50)
    means = scores.mean((1, 2))
    assert means.mean() == pytest.approx(truth, abs=4 * means.std() / 20)


def test_all_kinds_are_simulated():
    """One row of each, of few repetitions: the truth lies within the interval mostly."""
    rows = [
        coverage.crossed("accuracy 0.9", "x", coverage.difficulty(0.9, 3, 0.3), 5, 20, 200, (0.0, 1.0)),
        coverage.crossed("divergence", "x", coverage.lognormal(0.3, 0.5, 0.2), 5, 20, 200, (0.0, np.inf)),
        coverage.of_reads("number", 5, 200),
        coverage.stopped("accuracy", 12, 200, 40),
        coverage.of_samples("accuracy 0.5", 20, 100),
    ]
    for found in rows:
        assert found.coverage > 0.88
        assert found.coverage + found.below + found.above == pytest.approx(1, abs=1e-3)
        assert 0 < found.least_width <= found.width


def test_intervals_that_are_too_narrow_are_named():
    """With their size and what they cover; those that are too wide are counted."""
    text = coverage_page.outliers([row(0.95), row(0.99), row(0.8, "loss")])
    assert text.startswith(
        "Of 3 cells 1 lie within 93 to 97%, 1 above, 1 below: loss (somehow): 1, from 80.0 to 80.0%."
    )


def test_the_page_is_filled(tmp_path, monkeypatch):
    """Each table between its marks; twice the same."""
    target = tmp_path / "coverage.md"
    marks = [f"<!-- coverage {name} -->\nold\n<!-- end -->" for name in ("both", "reads", "stopped", "samples")]
    target.write_text("text\n" + "\n".join(marks) + "\nend\n")
    monkeypatch.setattr(coverage_page, "PAGE", target)
    rows = tuple(row(0.95, kind) for kind in ("loss", "loss, reads only", "loss, stopped early", "loss, one network"))
    found = Coverage("a command", "2026-01-02", 3.0, {"numpy": "2"}, rows)
    text = coverage_page.page(found)
    assert text.count("`a command`, 2026-01-02; 3 s, 2,000 repetitions a cell.") == 4
    assert "| loss | somehow | 95.0 |" in text
    assert "old" not in text
    target.write_text(text)
    assert coverage_page.page(found) == text


def test_cautions_are_told_apart():
    """Ten samples of a loss always have one, two hundred that are alike none; what is missed in silence is named."""
    loss = coverage.lognormal(0.1, 0.3, 0.2)
    few, many = (coverage.crossed("loss", "x", loss, 20, samples, 100, (0.0, np.inf)) for samples in (10, 200))
    assert (few.without_caution, few.held_without) == (0.0, None)
    assert many.without_caution == 1.0
    assert many.held_without == many.coverage
    missed = Row("loss", "y", 100, 30, 0.9, 0.1, 0.0, 0.1, 0.05, 100, 0.5, 0.8)
    text = coverage_page.without_cautions([few, missed])
    assert "none" in text
    assert "together: 80.0%. Missed without a caution: at most 10.0% of the repetitions" in text
    assert text.endswith("these: 1: loss (y), 100 x 30: 80.0% of 50%.")
