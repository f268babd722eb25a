"""The grid of devices, against the cells that it is made of."""

from dataclasses import replace

import numpy as np
import pytest

from qtaml.device import ExtrapolationWarning, Rectangular, preset
from qtaml.errors import ArgumentError
from qtaml.exploration import device_points

CELL = preset("gaincell_2t_sion")


class Measured:
    """A device that is known by its flip probability alone."""

    def flip_probability(self, window):
        """1% for each 10 us."""
        return np.asarray(window) * 1e3


def test_each_point_is_the_cell_with_that_barrier_and_temperature():
    """All five axes at once."""
    grid = device_points(
        CELL, [1e-5, 2e-5], thicknesses=[1.7, 1.9], heights=[3.0], voltages=[0.0, 0.3], temperatures=[300.0, 350.0]
    )
    assert len(grid) == 16
    for one in grid:
        barrier = Rectangular(one.height, one.thickness, CELL.barrier.mass, field=one.voltage / one.thickness)
        cell = replace(CELL, barrier=barrier, temperature=one.temperature)
        assert one.p == pytest.approx(cell.flip_probability(one.window), rel=1e-12)


def test_axes_that_are_not_given_are_those_of_the_device():
    """And shown."""
    (one,) = device_points("gaincell_2t_sion", [2e-5])
    assert (one.thickness, one.height, one.voltage, one.temperature) == (1.8, 3.15, None, 300.0)
    assert one.p == CELL.flip_probability(2e-5)


class Warm(Measured):
    """One that says itself what it is at another temperature."""

    def __init__(self, temperature=300.0):
        self.kelvin = temperature

    def flip_probability(self, window):
        """Twice as much for each 26 K."""
        return super().flip_probability(window) * 2 ** ((self.kelvin - 300) / 26)

    def at(self, temperature):
        """At another temperature."""
        return Warm(temperature)


def test_a_device_may_have_a_law_of_its_own_over_temperature():
    """By its method `at`."""
    points = device_points(Warm(), [1e-5], temperatures=[300.0, 326.0])
    assert [(one.temperature, one.p) for one in points] == [(300.0, pytest.approx(0.01)), (326.0, pytest.approx(0.02))]


def test_a_device_that_is_known_by_its_flip_probability_alone():
    """Over windows only."""
    assert [one.p for one in device_points(Measured(), [1e-5, 2e-5])] == pytest.approx([0.01, 0.02])
    with pytest.raises(ArgumentError, match="thicknesses, heights and voltages need a Cell"):
        device_points(Measured(), [1e-5], thicknesses=[2.0])
    with pytest.raises(ArgumentError, match="temperatures need a device that has one"):
        device_points(Measured(), [1e-5], temperatures=[300.0])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"windows": []}, "windows must hold at least one number"),
        ({"windows": [0.0]}, "windows must be above 0, got 0"),
        ({"windows": [1e-6], "temperatures": [-1.0]}, "temperatures must be above 0, got -1"),
        ({"windows": [1e-6], "thicknesses": [float("nan")]}, "thicknesses must be"),
        ({"windows": [1e-6], "voltages": [-0.1]}, "voltages must be at least 0, got -0.1"),
    ],
)
def test_numbers_without_a_meaning_are_refused(asked, told):
    """At the door."""
    with pytest.raises(ArgumentError, match=told):
        device_points(CELL, **asked)


def test_a_stack_has_no_single_height():
    """Its layers have."""
    with pytest.raises(ArgumentError, match="heights need a barrier with one height"):
        device_points("gaincell_hkmg_16nm", [1e-9], heights=[3.0])


def test_what_lies_beyond_the_data_of_a_measured_cell_is_said_once(measured_cell):
    """For the grid, not for each window; and rates are the upper ends of the bands."""
    windows = [1e-8, 1e-7, 2e-4]
    with pytest.warns(ExtrapolationWarning, match="window of 1e-08 s at 300 K is an extrapolation") as told:
        points = device_points(measured_cell, windows)
    assert len(told) == 1
    assert points[-1].p == measured_cell.band(2e-4)[1]
