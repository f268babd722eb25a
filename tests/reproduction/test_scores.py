"""Scores of a trained network's tensors."""

import pytest
import torch

from qtaml.laboratory.cases import Case
from qtaml.model import stored_weights
from qtaml.planning import Tac, predict
from reproduction.scores import network_scores, protected_bits

pytestmark = pytest.mark.slow  # beside the package: what one writes seldom breaks it


@pytest.fixture(scope="module")
def found(laboratory):
    """The small network's."""
    return network_scores(laboratory, "SmallCNN", 0)


def test_scores_are_gain_times_squared_full_scale(laboratory, found):
    """They belong to the tensors of the model, in its order."""
    weights = stored_weights(laboratory.network("SmallCNN", 0)[0])
    assert found.names == tuple(weights)
    assert found.sizes == tuple(weight.numel() for weight in weights.values())
    for score, gain, weight in zip(found.scores, found.squared_gains, weights.values(), strict=True):
        assert score == pytest.approx(gain * float(weight.abs().max()) ** 2)


def test_they_predict_what_predict_says(laboratory, found):
    """The saturation ratio agrees with that of another calibration within the error of its passes, 30 per cent."""
    model, data = laboratory.network("SmallCNN", 0)
    other = predict(model, data.calibration, p=0.1, passes=32, seed=1)
    assert found.saturation_ratio == pytest.approx(other.saturation_ratio, rel=0.3)
    assert found.ratio(sum(found.interior) / 2) == pytest.approx(found.saturation_ratio)
    assert found.ratio(0.0) == pytest.approx(1)
    assert found.rounding(0.125, "split") <= found.rounding(0.125, "greedy")


def test_protected_bits_of_a_plan_are_its_budget(laboratory):
    """Weighted by the sizes they add up to the overhead."""
    plan = laboratory.plan(Case("SmallCNN", Tac(p=0.1, overhead=0.2, correction="none")), 0)
    total = sum(protected_bits(tensor) * tensor.storage.weights for tensor in plan.tensors)
    assert total == pytest.approx(0.2 * 8 * plan.weights, abs=1)


def test_one_thread_or_many(laboratory, found):
    """The gains do not depend on the number of threads that torch has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert network_scores(laboratory, "SmallCNN", 0) == found
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
