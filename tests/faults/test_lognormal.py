"""Lognormal error rates, of cells and of tensors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from qtaml.faults import StaticCells, TensorVariation
from qtaml.faults.lognormal import lognormal_rates


@given(p=st.floats(0, 0.499), sigma=st.floats(0, 1e4), classes=st.integers(1, 256))
def test_the_mean_is_p_and_no_rate_is_above_the_largest(p, sigma, classes):
    """However much is clipped; rates fall from class to class."""
    rates = np.array(lognormal_rates(p, sigma, classes, 0.5))
    assert len(rates) == classes
    assert rates.mean() == pytest.approx(p, rel=1e-12, abs=1e-15)
    assert (np.diff(rates) <= 0).all()
    assert rates[0] <= 0.5
    assert rates[-1] >= 0


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_many_classes_are_the_clipped_lognormal_law(sigma):
    """Mean square of 100,000 classes against quadrature over the normal law, with its own factor for the mean."""

    def moment(log_factor, power):
        def density(z):
            return min(0.1 * np.exp(sigma * z + log_factor), 0.5) ** power * stats.norm.pdf(z)

        kink = (np.log(5) - log_factor) / sigma
        return sum(integrate.quad(density, low, high)[0] for low, high in ((-12, kink), (kink, 12)))

    log_factor = optimize.brentq(lambda log: moment(log, 1) - 0.1, -5, 5)
    rates = np.array(lognormal_rates(0.1, sigma, 100_000, 0.5))
    assert (rates**2).mean() == pytest.approx(moment(log_factor, 2), rel=1e-4)


def test_without_spread_all_rates_are_p():
    """A standard deviation of 0 is the uniform model."""
    assert StaticCells.lognormal(0.1, sigma=0.0, classes=4).p01 == pytest.approx((0.1,) * 4)
    law = TensorVariation(0.1, sigma=0.0).law(bits=1).groups[0]
    assert law == pytest.approx(np.array([[0.9, 0.1], [0.1, 0.9]]))


def test_the_classes_of_cells_are_lognormal():
    """Between two classes the rates differ by sigma times the distance of their normal quantiles, up to 0.5."""
    rates = np.array(StaticCells.lognormal(0.1, sigma=1.0, classes=64).p10)
    z = stats.norm.ppf((np.arange(64)[::-1] + 0.5) / 64)
    free = rates < 0.5
    assert 0 < (~free).sum() < 10
    assert np.diff(np.log(rates[free])) == pytest.approx(np.diff(z[free]))
