"""Low-rank adapters beside stored weights: what is trained, what stays, and what is refused."""

import pytest
import torch
from torch import nn

import qtaml
from qtaml.training import with_adapters


def network():
    """Two linear layers and an embedding."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(20, 8), nn.Flatten(), nn.Linear(32, 24), nn.Tanh(), nn.Linear(24, 3))


INPUTS = torch.randint(0, 20, (96, 4), generator=torch.Generator().manual_seed(0))


def test_adapters_learn_and_the_stored_words_stay():
    """Tuned by the plan that was made before: the words are the same, and what they round away is made up for."""
    model = network()
    plan = qtaml.uniform_msp(model, p=0.01, protected_bits=1, bits=3)
    adapted = with_adapters(model, rank=4)
    tuned = qtaml.tune(adapted, plan, INPUTS, epochs=8, learning_rate=0.01)
    before, after = qtaml.store(model, plan), qtaml.store(tuned.model, tuned.plan)
    for name, stored in before.tensors.items():
        assert torch.equal(stored.words, after.tensors[name].words)
    assert {"2.up", "2.down", "4.up", "4.down"} <= after.rest.keys()
    errors = [
        qtaml.evaluate(one, qtaml.measuring.OutputError(model, INPUTS), trials=20).mean for one in (before, after)
    ]
    assert errors[1] < 0.8 * errors[0]


def test_adapters_begin_at_nothing():
    """The copy computes what the network does, which is not changed."""
    model = network()
    adapted = with_adapters(model, rank=2, layers="4")
    assert torch.equal(adapted(INPUTS), model(INPUTS))
    trained = {name for name, one in adapted.named_parameters() if one.requires_grad}
    assert trained == {"4.up", "4.down", "4.bias"}
    assert all(one.requires_grad for one in model.parameters())


@pytest.mark.parametrize(("asked", "message"), [({"rank": 0}, "rank"), ({"rank": 1, "layers": "x*"}, "got 'x\\*'")])
def test_what_has_no_adapter_is_refused(asked, message):
    """A rank of 0, and names that no linear layer has."""
    with pytest.raises(qtaml.QtamlError, match=message):
        with_adapters(network(), **asked)


def test_a_shared_weight_has_no_adapter_of_its_own():
    """Its other user would not have it."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    with pytest.raises(qtaml.ModelError, match="shares its weight"):
        with_adapters(model, rank=1)
