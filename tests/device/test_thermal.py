"""Temperature against theory.md 2.2."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from qtaml.device import Rectangular, log_arrhenius, log_thermal_factor, thermal_energy
from qtaml.errors import ArgumentError


@pytest.mark.parametrize(
    ("temperature", "thickness", "factor"),
    [(300, 1.5, "1.08"), (300, 3, "1.17"), (300, 8, "1.63"), (398, 1.5, "1.11"), (398, 3, "1.24"), (398, 8, "2.05")],
)
def test_thermal_factor_of_silicon_dioxide(temperature, thickness, factor, check_printed):
    """How many times as much leaks at 300 K and 398 K as in the cold, at three thicknesses: theory.md 2.2."""
    slope = Rectangular(3.15, thickness, 0.42).action_slopes()
    check_printed(np.exp(log_thermal_factor(slope, temperature)), factor)


def test_factor_is_the_mean_over_an_exponential_energy_distribution():
    """The closed form equals its definition by quadrature."""
    # <T> = integral of exp(-E/kT)/kT * T(0) exp(slope E): the definition behind the closed form.
    slope, kt = 8.0, thermal_energy(300)
    energies = np.linspace(0.0, 60 * kt, 400_001)
    mean = trapezoid(np.exp(-energies / kt) / kt * np.exp(slope * energies), energies)
    assert float(np.exp(log_thermal_factor(slope, 300))) == pytest.approx(mean, rel=1e-6)


def test_cold_cells_have_no_factor():
    """The limit of 0 K is exactly 1, without a division by kT."""
    assert log_thermal_factor(np.array([1.0, 30.0]), 0.0).tolist() == [0.0, 0.0]


def test_arrhenius():
    """exp(-Ea/kT) in logarithms; no activation energy is no factor, at 0 K too."""
    assert log_arrhenius(0.0, 0.0) == 0.0
    assert log_arrhenius(1.1, 300.0) == pytest.approx(-1.1 / 0.0258520, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: thermal_energy(-1.0), "temperature must be at least 0, got -1.0"),
        (
            lambda: log_thermal_factor(40.0, 300.0),
            "temperature must be at most 261 K for so thick a barrier, got 300.0",
        ),
        (lambda: log_arrhenius(0.5, 0.0), "temperature must be above 0 K with an activation energy, got 0.0"),
        (lambda: log_arrhenius(-0.5, 300.0), r"activation_energy must be at least 0, got -0\.5"),
    ],
)
def test_impossible_temperatures_are_refused(call, message):
    """Above kT times slope = 1 the mean diverges: the message says which temperature is allowed."""
    with pytest.raises(ArgumentError, match=message):
        call()
