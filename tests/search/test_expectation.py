"""What plans are expected to do, of large networks as of small ones."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from qtaml.faults import Uniform
from qtaml.formats import Format, RootMeanSquare, Section, TableLevels, TensorFormat
from qtaml.protections import Raw
from qtaml.search.expectation import Expectations
from qtaml.search.trellis_fitting import Shape, gaussian_weights
from qtaml.search.trellis_menu import standard_trellis
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


def test_words_of_few_bits_are_chosen_for_a_larger_readout_gain() -> None:
    """A quarter of a bit each: what inputs of few directions see is made up of steps larger than the weights."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(96, 6, generator=generator) @ torch.randn(6, 64, generator=generator)
    calibration = Calibration(nn.Linear(64, 48), inputs, passes=8)
    levels = standard_trellis(gaussian_weights(512), Shape(1, 8, 4), (Raw(),), Uniform(0.0))
    section = Section(64 * 48, Format(levels, (Raw(),)))
    plain = {"weight": TensorFormat((section,), RootMeanSquare(), correction="least_error")}
    expectations = Expectations(calibration, Uniform(0.0), adjust=True)
    fed = expectations.fed_back(plain)
    assert fed["weight"].feedback_gain > 1.2
    of_one = {"weight": replace(fed["weight"], feedback_gain=1.0)}
    squared = {name: gain.squared for name, gain in calibration.gains.items()}
    errors = [expectations.balanced(one, squared, {"weight": 1.0}).error for one in (plain, of_one, fed)]
    assert errors[2] < 0.9 * errors[1]
    assert errors[1] < 0.7 * errors[0]


def test_words_without_readout_gains_are_chosen_for_what_is_read() -> None:
    """Where none is allowed, words stand for themselves."""
    calibration = Calibration(nn.Linear(16, 8), torch.randn(32, 16, generator=torch.Generator().manual_seed(0)))
    plain = {"weight": TensorFormat((Section(128, TABLE),), RootMeanSquare(), correction="least_error")}
    fed = Expectations(calibration, Uniform(0.1), adjust=False).fed_back(plain)["weight"]
    assert (fed.correction, fed.feedback_gain) == ("fed_back", 1.0)
