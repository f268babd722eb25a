"""Attempt frequencies, prefactor, electrons against theory.md 2.1 to 2.3."""

import pytest

from qtaml.device import (
    default_threshold,
    dot_frequency,
    mass_mismatch_prefactor,
    stored_electrons,
    triangular_well_frequency,
    two_band_mass,
)
from qtaml.errors import ArgumentError


@pytest.mark.parametrize(("field", "hertz"), [(0.03, "1.7e13"), (0.05, "2.3e13"), (0.1, "3.7e13"), (0.2, "5.9e13")])
def test_triangular_well(field, hertz, check_printed):
    """Attempt frequencies at four surface fields: what theory.md 2.2 says of inversion layers."""
    check_printed(triangular_well_frequency(field), hertz)


@pytest.mark.parametrize(("width", "hertz"), [(5.0, "2.8e13"), (8.0, "1.1e13")])
def test_dot(width, hertz, check_printed):
    """By hbar pi/(2 m L^2) of the ground state dots of 5 to 8 nm attempt about as often as a triangular well."""
    check_printed(dot_frequency(width), hertz)


def test_prefactor(check_printed):
    """0.74 for silicon dioxide on silicon: small beside the exponent of WKB, and never above 4."""
    check_printed(mass_mismatch_prefactor(3.15, 0.42, 0.1), "0.74")
    # Matched velocities reflect least: the factor is 4 whatever the common ratio.
    assert mass_mismatch_prefactor(0.42, 0.42, 0.26) == pytest.approx(4.0, rel=1e-14)


def test_two_band_mass(check_printed):
    """Franz's dispersion lightens the 0.42 of silicon dioxide to 0.273."""
    check_printed(two_band_mass(0.42, 3.15, 9.0), "0.273")


def test_electrons_of_storage_nodes():
    """C V/e: tens of thousands of electrons in DRAM, thousands in gain cells, which makes p a knife edge."""
    assert stored_electrons(10e-15, 0.5) == pytest.approx(3e4, rel=0.05)  # DRAM, 10 fF
    assert stored_electrons(0.3e-15, 0.5) == pytest.approx(1e3, rel=0.1)  # gain cells, 0.3 to 1 fF
    assert stored_electrons(1e-15, 0.5) == pytest.approx(3e3, rel=0.05)


@pytest.mark.parametrize(
    ("electrons", "share", "threshold"), [(3000, 0.5, 1500), (5, 0.5, 2), (1, 0.5, 0), (60, 0.3, 18), (7, 1.0, 6)]
)
def test_threshold_is_a_share_of_the_electrons(electrons, share, threshold):
    """Rounded down, and below the number of electrons, so that a bit can be lost."""
    assert default_threshold(electrons, share) == threshold


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stored_electrons(-1e-15, 0.5), "capacitance must be above 0, got -1e-15"),
        (lambda: default_threshold(0), "electrons must be a whole number of at least 1, got 0"),
        (lambda: default_threshold(10, 1.5), r"share must be a probability in \[0, 1\], got 1\.5"),
        (lambda: triangular_well_frequency(0.0), "surface_field must be above 0, got 0.0"),
        (lambda: dot_frequency(-5.0), r"width must be above 0, got -5\.0"),
        (lambda: mass_mismatch_prefactor(3.15, 0.42, 0.0), "energy must be above 0, got 0.0"),
        (lambda: two_band_mass(0.42, 3.15, -9.0), r"gap must be above 0, got -9\.0"),
    ],
)
def test_impossible_wells_are_refused(call, message):
    """The message names the argument, its value and what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        call()
