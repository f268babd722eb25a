"""Rectangular barriers against theory.md 2.1, 2.2 and against quadrature."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.constants import e, hbar, m_e
from scipy.integrate import quad

from qtaml.device import Rectangular, fowler_nordheim_slope, linear_action, linear_action_slope
from qtaml.errors import ArgumentError

heights = st.floats(0.5, 6.0)
thicknesses = st.floats(0.3, 12.0)
masses = st.floats(0.05, 1.0)
fields = st.floats(0.0, 3.0)


def action_by_quadrature(height, thickness, mass, field, energy=0.0):
    """-ln T from its definition, the integral in nm and sqrt(eV)."""
    end = min(thickness, (height - energy) / field) if field > 0 else thickness
    value, _ = quad(lambda x: np.sqrt(max(height - energy - field * x, 0.0)), 0, end, limit=200, epsrel=1e-12)
    return 2 * np.sqrt(2 * mass * m_e * e) / hbar * value * 1e-9


def test_decay_constant_of_a_free_electron_at_1_ev(check_printed):
    """The constant from which all actions are made: 2 sqrt(2 m0 eV)/hbar in 1/nm, to seven digits."""
    check_printed(Rectangular(1.0, 1.0, 1.0).action(), "10.24633")


def test_rectangle_is_the_papers_wkb_formula():
    """Without a field the action is 2 kappa d, so that the paper's p_flip follows from it."""
    kappa = np.sqrt(2 * 0.42 * m_e * 3.15 * e) / hbar
    assert Rectangular(3.15, 1.8, 0.42).action() == pytest.approx(2 * kappa * 1.8e-9, rel=1e-14)


@pytest.mark.parametrize(
    ("height", "thickness", "mass", "field", "energy"),
    [
        (3.15, 1.8, 0.42, 0.0, 0.0),
        (3.15, 2.0, 0.42, 0.7, 0.0),
        (3.15, 7.0, 0.42, 1.0, 0.0),
        (2.8, 4.0, 0.23, 0.7, 0.4),
        (1.5, 3.0, 0.17, 0.5, 0.1),
    ],
)
def test_one_formula_covers_rectangle_trapezoid_and_triangle(height, thickness, mass, field, energy):
    """The closed form equals the integral on both sides of the field at which a trapezoid becomes a triangle."""
    closed = Rectangular(height, thickness, mass, field=field).action(energy)
    assert closed == pytest.approx(action_by_quadrature(height, thickness, mass, field, energy), rel=1e-9)


@given(heights, thicknesses, masses, st.floats(0.01, 3.0))
def test_textbook_form_of_the_trapezoid(height, thickness, mass, field):
    """The form without differences equals the textbook's difference of powers 3/2, triangles included."""
    after = max(height - field * thickness, 0.0)
    textbook = 4 * np.sqrt(2 * mass * m_e * e) / (3 * hbar * field) * (height**1.5 - after**1.5) * 1e-9
    assert Rectangular(height, thickness, mass, field=field).action() == pytest.approx(textbook, rel=1e-9, abs=1e-9)


def test_no_cancellation_at_a_vanishing_field():
    """A field of 1e-13 V/nm gives the rectangle to 12 digits, where the textbook form divides 0 by 0."""
    flat = Rectangular(3.15, 2.0, 0.42).action()
    assert Rectangular(3.15, 2.0, 0.42, field=1e-13).action() == pytest.approx(flat, rel=1e-12)


@pytest.mark.parametrize(
    ("mass", "height", "slope"), [(0.42, 3.1, "241.6"), (0.42, 3.2, "253.4"), (0.5, 3.15, "270.0")]
)
def test_fowler_nordheim_slope(mass, height, slope, check_printed):
    """The published slopes in MV/cm, which are the action of a triangle times its field."""
    check_printed(fowler_nordheim_slope(height, mass), slope)
    triangle = Rectangular(height, 20.0, mass, field=1.0)
    assert triangle.action() == pytest.approx(fowler_nordheim_slope(height, mass) / 10.0, rel=1e-12)


@pytest.mark.parametrize(("thickness", "density"), [(1.2, "52"), (1.5, "1.9"), (2.0, "7e-3")])
def test_gate_leakage_of_silicon_dioxide(thickness, density, check_printed):
    """Current densities in A/cm2 of thin gate oxides at 0.7 V: the orders of magnitude that were measured."""
    barrier = Rectangular(3.15, thickness, 0.42, field=0.7 / thickness)
    check_printed(e * 1e13 * 2e13 * np.exp(-barrier.action()), density)


