"""Presets against the table of theory.md 2.5."""

from dataclasses import replace

import numpy as np
import pytest

from qtaml.device import PRESETS, preset, preset_record
from qtaml.errors import ArgumentError

DAY = 86400.0
YEAR = 365.25 * DAY

IDEAL_TIMES = [  # name, unit in s, times at p = 1e-6, 0.05, 0.1 without spread
    ("sion_hp_gate", 1e-9, ("33", "41", "42")),
    ("gaincell_2t_sion", 1e-6, ("46", "49", "50")),
    ("gaincell_hkmg_16nm", 1e-6, ("2.1", "2.4", "2.4")),
    ("fg_dt_2p5", 1.0, ("0.23", "0.32", "0.34")),
    ("fg_dt_3p0", 1.0, ("80", "114", "118")),
    ("al2o3_4p0", 1.0, ("6.8", "9.6", "10.0")),
    ("hbn_fg_15L", DAY, ("23", "39", "41")),
]

SPREAD_TIMES = [  # name, unit in s, times at p = 1e-3, 0.05, 0.1 with a spread of 0.05 nm
    ("sion_hp_gate", 1e-9, ("7.3", "17.0", "21.1")),
    ("gaincell_2t_sion", 1e-6, ("8.4", "19.7", "24.4")),
    ("gaincell_hkmg_16nm", 1e-6, ("0.41", "0.96", "1.19")),
    ("fg_dt_2p5", 1.0, ("0.06", "0.14", "0.18")),
    ("fg_dt_3p0", 1.0, ("21", "51", "63")),
    ("al2o3_4p0", 1.0, ("3.1", "5.7", "6.6")),
    ("hbn_fg_15L", DAY, ("11", "23", "27")),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_what_sets_p_its_source_and_a_caution(name):
    """And prints them."""
    record = preset_record(name)
    assert record.source
    assert record.caution
    assert record.cell.leakage(record.window).dominant in str(record)


def test_contract_of_the_first_line():
    """A Python float of the paper's symmetric p, in its usual range."""
    p = preset("gaincell_2t_sion").flip_probability(window=20e-6)
    assert type(p) is float
    assert p == pytest.approx(0.0529, abs=1e-4)


@pytest.mark.parametrize(("name", "unit", "printed"), IDEAL_TIMES)
def test_times_without_spread(name, unit, printed, check_printed):
    """Thermal factor included."""
    times = replace(preset(name), thickness_spread=0.0).window_for(np.array([1e-6, 0.05, 0.1]))
    for time, text in zip(times, printed, strict=True):
        check_printed(time / unit, text)


@pytest.mark.parametrize(("name", "unit", "printed"), SPREAD_TIMES)
def test_times_with_spread(name, unit, printed, check_printed):
    """Averaged over the spread, which every one of these presets has."""
    assert preset(name).thickness_spread == 0.05
    times = preset(name).window_for(np.array([1e-3, 0.05, 0.1]))
    for time, text in zip(times, printed, strict=True):
        check_printed(time / unit, text)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaincell_2t_sion", "gaincell_hkmg_16nm"])
def test_gauss_hermite_sums_of_many_electrons_are_a_staircase(name):
    """81 nodes put p of a near step 5% off or more; over 60 to 140 nodes the sums average to the graded panels."""
    cell = preset(name)
    ideal = replace(cell, thickness_spread=0.0)
    window = cell.window_for(0.1)

    def gauss_hermite(nodes):
        deviates, weights = np.polynomial.hermite_e.hermegauss(nodes)
        return np.exp(ideal.log_flip_probabilities(window, 0.05 * deviates)) @ weights / weights.sum()

    assert abs(gauss_hermite(81) - 0.1) > 0.005
    assert np.mean([gauss_hermite(n) for n in range(60, 140)]) == pytest.approx(0.1, abs=5e-4)


def test_few_electron_cell(check_printed):
    """Its number in the table leaves the thermal factor out."""
    check_printed(replace(preset("few_electron_dt"), temperature=0.0).flip_probability(64e-3), "0.047")


@pytest.mark.slow
def test_direct_tunnelling_through_nand_oxide_is_irrelevant(check_printed):
    """1.4e14 years to p = 1e-6; one trap in some cells is what loses data."""
    check_printed(preset("nand_fg_7nm").window_for(1e-6) / YEAR, "1.4e14")
    assert preset("nand_fg_7nm_trap").window_for(0.1) < YEAR


def test_nanocrystal_warning():
    """About 3 us by this formula, against real devices that hold charge for long: the preset says so."""
    record = preset_record("nanocrystal_1p6")
    assert record.cell.window_for(0.5) == pytest.approx(3e-6, rel=0.25)
    assert "wrong by many decades" in record.caution


def test_every_preset_is_complete():
    """Key, description and source; its window has a p of interest, but for the cell that never fails."""
    for name, record in PRESETS.items():
        assert record.name == name
        assert record.technology
        assert record.source
        assert 0.01 < record.cell.flip_probability(record.window) < 0.2 or record.name == "nand_fg_7nm"


@pytest.mark.parametrize(
    ("name", "hint"), [("gaincell", "gaincell_2t_sion"), ("fg_dt", "fg_dt_2p5"), ("nand", "nand_fg")]
)
def test_unknown_preset_suggests_near_names(name, hint):
    """And lists all."""
    with pytest.raises(ArgumentError, match=rf"preset must be one of 'sion_hp_gate', .*, got '{name}'.*") as caught:
        preset(name)
    assert hint in str(caught.value)
