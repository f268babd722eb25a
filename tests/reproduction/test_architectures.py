"""The networks and their budgets, at a small size."""

import math

import pytest

from reproduction import architectures
from tests.tables import shown

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.mark.long
def test_table5_of_one_network(laboratory):
    """TAC needs less than mixed k, that not more than whole k; factors are their quotients."""
    (row,) = architectures.table5(laboratory, networks=("SmallCNN",), resolution=1.2)
    tac, mixed, whole = (one.value for one in (row.tac, row.uniform_mixed, row.uniform_whole))
    assert tac < mixed <= whole
    assert row.factor_whole.value == pytest.approx(whole / tac)
    assert row.factor_mixed.value == pytest.approx(mixed / tac)
    assert 0 < row.saturation_ratio.value < 1
    assert whole in (0.125, 0.25, 0.375, 0.5)
    assert row.target == pytest.approx(0.95 * row.clean)
    assert f"{100 * row.target:.1f}" in shown(architectures.show_budgets([row]))


@pytest.mark.slow
def test_figure5_shows_curves_and_factors(laboratory):
    """A panel for each network and two of the factors."""
    rows = architectures.figure5(laboratory, networks=("SmallCNN",), overheads=(0.01, 0.25), resolution=1.2)
    assert [type(row).__name__ for row in rows] == ["CurveRow"] * 4 + ["BudgetRow"]
    figure = architectures.draw(rows)
    assert len(figure.axes) == 3
    assert "SmallCNN" in figure.get_supxlabel()


def test_networks_are_described(laboratory):
    """SmallCNN has 38,160 weights in 4 tensors, none of them in a residual branch."""
    (row,) = architectures.table4(laboratory, networks=("SmallCNN",))
    assert (row.weights, row.tensors, row.residual_tensors) == (38160, 4, 0)
    assert row.structure == "2 convolution, 2 linear, 2 BatchNorm"
    assert row.parameters > row.weights
    assert row.clean.value > 0.98
    assert math.isclose(row.clean.low, row.clean.value)
