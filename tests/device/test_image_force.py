"""Image force against its series and theory.md 2.2."""

import numpy as np
import pytest
from scipy.constants import e, epsilon_0

from qtaml.device import ImageForce, Rectangular, simmons_potential
from qtaml.errors import ArgumentError


def image_series(x, thickness, permittivity, terms=200_000):
    """The sum over reflections as it is printed, in eV."""
    n = np.arange(1, terms + 1)
    total = 1 / (2 * x) + np.sum(n * thickness / ((n * thickness) ** 2 - x**2) - 1 / (n * thickness))
    return -e / (8 * np.pi * epsilon_0 * permittivity) * 1e9 * total


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.77, 0.99])
def test_closed_form_equals_the_sum_over_reflections(share):
    """The digamma form is the slowly converging series, near the electrodes as in the middle."""
    position = np.array(share * 1.5)
    assert ImageForce().potential(position, 1.5) == pytest.approx(image_series(position, 1.5, 2.13), rel=1e-8)


@pytest.mark.parametrize(("thickness", "gain"), [(1.0, "20"), (1.5, "26"), (2.0, "31"), (3.0, "40"), (5.0, "55")])
def test_gain_in_transmission_of_silicon_dioxide_between_metals(thickness, gain, check_printed):
    """Rounded tops let 20 to 55 times as much through: the factors of theory.md 2.2."""
    plain = Rectangular(3.15, thickness, 0.42)
    rounded = Rectangular(3.15, thickness, 0.42, image_force=ImageForce())
    check_printed(np.exp(plain.action() - rounded.action()), gain)


def test_potential_is_symmetric_and_proportional_to_the_reflection():
    """Two equal electrodes have no preferred side; a semiconductor reflects a share of what a metal does."""
    x = np.linspace(0.1, 1.9, 7)
    metal, silicon = ImageForce().potential(x, 2.0), ImageForce(reflection=0.5).potential(x, 2.0)
    assert metal == pytest.approx(metal[::-1], rel=1e-12)
    assert silicon == pytest.approx(0.5 * metal, rel=1e-14)


def test_usual_approximation_is_within_a_fifth():
    """Simmons's formula, for whoever compares with papers that have it, is that far off at most."""
    x = np.linspace(0.05, 1.95, 39)
    assert simmons_potential(x, 2.0) == pytest.approx(ImageForce().potential(x, 2.0), rel=0.2)


def test_slope_and_thickness_work_with_image_charges():
    """What has no closed form here still is a derivative, and a thicker barrier made anew."""
    barrier = Rectangular(3.15, 2.0, 0.42, field=0.3, image_force=ImageForce())
    difference = (barrier.action(-1e-5) - barrier.action(1e-5)) / 2e-5
    assert float(barrier.action_slopes()) == pytest.approx(difference, rel=1e-6)
    assert barrier.thickened(0.4).action() == pytest.approx(float(barrier.actions(extra=0.4)), rel=1e-12)


def test_impossible_image_forces_are_refused():
    """The message names the argument, its value and what is allowed."""
    with pytest.raises(ArgumentError, match="permittivity must be above 0, got -1"):
        ImageForce(permittivity=-1)
    with pytest.raises(ArgumentError, match=r"reflection must be in \[0, 1\], got 1\.5"):
        ImageForce(reflection=1.5)
