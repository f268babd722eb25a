"""What plans are expected to do, of large networks as of small ones."""

import pytest
import torch
from torch import nn

from qtaml.faults import Uniform
from qtaml.formats import Format, RootMeanSquare, Section, TableLevels, TensorFormat
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
