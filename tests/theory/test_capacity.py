"""Capacities against a numerical maximum and theory.md 5.1; limits on cells and fidelity."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from qtaml.errors import ArgumentError
from qtaml.protections import BlockCode, Repetition, pareto_front
from qtaml.theory.capacity import (
    binary_entropy,
    capacity,
    efficiency,
    least_cells,
    least_distortion,
    shannon_cells,
    uniform_capacity,
    weak_cell_capacity,
)

# theory.md 5.1: p, capacity of the symmetric and of the Z channel.
TABLE = (
    (1e-6, 0.999979, 0.999989),
    (1e-4, 0.998527, 0.999264),
    (1e-3, 0.988592, 0.994302),
    (1e-2, 0.919207, 0.959772),
    (0.05, 0.713603, 0.857125),
    (0.1, 0.531004, 0.762848),
    (0.2, 0.278072, 0.618231),
)


@pytest.mark.parametrize(("p", "symmetric", "one_sided"), TABLE)
def test_theory_table(p, symmetric, one_sided):
    """The printed capacities, whichever of the bits is lost."""
    assert capacity(p, p) == pytest.approx(symmetric, abs=6e-7)
    assert capacity(0.0, p) == pytest.approx(one_sided, abs=6e-7)
    assert capacity(p, 0.0) == pytest.approx(one_sided, abs=6e-7)


@pytest.mark.parametrize(("p01", "p10"), [(0.03, 0.2), (0.4, 0.55), (0.9, 0.7), (0.0, 0.5), (0.2, 0.0)])
def test_capacity_is_the_largest_information(p01, p10):
    """The best share of stored ones, searched; half of them carry less."""

    def information(ones):
        read = (1 - ones) * p01 + ones * (1 - p10)
        return float(binary_entropy(read) - (1 - ones) * binary_entropy(p01) - ones * binary_entropy(p10))

    best = minimize_scalar(lambda ones: -information(ones), bounds=(0, 1), method="bounded", options={"xatol": 1e-10})
    assert capacity(p01, p10) == pytest.approx(-best.fun, abs=1e-11)
    assert uniform_capacity(p01, p10) == pytest.approx(information(0.5), abs=1e-12)
    assert uniform_capacity(p01, p10) <= capacity(p01, p10) + 1e-12


def test_ends():
    """A sound cell carries one bit, one that reads the same whatever is stored none."""
    assert capacity(0.0, 0.0) == 1.0
    assert capacity(1.0, 1.0) == 1.0
    assert capacity(0.5, 0.5) == capacity(0.0, 1.0) == 0.0
    assert shannon_cells(0.5, 0.5) == math.inf
    assert shannon_cells(0.5, 0.5, residual=0.5) == 0.0
    assert least_cells(0.5, 0.5, 0.1) == math.inf
    assert least_cells(0.5, 0.5, 1.0) == 0.0
    assert least_distortion(0.1, 0.1, 0.0) == 1.0


def test_nothing_real_beats_shannon():
    """No protection of the menu takes fewer cells than the limit for what it leaves."""
    for rates in ((0.01, 0.01), (0.05, 0.05), (0.1, 0.1), (0.2, 0.2), (0.0, 0.1), (0.0, 0.3)):
        for protection in pareto_front(*rates):
            assert 0 < efficiency(protection, *rates) <= 1 + 1e-12


def test_block_codes_come_nearest():
    """Block codes reach three quarters of the limit where three copies reach half."""
    assert efficiency(BlockCode(1000, 2480), 0.1, 0.1) > 0.75
    assert efficiency(Repetition(3), 0.1, 0.1) < 0.52


def test_optimum_that_theory_allows():
    """theory.md 6.2 (f), dB in 8 cells; and back."""
    for p, decibel in ((0.1, 25.58), (0.05, 34.37), (0.01, 44.27), (0.005, 45.98)):
        distortion = least_distortion(p, p, 8.0)
        assert -10 * np.log10(distortion) == pytest.approx(decibel, abs=0.006)
        assert least_cells(p, p, distortion) == pytest.approx(8.0)


def test_bad_arguments():
    """A clear error at the door."""
    with pytest.raises(ArgumentError, match="p01 must be a probability"):
        capacity(-0.1, 0.1)
    with pytest.raises(ArgumentError, match=r"residual must be at most 1/2, got 0\.6"):
        shannon_cells(0.1, 0.1, residual=0.6)
    with pytest.raises(ArgumentError, match="distortion must be above 0, got 0"):
        least_cells(0.1, 0.1, 0)


def test_weak_cells_that_the_writer_knows():
    """A map is worth bits wherever some cells are weak and some are not."""
    assert weak_cell_capacity(0.1, known=True) == 0.9
    assert weak_cell_capacity(0.1, known=False) == pytest.approx(capacity(0.05, 0.05))
    for share in np.linspace(0.0, 1.0, 11):
        assert weak_cell_capacity(float(share), known=True) >= weak_cell_capacity(float(share), known=False) - 1e-12
    with pytest.raises(ArgumentError, match="share must"):
        weak_cell_capacity(1.1, known=True)
