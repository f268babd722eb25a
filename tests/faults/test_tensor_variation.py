"""Tensors whose error rates differ."""

import numpy as np
import pytest
import torch

from qtaml.faults import PerBit, TensorVariation
from qtaml.faults.lognormal import lognormal_rates
from qtaml.formats import transition_matrix
from qtaml.protections import Ideal, Raw


@pytest.mark.parametrize("protections", [(Raw(),) * 5, (Raw(), Ideal(), Raw(), Raw(), Ideal())])
def test_the_law_is_the_mean_over_the_rates(protections):
    """The transition matrix is the mean of those of independent bits, one for each rate."""
    rates = lognormal_rates(0.1, 0.7, 64, 0.5)
    each = [transition_matrix(PerBit((rate,) * 5).behind(protections).law(5)) for rate in rates]
    law = TensorVariation(0.1, 0.7).behind(protections).law(5)
    assert transition_matrix(law) == pytest.approx(np.mean(each, axis=0), abs=1e-15)


@pytest.mark.parametrize("bits", [1, 2, 8, 10])
def test_each_bit_alone_is_wrong_as_often_as_p_says(bits):
    """The mean over the rates is p, exactly."""
    rates = TensorVariation(0.1, 1.0).rates(bits)
    assert rates.p01 == pytest.approx((0.1,) * bits, rel=1e-12)
    assert rates.p10 == pytest.approx((0.1,) * bits, rel=1e-12)


def test_bits_of_a_word_fail_together():
    """Two bits are both wrong with the mean square of the rate, which is more than the square of its mean."""
    rates = np.array(lognormal_rates(0.1, 0.7, 64, 0.5))
    both = TensorVariation(0.1, 0.7).law(2).groups[0][0, 3]
    assert both == pytest.approx((rates**2).mean())
    assert both > 0.012


def test_rates_differ_between_tensors_as_the_law_says():
    """Mean and spread of the share of wrong bits over 1000 tensors; five standard errors each."""
    rates = np.array(lognormal_rates(0.1, 0.5, 64, 0.5))
    words = torch.zeros(1000, dtype=torch.uint8)
    seen = TensorVariation(0.1, 0.5, chip=0).behind((Raw(),) * 8)
    shares = [np.unpackbits(seen.corrupt(words, seed=0, place=str(i)).numpy()).mean() for i in range(1000)]
    assert np.mean(shares) == pytest.approx(0.1, abs=5 * rates.std() / 1000**0.5)
    # The kurtosis of the rates is below 9, that of a Gaussian 3: relative standard error of the spread below 0.045.
    assert np.std(shares) == pytest.approx(rates.std(), rel=0.23)


def test_rates_stay_below_one_half():
    """Also where nearly all is clipped."""
    words = torch.zeros(10, dtype=torch.uint8)
    extreme = TensorVariation(0.49, 100.0)
    assert extreme.rates(8).p01 == pytest.approx((0.49,) * 8)
    assert extreme.corrupt(words, seed=0).shape == (10,)