@given(heights, thicknesses, masses, fields, st.floats(0.01, 2.0))
def test_action_grows_with_thickness_until_the_triangle_is_complete(height, thickness, mass, field, extra):
    """Behind the triangle the electron is free, so more oxide adds nothing: inverses rely on it."""
    barrier = Rectangular(height, thickness, mass, field=field)
    thin, thick = barrier.actions(extra=np.array([0.0, extra]))
    if field * (thickness + extra) < height * (1 - 1e-6):
        assert thick > thin
    else:
        assert thick >= thin * (1 - 1e-14)
    assert barrier.thickened(extra).action() == pytest.approx(thick, rel=1e-13)


@given(heights, thicknesses, masses, fields, st.floats(0.0, 0.4))
def test_slope_is_the_derivative_of_the_action(height, thickness, mass, field, energy):
    """-dS/dE equals a central difference: the thermal factor is made of it."""
    # Where the trapezoid turns into the triangle the derivative has a kink that a difference smears out.
    assume(abs(height - energy - field * thickness) > 0.01)
    barrier, step = Rectangular(height, thickness, mass, field=field), 1e-5
    difference = (barrier.action(energy - step) - barrier.action(energy + step)) / (2 * step)
    assert float(barrier.action_slopes(energy)) == pytest.approx(difference, rel=1e-4)


def test_slope_of_a_rectangle_is_half_the_action_over_the_height():
    """S is proportional to sqrt(V0 - E), whose derivative is known exactly."""
    barrier = Rectangular(3.15, 3.0, 0.42)
    assert float(barrier.action_slopes()) == pytest.approx(barrier.action() / (2 * 3.15), rel=1e-14)


@given(heights, thicknesses, masses, fields, st.floats(0.05, 0.95))
def test_share_cuts_the_barrier(height, thickness, mass, field, share):
    """A trap at a share of the depth sees the barrier up to there and nothing behind it."""
    barrier = Rectangular(height, thickness, mass, field=field)
    cut = Rectangular(height, share * thickness, mass, field=field)
    assert float(barrier.actions(share=share)) == pytest.approx(cut.action(), rel=1e-12)


def test_arrays_broadcast():
    """Energies and added thicknesses span a table, whose entries are those of single barriers; scalars stay floats."""
    barrier = Rectangular(3.15, 2.0, 0.42, field=0.3)
    table = barrier.actions(np.array([[0.0], [0.5]]), np.array([-0.5, 0.0, 0.5]))
    assert table.shape == (2, 3)
    assert table[1, 2] == pytest.approx(barrier.thickened(0.5).action(0.5), rel=1e-14)
    assert isinstance(barrier.action(), float)


def test_no_barrier_has_no_action():
    """Thinned below zero or lifted above its top it lets all through: 0, neither negative nor NaN."""
    assert Rectangular(3.15, 1.0, 0.42).actions(extra=-2.0) == 0.0
    assert linear_action(-1.0, 0.5, 3.0, 0.4) == 0.0
    assert linear_action_slope(0.0, 0.0, 3.0, 0.4) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"height": -3.0}, "height must be above 0, got -3.0"),
        ({"thickness": -1.8}, r"thickness must be above 0, got -1\.8"),
        ({"mass": 0.0}, "mass must be above 0, got 0.0"),
        ({"field": -0.1}, r"field must be at least 0, got -0\.1"),
        ({"thickness": float("nan")}, "thickness must be finite, got nan"),
        ({"mass": "light"}, "mass must be a number, got 'light'"),
    ],
)
def test_impossible_barriers_are_refused(arguments, message):
    """Signs, NaN and other types: the message names the argument, its value and what is allowed."""
    with pytest.raises(ArgumentError, match=message):
        Rectangular(**({"height": 3.15, "thickness": 1.8, "mass": 0.42} | arguments))


def test_energy_above_the_barrier_is_refused():
    """There is no tunnelling above the top; the message says where that is."""
    with pytest.raises(ArgumentError, match=r"energy must be below the barrier height of 3\.15 eV, got 4\.0"):
        Rectangular(3.15, 1.8, 0.42).action(4.0)
