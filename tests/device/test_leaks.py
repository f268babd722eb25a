"""Leaks of a storage node: their laws over voltage, temperature and deviates."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtaml.device import (
    Electrode,
    GateInduced,
    GateTunnelling,
    JunctionLeakage,
    Subthreshold,
    TunnelJunction,
    insulator,
    thermal_energy,
)
from qtaml.errors import ArgumentError

SAME = TunnelJunction(Electrode("n+ Si"), Electrode("n+ Si"), insulator("sio2"), 1.8)
SUBTHRESHOLD = Subthreshold(1e-7, 0.45, 0.07, gate=-0.1, threshold_spread=0.05, barrier_lowering=0.1)
LEAKS = (
    SUBTHRESHOLD,
    JunctionLeakage(1e-16, at=0.6, log_spread=0.4),
    GateInduced(1e-15, at=1.0, gate=-0.5, oxide=1.0, log_spread=0.3),
    GateTunnelling(SAME, 1e-15, 2e13, thickness_spread=0.05),
)


@given(voltage=st.floats(0.05, 1.2), temperature=st.floats(250.0, 400.0), deviate=st.floats(-5.0, 5.0))
def test_more_voltage_heat_or_deviate_is_never_less_current(voltage, temperature, deviate):
    """Of every leak."""
    for leak in LEAKS:
        here = leak.log_currents(voltage, temperature, deviate)
        assert leak.log_currents(1.1 * voltage, temperature, deviate) >= here
        assert leak.log_currents(voltage, temperature + 5.0, deviate) >= here
        if leak.spread and np.isfinite(here):
            assert leak.log_currents(voltage, temperature, deviate + 0.1) > here


def test_subthreshold_current_by_hand():
    """10^((gate - V_T + lowering)/swing) (1 - exp(-V/kT)), and its spread ln 10 sigma/swing."""
    kt = thermal_energy(300.0)
    expected = 1e-7 * 10 ** ((-0.1 - 0.45 + 0.06) / 0.07) * (1 - np.exp(-0.6 / kt))
    assert np.exp(SUBTHRESHOLD.log_currents(0.6, 300.0)) == pytest.approx(expected, rel=1e-12)
    hot = SUBTHRESHOLD.log_currents(0.6, 360.0, 1.0) - SUBTHRESHOLD.log_currents(0.6, 360.0)
    assert hot == pytest.approx(np.log(10) * 50 / 84, rel=1e-12)


@pytest.mark.parametrize("leak", [replace(SUBTHRESHOLD, halving=26.0), replace(LEAKS[1], halving=26.0)])
def test_the_exponential_law_doubles_every_current_in_26_kelvin(leak):
    """At every voltage and deviate; 0.0268 is ln 2 / 26 to half a per cent."""
    for deviate in (-3.0, 0.0, 2.0):
        gain = leak.log_currents(0.4, 326.0, deviate) - leak.log_currents(0.4, 300.0, deviate)
        assert gain == pytest.approx(np.log(2), rel=1e-12)
    assert np.log(2) / 26 == pytest.approx(0.0268, rel=0.006)


def test_junction_and_gate_induced_leakage_by_hand():
    """Generation over depletion width with half the gap; BSIM4's form with a volt of field over 3 nm."""
    kt = {t: thermal_energy(t) for t in (300.0, 350.0)}
    ratio = np.exp(-0.56 * (1 / kt[350.0] - 1 / kt[300.0])) * np.sqrt(1.0 / 1.3)
    ratio *= -np.expm1(-0.3 / (2 * kt[350.0])) / -np.expm1(-0.6 / (2 * kt[300.0]))
    assert np.exp(LEAKS[1].log_currents(0.3, 350.0)) == pytest.approx(1e-16 * ratio, rel=1e-12)

    def bsim4(volts):
        field = (volts + 0.5 - 0.8) / 3.0
        return field * np.exp(-2.3 / field) * volts**3 / (0.5 + volts**3)

    assert np.exp(LEAKS[2].log_currents(0.7, 300.0)) == pytest.approx(1e-15 * bsim4(0.7) / bsim4(1.0), rel=1e-12)
    assert LEAKS[2].log_currents(0.3, 300.0) == -np.inf


def test_gate_tunnelling_is_all_electrons_trying():
    """I = C V nu T, in the direction of the stored charge."""
    rate = SAME.log_rates(0.5, 300.0, 2e13)[0]
    assert LEAKS[3].log_currents(0.5, 300.0) == pytest.approx(np.log(1e-15 * 0.5) + rate, rel=1e-12)
    between = TunnelJunction(Electrode("n+ Si"), Electrode("Pt"), insulator("sio2"), 1.8)
    entering, leaving = (GateTunnelling(between, 1e-15, 2e13, positive=one) for one in (True, False))
    assert entering.log_currents(0.5, 300.0) == pytest.approx(
        np.log(5e-16) + between.log_rates(-0.5, 300.0, 2e13)[1], rel=1e-12
    )
    assert leaving.log_currents(0.5, 300.0) != pytest.approx(entering.log_currents(0.5, 300.0), rel=1e-3)


@pytest.mark.parametrize("leak", LEAKS)
def test_a_larger_cell_leaks_more_with_less_spread(leak):
    """By the area, and its square root."""
    larger = leak.enlarged(4.0)
    assert larger.log_currents(0.8, 300.0) == pytest.approx(leak.log_currents(0.8, 300.0) + np.log(4), rel=1e-12)
    assert larger.spread == pytest.approx(leak.spread / 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Subthreshold(1e-7, 0.45, 0.05), r"swing must be at least 0\.0595"),
        (lambda: replace(SUBTHRESHOLD, halving=0.0), r"halving must be above 0, got 0\.0"),
        (lambda: JunctionLeakage(-1e-16, at=0.6), r"current must be above 0, got -1e-16"),
        (lambda: GateInduced(1e-15, at=0.3, gate=0.0, oxide=1.0), r"at must be at least 0\.8, got 0\.3"),
        (lambda: GateTunnelling(SAME, 0.0, 2e13), r"capacitance must be above 0, got 0\.0"),
    ],
)
def test_wrong_arguments(make, message):
    """Named with their values."""
    with pytest.raises(ArgumentError, match=message):
        make()
