"""Work functions, barrier heights of both sides, and rates in both directions."""

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from qtaml.device import (
    WORK_FUNCTIONS,
    Electrode,
    Rectangular,
    Trapezoid,
    TunnelJunction,
    asymmetry_figure,
    insulator,
    log_asymmetry,
    thermal_energy,
)
from qtaml.errors import ArgumentError

LEVELS = st.floats(-1.0, 1.0)
WORKS = st.floats(4.0, 5.6)


def junction(node=4.7, gate=4.7, thickness=2.0):
    """SiO2 between two electrodes."""
    return TunnelJunction(Electrode(node), Electrode(gate), insulator("sio2"), thickness)


@given(level=LEVELS, node=WORKS, gate=WORKS, temperature=st.floats(200.0, 400.0))
def test_detailed_balance(level, node, gate, temperature):
    """In over out is exp(-level/kT), whatever the electrodes."""
    out, into = junction(node, gate).log_rates(level, temperature, 1e13)
    assert into - out == pytest.approx(-level / thermal_energy(temperature), abs=1e-9)


@given(work=WORKS, level=LEVELS)
def test_equal_electrodes_make_no_difference(work, level):
    """Equal rates at level 0; elsewhere the way out is the way in at the opposite level."""
    same = junction(work, work)
    out, into = same.log_rates(0.0, 300.0, 1e13)
    assert out == into
    assert same.log_rates(level, 300.0, 1e13)[0] == pytest.approx(same.log_rates(-level, 300.0, 1e13)[1], abs=1e-9)
    assert log_asymmetry(same, 0.5, -0.5) == pytest.approx(0.0, abs=1e-9)


def test_exchanged_electrodes_exchange_the_rates():
    """A junction seen from its other side."""
    out, into = junction(4.2, 5.1).log_rates(0.3, 300.0, 1e13)
    assert junction(5.1, 4.2).log_rates(-0.3, 300.0, 1e13)[::-1] == pytest.approx((out, into), abs=1e-12)


def test_detailed_balance_of_all_energies():
    """The flows between two Fermi seas by quadrature over energy have the ratio of the closed form."""
    between, kt, level = junction(4.1, 4.7), thermal_energy(300.0), 0.3
    at_node, at_gate = between.heights
    energy = np.linspace(-1.0, 1.4, 1001)
    ends = zip(level + at_node - energy, at_gate - energy, strict=True)
    through = np.exp([-float(Trapezoid(a, b, 2.0, 0.42).actions()) for a, b in ends])
    node, gate = (scipy.special.expit(-(energy - fermi) / kt) for fermi in (level, 0.0))
    out, into = (scipy.integrate.trapezoid(through * share, energy) for share in (node * (1 - gate), gate * (1 - node)))
    closed = between.log_rates(level, 300.0, 1.0)
    assert np.log(into / out) == pytest.approx(closed[1] - closed[0], abs=1e-9)


def test_heights_and_field_of_a_junction():
    """W - chi at both sides; the field is that of the levels and the work functions together."""
    between = TunnelJunction(Electrode("n+ Si"), Electrode("TiN"), insulator("sio2"), 2.0)
    assert between.heights == pytest.approx((3.15, 3.80))
    assert between.field(between.neutral_level) == 0.0
    barrier = between.barrier(0.9)
    assert (barrier.entry, barrier.exit) == pytest.approx((3.15, 2.90))
    assert between.field(0.9) == pytest.approx((barrier.entry - barrier.exit) / 2.0)
    injected = between.barrier(-0.5)
    assert (injected.entry, injected.exit) == pytest.approx((3.80, 2.65))


def test_a_floating_node_is_what_work_functions_make_asymmetric():
    """Held levels see nearly the same barrier from both sides; charges that are held move their levels."""
    pair = junction(4.7, 5.2)
    assert abs(log_asymmetry(pair, 0.5, -0.5)) < 0.1
    shift = pair.neutral_level
    assert log_asymmetry(pair, 0.5 + shift, -0.4 + shift) < -4


@pytest.mark.parametrize("exit_height", [3.15, 2.0, 0.0, -0.5])
def test_a_trapezoid_is_a_rectangle_under_a_field(exit_height):
    """Also beyond Fowler-Nordheim, in part, and from either side."""
    tilted = Trapezoid(3.15, exit_height, 2.0, 0.42)
    same = Rectangular(3.15, 2.0, 0.42, field=(3.15 - exit_height) / 2)
    assert tilted.actions() == pytest.approx(same.actions(), rel=1e-12)
    assert tilted.action_slopes() == pytest.approx(same.action_slopes(), rel=1e-12)
    assert tilted.actions(share=0.4) == pytest.approx(same.actions(share=0.4), rel=1e-12)
    if exit_height > 0:
        assert Trapezoid(exit_height, 3.15, 2.0, 0.42).actions() == pytest.approx(tilted.actions(), rel=1e-12)
    assert tilted.thickened(0.5).actions() == pytest.approx(tilted.actions(extra=0.5), rel=1e-12)


def test_every_work_function_has_a_source():
    """The table's, and that of a number."""
    assert all(source for _, source in WORK_FUNCTIONS.values())
    assert "Michaelson" in Electrode("W").source
    assert Electrode(4.5).source == "given as a number"


def test_the_ratio_is_drawn_over_the_difference():
    """Two curves: levels held, charges held."""
    (axes,) = asymmetry_figure(junction(), 0.5, -0.5, points=5).axes
    assert len(axes.lines) == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Electrode("TiNx"), r"material must be one of .* \(did you mean 'TiN'"),
        (lambda: Electrode(-1.0), r"material must be above 0, got -1\.0"),
        (lambda: junction(node=0.5), r"node must have a work function above the affinity of sio2, 0\.90 eV, got 0\.5"),
        (lambda: junction(thickness=0.0), r"thickness must be above 0, got 0\.0"),
        (lambda: junction().log_rates(0.1, -5.0, 1.0), r"temperature must be above 0, got -5\.0"),
        (lambda: Trapezoid(0.0, 1.0, 2.0, 0.4), r"entry must be above 0, got 0\.0"),
    ],
)
def test_wrong_arguments(make, message):
    """Named with their values."""
    with pytest.raises(ArgumentError, match=message):
        make()
