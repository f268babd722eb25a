"""The parts of TAC, and the choice of which means are corrected."""

import pytest

from reproduction import ablation, correction

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


def test_parts_add_up(laboratory):
    """Gains are differences of accuracies, none in the first row; bits bring most."""
    rows = ablation.compute(laboratory, probabilities=(0.1,))
    assert [row.part for row in rows] == ["none", "mean correction only", "bits only", "both (TAC)"] * 2
    assert [row.way for row in rows] == ["exact"] * 4 + ["paper"] * 4
    for index, row in enumerate(rows):
        if index % 4 == 0:
            assert row.gain is None
        else:
            assert row.gain.value == pytest.approx(row.accuracy.value - rows[index - 1].accuracy.value)
            assert row.gain.low <= row.gain.value <= row.gain.high
    assert [row.overhead for row in rows[:4]] == pytest.approx([0, 0, 0.05, 0.05], abs=1e-4)
    assert rows[2].gain.value == max(row.gain.value for row in rows[1:4])
    # What is not corrected is one measurement for both ways.
    assert (rows[0].accuracy.value, rows[2].accuracy.value) == (rows[4].accuracy.value, rows[6].accuracy.value)
    assert ablation.table(rows).row_count == 8


def test_choices_of_correction_are_compared(laboratory):
    """Adaptive is ahead of itself by nothing, and of the others by the difference of accuracies."""
    rows = correction.compute(laboratory, networks=("SmallCNN",), overheads=(0.03,))
    assert [row.choice for row in rows] == ["always", "never", "adaptive"] * 2
    for always, never, adaptive in (rows[:3], rows[3:]):
        assert (adaptive.adaptive_ahead.value, adaptive.adaptive_ahead.low, adaptive.adaptive_ahead.high) == (0, 0, 0)
        for row in (always, never):
            assert row.adaptive_ahead.value == pytest.approx(adaptive.accuracy.value - row.accuracy.value)
        assert always.overhead == never.overhead == adaptive.overhead
    assert correction.table(rows).row_count == 2
