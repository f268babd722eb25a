"""Perplexity, against sums by hand."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import nn

import qtaml
from qtaml.measuring import NegativeLogLikelihood, as_perplexity, check_causal, perplexity

TOKENS = torch.tensor([[0, 2, 1, 1], [2, 2, 0, 1], [1, 0, 0, 2]])


class Bigram(nn.Module):
    """A table of logits of the next token."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5], [-0.5, 0.0, 1.5]]))

    def forward(self, tokens):
        return {"loss": None, "logits": self.weight[tokens]}


def test_it_is_the_mean_of_minus_the_log_of_each_next_token():
    """Token by token, in float64; batches do not matter."""
    model = Bigram()
    logs = model.weight.detach().double().log_softmax(1)
    expected = [
        -sum(float(logs[now, after]) for now, after in itertools.pairwise(text)) / 3 for text in TOKENS.tolist()
    ]
    assert NegativeLogLikelihood(TOKENS).scores(model).tolist() == pytest.approx(expected, rel=1e-12)
    assert NegativeLogLikelihood(TOKENS, batch_size=2).scores(model).tolist() == pytest.approx(expected, rel=1e-12)
    assert NegativeLogLikelihood(TOKENS)(model) == pytest.approx(sum(expected) / 3)


def test_the_interval_is_that_of_the_likelihood_transformed():
    """Ends and values are exp of those of the mean log-likelihood; what is infinite is a large number."""
    model = Bigram()
    memory = qtaml.store(model, qtaml.uniform_msp(model, p=0.05, protected_bits=2))
    result = qtaml.evaluate(memory, NegativeLogLikelihood(TOKENS), trials=12)
    shown = as_perplexity(result)
    for field in ("mean", "low", "high", "reads_low", "reads_high"):
        assert getattr(shown, field) == math.exp(getattr(result, field))
    assert shown.values == tuple(map(math.exp, result.values))
    assert shown.covers == "reads and test samples"
    assert math.isfinite(as_perplexity(dataclasses.replace(result, high=1e6)).high)
    assert perplexity(0.0) == 1.0


@pytest.mark.parametrize(
    "tokens", [torch.zeros(3, dtype=torch.int64), torch.zeros(3, 4), torch.zeros(1, 4).long(), torch.full((2, 2), -1)]
)
def test_tokens_are_whole_numbers_of_samples(tokens):
    """Anything else is an error."""
    with pytest.raises(qtaml.ArgumentError, match="tokens must be whole numbers of at least 0"):
        NegativeLogLikelihood(tokens)


def test_a_classifier_has_no_perplexity():
    """Outputs of another shape, or of fewer tokens than the text has, are an error that shows both."""
    with pytest.raises(qtaml.ModelError, match=r"tokens up to 2 of shape \(3, 4\).* outputs of shape \(3, 5\)"):
        NegativeLogLikelihood(TOKENS)(nn.Sequential(nn.EmbeddingBag(3, 5)))
    with pytest.raises(qtaml.ModelError, match="gives a logit for each token"):
        NegativeLogLikelihood(TOKENS + 1)(nn.Embedding(4, 3))


def test_a_model_that_sees_later_tokens_is_refused():
    """An encoder would get a perplexity that means nothing."""

    class Looking(nn.Embedding):
        def forward(self, tokens):
            return super().forward(tokens) + super().forward(tokens.flip(1))

    check_causal(Bigram(), TOKENS)
    with pytest.raises(qtaml.ModelError, match="sees earlier tokens only"):
        check_causal(Looking(3, 3), TOKENS)


@pytest.mark.parametrize("token", [0, 2])
def test_a_text_of_one_token_tells_of_later_ones_too(token):
    """Another last token is taken from the vocabulary where the text has no other."""

    class Looking(nn.Embedding):
        def forward(self, tokens):
            return super().forward(tokens) + super().forward(tokens.flip(1))

    check_causal(Bigram(), torch.full((2, 4), token))
    with pytest.raises(qtaml.ModelError, match="sees earlier tokens only"):
        check_causal(Looking(3, 3), torch.full((2, 4), token))


def test_of_one_token_there_is_nothing_to_predict():
    """A vocabulary of one would have perplexity 1."""
    with pytest.raises(qtaml.ModelError, match="perplexity needs a language model"):
        NegativeLogLikelihood(TOKENS * 0)(nn.Embedding(3, 1))
