"""Barriers of any shape against closed forms."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from qtaml.device import Profile, Rectangular
from qtaml.device.barriers import TWICE_DECAY_CONSTANT
from qtaml.device.quadrature import profile_integral
from qtaml.errors import ArgumentError


@pytest.mark.parametrize("energy", [0.0, 0.5, 2.9])
def test_parabola(energy):
    """The turning points' square roots, which spoil plain quadrature, are integrated to 12 digits."""
    # V = V0 - k (x - d/2)^2 has the action (2 sqrt(2 m)/hbar) (pi/2) (V0 - E)/sqrt(k).
    barrier = Profile(lambda x: 3.0 - 0.75 * (x - 2.0) ** 2, thickness=4.0, mass=0.5)
    exact = TWICE_DECAY_CONSTANT * np.sqrt(0.5) * np.pi / 2 * (3.0 - energy) / np.sqrt(0.75)
    assert barrier.action(energy) == pytest.approx(exact, rel=1e-12)
    assert float(barrier.action_slopes(energy)) == pytest.approx(exact / (3.0 - energy), rel=1e-10)


@pytest.mark.parametrize("field", [0.0, 0.5, 1.5])
def test_tilted_barrier(field):
    """A profile that is a trapezoid has its closed form: action, slope, and both up to a share of the depth."""
    profile = Profile(lambda x: 3.15 - field * x, thickness=3.0, mass=0.42)
    closed = Rectangular(3.15, 3.0, 0.42, field=field)
    assert profile.action(0.3) == pytest.approx(closed.action(0.3), rel=1e-12)
    assert float(profile.action_slopes(0.3)) == pytest.approx(float(closed.action_slopes(0.3)), rel=1e-10)
    assert float(profile.actions(0.3, share=0.4)) == pytest.approx(float(closed.actions(0.3, share=0.4)), rel=1e-12)


def test_two_barriers_with_a_well_between_add_up():
    """The well between the turning points adds nothing, and no turning point is missed."""
    profile = Profile(lambda x: 1.0 - 2.0 * np.sin(np.pi * x / 6.0) ** 4, thickness=6.0, mass=1.0)
    grid = np.linspace(0.0, 6.0, 2_000_001)
    brute = TWICE_DECAY_CONSTANT * trapezoid(np.sqrt(np.maximum(profile.potential(grid), 0.0)), grid)
    assert profile.action() == pytest.approx(brute, rel=1e-6)


def test_mass_may_depend_on_the_position():
    """A jump of the mass at a breakpoint costs no digits, and moves along when the barrier is thickened."""
    profile = Profile(lambda x: np.full_like(x, 2.0), 3.0, lambda x: np.where(x < 1.0, 0.4, 0.2), breakpoints=(1.0,))
    exact = TWICE_DECAY_CONSTANT * np.sqrt(2.0) * (np.sqrt(0.4) + 2 * np.sqrt(0.2))
    assert profile.action() == pytest.approx(exact, rel=1e-12)
    assert profile.thickened(3.0).action() == pytest.approx(2 * exact, rel=1e-12)


def test_thickening_stretches_the_shape():
    """The potential is one of relative depth, so the action grows with the thickness; thinned to nothing it is 0."""
    profile = Profile(lambda x: 3.0 * x * (2.0 - x), thickness=2.0, mass=0.5)
    assert profile.thickened(1.0).action() == pytest.approx(1.5 * profile.action(), rel=1e-12)
    assert profile.actions(extra=np.array([-3.0, 1.0])) == pytest.approx([0.0, 1.5 * profile.action()], rel=1e-12)


def test_an_electron_above_the_barrier_feels_none():
    """A profile knows no height of its own, so a high energy is no error but an action of 0."""
    assert Profile(lambda x: 3.0 * x * (2.0 - x), thickness=2.0, mass=0.5).action(5.0) == 0.0


def test_no_thickness_no_integral():
    """An empty range is 0, where the substitution would divide by its length."""
    assert profile_integral(np.ones_like, np.ones_like, 0.0) == 0.0


def test_impossible_profiles_are_refused():
    """The message names the argument, its value and what is allowed."""
    with pytest.raises(ArgumentError, match="thickness must be above 0, got 0"):
        Profile(np.ones_like, 0.0, 0.5)
    with pytest.raises(ArgumentError, match=r"mass must be above 0, got -0\.5"):
        Profile(np.ones_like, 1.0, -0.5)
