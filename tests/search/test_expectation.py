"""What plans are expected to do, of large networks as of small ones."""

import pytest
import torch
from torch import nn

from qtaml.faults import Uniform
from qtaml.formats import Format, RootMeanSquare, Section, TableLevels, TensorFormat, TrellisLevels
from qtaml.search.expectation import Expectations
from qtaml.sensitivity import Calibration

TABLE = Format(TableLevels((-1.5, -0.5, 0.5, 1.5)))


@pytest.mark.parametrize("granularity", ["tensor", "row"])
@pytest.mark.parametrize("outliers", [0, 3])
def test_words_are_expected_to_be_read_as_wide_means_are(granularity, outliers):
    """A large network is held as words: means, readout gains and errors are those of a small one, but for rounding."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    found = []
    for large in (False, True):
        calibration = Calibration(model, torch.randn(12, 8, generator=torch.Generator().manual_seed(1)), passes=8)
        calibration.large = large
        storages = {
            name: TensorFormat(
                (Section(20, TABLE), Section(weight.numel() - 20, Format().protect(2))),
                RootMeanSquare(),
                granularity,
                "least_error",
                outliers=outliers,
            )
            for name, weight in calibration.weights.items()
        }
        squared = {name: gain.squared for name, gain in calibration.gains.items()}
        expectations = Expectations(calibration, Uniform(0.05), adjust=True)
        found.append(expectations.balanced(storages, squared, expectations.outlook(storages, squared, None).gains))
    small, large = found
    assert large.bias == pytest.approx(small.bias, rel=1e-3)
    assert large.errors == pytest.approx(small.errors, rel=1e-3)
    assert large.gains == pytest.approx(small.gains, rel=1e-3)


def test_a_trellis_is_expected_to_leave_as_much_as_others_once_it_is_fed_back():
    """It is not, so that its own share says nothing of the words that it may give way to."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 4))
    inputs = torch.randn(12, 2) @ torch.randn(2, 8)
    expectations = Expectations(Calibration(model, inputs, passes=8), Uniform(0.001), adjust=True)
    stream = Format(TrellisLevels(2, 2, ((1, -0.5), (2, -0.25), (4, -0.7), (8, 0.3))))
    sizes = {"0.weight": (128, TABLE), "2.weight": (256, stream), "4.weight": (64, TABLE)}
    storages = {
        name: TensorFormat((Section(*own),), RootMeanSquare(), correction="least_error") for name, own in sizes.items()
    }
    shares = expectations.shares_left(storages, expectations.fed_back(storages))
    first, middle, last = shares.values()
    assert max(first, last) < 0.9
    assert middle == pytest.approx((first + last) / 2)
