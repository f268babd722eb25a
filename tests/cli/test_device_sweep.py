"""Flip probability over thickness and time."""

import pytest

import qtaml
from qtaml import showing
from qtaml.cli import device_sweep
from qtaml.device import PRESETS, preset_record


def test_p_falls_with_thickness_and_rises_with_time():
    """Both sweeps are monotone, pass through the preset's own p, and spread makes the edge softer."""
    record = preset_record("fg_dt_3p0")
    result = device_sweep.compute(record, points=41)
    falling, rising = [row.p for row in result.over_thickness], [row.p for row in result.over_time]
    assert falling == sorted(falling, reverse=True)
    assert rising == sorted(rising)
    p = record.cell.flip_probability(record.window)
    assert result.over_thickness[20].p == pytest.approx(p)
    assert result.over_time[20].p == pytest.approx(p)
    edge = [row for row in result.over_time if 1e-6 < row.p < 0.5]
    bare = [row for row in result.over_time if 1e-6 < row.p_without_spread < 0.5]
    assert len(edge) > 3 * len(bare)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PRESETS if not name.startswith("gaincell_3t")])
def test_every_preset_with_one_barrier_can_be_drawn(name, tmp_path):
    """Also one whose p is too small to show."""
    result = device_sweep.compute(preset_record(name), points=5)
    figure = device_sweep.draw(result)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    assert showing.save_figure(figure, tmp_path / "sweep.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"thickness": (2.0, 1.0)}, "thickness must be a range from a smaller to a larger value, got 2 to 1"),
        ({"window": (0.0, 1.0)}, r"window must be above 0, got 0\.0"),
        ({"points": 1}, "points must be a whole number of at least 2, got 1"),
    ],
)
def test_bad_ranges_are_refused(arguments, message):
    """Each names the argument, its value and what is allowed."""
    with pytest.raises(qtaml.ArgumentError, match=message):
        device_sweep.compute(preset_record("fg_dt_3p0"), **arguments)
