"""Figure 3: scores and allocations."""

import pytest

from reproduction import allocations

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.fixture(scope="module")
def rows(laboratory):
    """Two budgets."""
    return allocations.compute(laboratory, overheads=(0.02, 0.25))


def test_protection_follows_the_scores(rows):
    """Deeper for larger scores, and never less at a larger budget; the budget is spent."""
    assert len(rows) == 8
    for overhead in (0.02, 0.25):
        own = [row for row in rows if row.overhead == overhead]
        by_score = [row.protected.value for row in sorted(own, key=lambda row: -row.score.value)]
        assert by_score == sorted(by_score, reverse=True)
        spent = sum(row.protected.value * row.weights for row in own) / 8 / sum(row.weights for row in own)
        assert spent == pytest.approx(overhead, abs=1e-4)
    small, large = rows[:4], rows[4:]
    assert all(a.protected.value <= b.protected.value for a, b in zip(small, large, strict=True))
    assert all(row.score.value == pytest.approx(row.squared_gain.value * row.largest_weight.value**2) for row in rows)


def test_table_and_picture_name_every_tensor(rows):
    """A line and a curve for each of four."""
    scores, bits = allocations.draw(rows).axes
    assert len(bits.containers) == 4
    assert next(text.get_text() for text in scores.get_xticklabels()) == "conv1\n144"
    assert allocations.table(rows).row_count == 4
