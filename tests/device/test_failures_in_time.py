"""Failures in time against enumeration and simulation; the statement as CSV."""

import csv
import io

import numpy as np
import pytest
import scipy

from qtaml.device import (
    Electrode,
    Phase,
    TunnelJunction,
    TwoWayCell,
    insulator,
    preset,
    read_profile,
    reliability,
)
from qtaml.errors import ArgumentError, StoredFileError
from tests.device.test_retention_fit import measured

__all__ = ["measured"]

CELL = preset("gaincell_3t_16nm")
MISSION = (Phase(300.0, 9000.0), Phase(340.0, 1000.0))


def test_each_phase_by_hand():
    """P of a bit, 1 - (1 - p)^R, the binomial tail, and how many writes 1e9 hours hold."""
    found = reliability(CELL, MISSION, window=1e-3, bits=1000, tolerated=0.02, refreshes=4)
    for one, phase in zip(found.phases, MISSION, strict=True):
        p = CELL.flip_probability(1e-3, phase.temperature)
        wrong = 1 - (1 - p) ** 4
        failure = scipy.stats.binom.sf(20, 1000, wrong)
        assert (one.p, one.p_before_writing) == pytest.approx((p, wrong), rel=1e-9)
        assert np.exp(one.log_failure) == pytest.approx(failure, rel=1e-6)
        assert one.fit == pytest.approx(failure * 1e9 * 3600 / 4e-3, rel=1e-6)
    assert found.fit == pytest.approx(0.9 * found.phases[0].fit + 0.1 * found.phases[1].fit)
    worst = scipy.stats.binom.sf(20, 1000, CELL.flip_probability(1e-3, 340.0))
    assert found.chip_failure_probability == pytest.approx(worst, rel=1e-6)


def test_failures_are_those_of_simulated_writes():
    """200,000 writes of 50 bits that are refreshed three times: failures as stated; false alarms once in 10,000."""
    window = CELL.window_for(0.02)
    found = reliability(CELL, [Phase(300.0, 1.0)], window=window, bits=50, tolerated=0.1, refreshes=3)
    generator = np.random.default_rng(0)
    wrong = np.zeros(200_000, dtype=int)
    for _ in range(3):
        wrong += generator.binomial(50 - wrong, 0.02)
    share = (wrong > 5).mean()
    expected = float(np.exp(found.phases[0].log_failure))
    assert abs(share - expected) < 3.9 * np.sqrt(expected / wrong.size)
    assert found.failure_probability == pytest.approx(1.0)


def test_hopeless_and_safe_memories_keep_their_digits():
    """Far tails do not underflow in the logarithm; a memory that always fails, fails once for each write."""
    safe = reliability(CELL, [Phase(300.0, 1e5)], window=1e-6, bits=10_000_000, tolerated=0.01)
    assert -1e7 < safe.phases[0].log_failure < -1e5
    assert safe.fit == 0.0
    hopeless = reliability(CELL, [Phase(300.0, 1.0)], window=100.0, bits=1000, tolerated=0.01)
    assert hopeless.fit == pytest.approx(1e9 * 3600 / 100.0)


@pytest.mark.slow
def test_the_upper_end_of_a_measured_cell_fails_more(measured):
    """A confidence takes the band; extrapolations are among the assumptions."""
    statements = [
        reliability(measured, MISSION, window=1e-4, bits=100, tolerated=0.2, confidence=one) for one in (None, 0.9)
    ]
    assert statements[1].fit > statements[0].fit
    assert statements[1].phases[1].p == pytest.approx(measured.band(1e-4, 340.0, 0.9)[1])
    cold = reliability(measured, [Phase(250.0, 1.0)], window=1e-4, bits=100, tolerated=0.2)
    assert any("temperature of 250 K is an extrapolation" in one for one in cold.assumptions)


def test_the_state_that_is_lost_more_often_counts():
    """A cell that gains electrons more often than it loses them."""
    between = TunnelJunction(Electrode(4.7), Electrode(4.3), insulator("sio2"), 2.0)
    shift = between.neutral_level
    cell = TwoWayCell(between, 201, 100, 1e13, charged=0.3 + shift, empty=-0.3 + shift, thickness_spread=0.05)
    window = 3e-4
    p01, p10 = cell.rates(window)
    assert p01 > p10
    (one,) = reliability(cell, [Phase(300.0, 1.0)], window=window, bits=10, tolerated=0.5).phases
    assert one.p == pytest.approx(p01)


def test_the_statement_is_a_csv(tmp_path):
    """A row for each phase, the mission, and every assumption in words."""
    found = reliability(CELL, MISSION, window=1e-3, bits=1000, tolerated=0.02)
    found.save(tmp_path / "fit.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "fit.csv").read_text())))
    assert rows[0][-1] == "FIT (1/1e9 h)"
    assert float(rows[1][-1]) == pytest.approx(found.phases[0].fit, rel=1e-5)
    assert rows[3][0] == "mission"
    assert len(rows) == 4 + len(found.assumptions)
    assert "independently" in rows[5][1]
    assert "FIT" in str(found)


def test_a_profile_is_a_csv_too(tmp_path):
    """Units from its header."""
    path = tmp_path / "mission.csv"
    path.write_text("temperature (C),time (d)\n26.85,1\n")
    (phase,) = read_profile(path)
    assert (phase.temperature, phase.hours) == pytest.approx((300.0, 24.0))
    path.write_text("temperature (C)\n25\n")
    with pytest.raises(StoredFileError, match=r"must have columns `temperature \(C\)` and `time \(h\)`, got no 'time'"):
        read_profile(path)
    path.write_text("temperature (C),time (h)\n25,0\n")
    with pytest.raises(StoredFileError, match=r"mission\.csv: hours must be above 0, got 0\.0"):
        read_profile(path)
    path.write_text("temperature (C),time (h),cells\n25,1,10\n")
    with pytest.raises(StoredFileError, match=r"must have a temperature and a time, got 'cells' beside them"):
        read_profile(path)


def test_tolerated_bits_are_whole():
    """3 of 10,000 are three bits, although 0.0003 x 10,000 is less than 3 in floating point."""
    share, bits = 0.0003, 10_000
    assert share * bits < 3
    (one,) = reliability(CELL, MISSION[:1], window=1e-3, bits=bits, tolerated=share).phases
    assert np.exp(one.log_failure) == pytest.approx(scipy.stats.binom.sf(3, bits, one.p), rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tolerated": 1.5}, r"tolerated must be a probability in \[0, 1\], got 1\.5"),
        ({"refreshes": 0}, r"refreshes must be a whole number of at least 1, got 0"),
        ({"window": -1.0}, r"window must be above 0, got -1\.0"),
        ({"confidence": 0.9}, r"confidence must be left out for a cell that was not measured, got 0\.9"),
        ({"profile": []}, r"profile must be one or more phases, got none"),
    ],
)
def test_wrong_arguments(settings, message):
    """Named with their values."""
    with pytest.raises(ArgumentError, match=message):
        reliability(CELL, **{"profile": MISSION, "window": 1e-3, "bits": 1000, "tolerated": 0.1, **settings})
    with pytest.raises(ArgumentError, match=r"temperature must be above 0, got -40\.0"):
        Phase(-40.0, 1.0)
