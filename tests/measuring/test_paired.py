"""The paired difference of two stored networks."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.faults import Uniform
from qtaml.measuring import paired_difference


@pytest.fixture(scope="module")
def pair():
    """A network stored with one and with two protected bits, and its accuracy."""
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 4))
    inputs = torch.randn(150, 16)
    memories = [qtaml.store(model, qtaml.uniform_msp(model, p=0.05, protected_bits=bits)) for bits in (2, 1)]
    return (*memories, qtaml.Accuracy(inputs, model(inputs).argmax(1)))


def test_it_is_the_difference_of_what_evaluate_gives(pair):
    """Under one seed, and the other way round with the other sign."""
    more, less, metric = pair
    found = paired_difference(more, less, metric, trials=8, seed=3)
    alone = [qtaml.evaluate(memory, metric, trials=8, seed=3).mean for memory in (more, less)]
    assert found.value == pytest.approx(alone[0] - alone[1], abs=1e-12)
    assert found.covers == "reads and test samples, paired"
    back = paired_difference(less, more, metric, trials=8, seed=3)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_it_is_sharper_than_two_intervals_beside_each_other(pair):
    """Both see the same samples, and share the errors of the bits that both leave unprotected."""
    _, less, metric = pair
    some = qtaml.uniform_msp(less.copy_of_model(), p=0.05, protected_bits=1.2)
    # The weights of the copy are those of the stored words without errors, which the same plan stores alike.
    more = qtaml.store(less.model(seed=None), some)
    found = paired_difference(more, less, metric, trials=8)
    alone = [qtaml.evaluate(memory, metric, trials=8) for memory in (more, less)]
    side_by_side = sum((one.high - one.low) ** 2 for one in alone) ** 0.5
    assert found.high - found.low < 0.6 * side_by_side


def test_a_network_does_not_differ_from_itself(pair):
    """The difference is 0, with an interval that holds it: other reads are the same reads for both."""
    more, _, metric = pair
    found = paired_difference(more, more, metric, trials=4)
    assert found.low <= found.value == 0 <= found.high


def test_in_a_memory_without_errors_only_rounding_differs(pair):
    """One fault model for both, in place of those of their plans."""
    more, less, metric = pair
    assert abs(paired_difference(more, less, metric, trials=2, fault=Uniform(0.0)).value) < 0.02


def test_networks_with_other_samples_are_refused(pair):
    """A metric that scores as many samples as it likes."""

    class Restless:
        calls = 0

        def scores(self, model):
            self.calls += 1
            return torch.zeros(3 if self.calls <= 2 else 4)

    with pytest.raises(qtaml.ArgumentError, match="metric must score as many samples of both networks, got 3 and 4"):
        paired_difference(*pair[:2], Restless(), trials=2)
