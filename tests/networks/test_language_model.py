"""The language model and its text."""

from dataclasses import replace

import pytest
import torch

import qtaml
from qtaml.measuring import NegativeLogLikelihood, check_causal, perplexity
from qtaml.networks import RECIPES, Data, LanguageModel, python_sources, train_classifier, trained


def test_later_bytes_change_nothing_before_them():
    """A decoder; and the tied head is stored once."""
    model = LanguageModel(16, blocks=2)
    tokens = torch.arange(40).reshape(2, 20)
    check_causal(model, tokens)
    plan = qtaml.uniform_msp(model, p=0.05, protected_bits=0)
    assert plan.tensors[0].name == "embedding.weight"
    assert plan.tensors[0].aliases == ("head.weight",)
    assert plan.weights == 256 * 16 + 2 * 12 * 16**2


def test_training_and_test_text_are_of_other_modules():
    """No test window is in the training text; both are the same on every call."""
    train, test = python_sources()
    assert torch.equal(train, python_sources()[0])
    seen = {bytes(window.tolist()) for window in train}
    assert sum(bytes(window.tolist()) in seen for window in test) == 0
    assert int(train.max()) <= 255


@pytest.mark.long
def test_a_small_one_learns_from_text(tmp_path, monkeypatch):
    """160 windows in 20 passes: far below the 256 of one that knows nothing; the cache keeps tied weights."""
    train, test = python_sources()

    def data():
        return Data(train[:160, :-1], train[:160, 1:], test[:8, :-1], test[:8, 1:])

    recipe = replace(RECIPES["LanguageModel"], build=lambda: LanguageModel(32, blocks=1), data=data, epochs=20)
    monkeypatch.setitem(RECIPES, "LanguageModel", recipe)
    model, found = trained("LanguageModel", cache=tmp_path)
    metric = NegativeLogLikelihood(found.test_inputs)
    assert perplexity(metric(model)) < 30
    again, _ = trained("LanguageModel", cache=tmp_path)
    assert again.head.weight is again.embedding.weight
    assert metric(again) == metric(model)


def test_sequences_and_classes_are_trained_alike():
    """Labels of each place, or one for each sample."""
    model = train_classifier(
        lambda: torch.nn.Embedding(3, 3),
        torch.arange(3)[None],
        torch.tensor([[1, 2, 0]]),
        epochs=300,
        learning_rate=0.1,
    )
    assert model(torch.arange(3)).argmax(1).tolist() == [1, 2, 0]
