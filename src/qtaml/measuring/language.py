"""Negative log-likelihood and perplexity of a language model on a text."""

import math
from dataclasses import replace
from typing import overload

import torch
from torch import nn

from qtaml.errors import ArgumentError, ModelError
from qtaml.measuring.chips import Yield
from qtaml.measuring.metrics import batches_of
from qtaml.measuring.monte_carlo import Result
from qtaml.model import evaluation_mode, output_tensor

# exp overflows above 709. Reads so far off are equally useless, so which number stands for them does not matter.
_MOST_NATS = 700.0


class NegativeLogLikelihood:
    """Mean of -log P(next token) by a decoder-only model, in nats.

    Each sample is a piece of the text of the same length; all its tokens but the first are predicted from those before.

    Args:
        tokens: whole numbers, shape (samples, length), at least 2 of each.
        batch_size: samples that go through the model at once; all if not given.

    Raises:
        ArgumentError: if the tokens have another shape or dtype.

    Example:
        >>> metric = NegativeLogLikelihood(torch.tensor([[0, 1, 0], [1, 0, 1]]))
        >>> undecided = nn.Embedding.from_pretrained(torch.zeros(2, 2))
        >>> round(metric(undecided) / math.log(2), 6)
        1.0
    """

    bounds = (0.0, math.inf)

    def __init__(self, tokens: torch.Tensor, *, batch_size: int | None = None) -> None:
        tokens = torch.as_tensor(tokens, device=getattr(tokens, "device", "cpu"))
        whole = not (tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool)
        if not whole or tokens.ndim != 2 or min(tokens.shape) < 2 or bool((tokens < 0).any()):
            raise ArgumentError(
                "tokens must be whole numbers of at least 0, of shape (samples, length), at least 2 of each, got shape "
                f"{tuple(tokens.shape)} {tokens.dtype}"
            )
        self.batches = [batch for batch in batches_of(tokens.long(), batch_size) if isinstance(batch, torch.Tensor)]

    def scores(self, model: nn.Module) -> torch.Tensor:
        """Mean negative log-likelihood of a token, for each sample: float64, shape (samples,)."""
        with evaluation_mode(model) as network, torch.no_grad():
            return torch.cat([self._of_batch(network, batch) for batch in self.batches])

    def __call__(self, model: nn.Module) -> float:
        """Mean negative log-likelihood of a token."""
        return float(self.scores(model).mean())

    def _of_batch(self, model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        logits = output_tensor(model, tokens).cpu()
        # Among one token only there is nothing to predict.
        if logits.shape[:-1] != tokens.shape or logits.shape[-1] <= max(int(tokens.max()), 1):
            raise ModelError(
                "perplexity needs a language model, which gives a logit for each token of its vocabulary at each "
                f"place: of tokens up to {int(tokens.max())} of shape {tuple(tokens.shape)} the model gives outputs "
                f"of shape {tuple(logits.shape)}"
            )
        # float64: sums over a large vocabulary lose digits in half precision. cross_entropy has classes in dimension 1.
        loss = nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2).double(), tokens[:, 1:].cpu(), reduction="none"
        )
        return loss.mean(1)


def check_causal(model: nn.Module, tokens: torch.Tensor) -> None:
    """Check that a model predicts each token from those before it alone, without which a perplexity means nothing.

    Args:
        model: the network; it is not changed.
        tokens: at least one sample, shape (samples, length).

    Raises:
        ArgumentError: if the tokens are of another shape.
        ModelError: if another last token changes an output before it.
    """
    if tokens.ndim != 2 or not tokens.numel():
        raise ArgumentError(f"tokens must be of shape (samples, length), got {tuple(tokens.shape)}")
    other, last = tokens[:1].clone(), int(tokens[0, -1])
    # A token of the text surely lies within the vocabulary. A text of one token only says nothing of others.
    others = tokens[tokens != last]
    other[0, -1] = others[0] if len(others) else last - 1 if last else 1
    with evaluation_mode(model) as network, torch.no_grad():
        before, after = (output_tensor(network, one)[:, : tokens.shape[1] - 1] for one in (tokens[:1], other))
    # Not bit for bit: kernels may sum in another order. A model that sees the token changes by far more than 1e-5.
    if not torch.allclose(before, after, rtol=0, atol=1e-5 * float(before.abs().max())):
        raise ModelError("perplexity needs a model that sees earlier tokens only, got one that sees later ones")


@overload
def as_perplexity(result: Result) -> Result: ...
@overload
def as_perplexity(result: Yield) -> Yield: ...
def as_perplexity(result: Result | Yield) -> Result | Yield:
    """Perplexity = exp(mean negative log-likelihood), from a result for `NegativeLogLikelihood`.

    Mean, intervals and values, or those of chips, are each transformed: the mean over reads is thus a geometric one.

    Example:
        >>> from qtaml.measuring.monte_carlo import evaluate
        >>> from qtaml.memory import store
        >>> from qtaml.planning import uniform_msp
        >>> model = nn.Embedding(2, 2)
        >>> memory = store(model, uniform_msp(model, p=0.1, protected_bits=8))
        >>> result = evaluate(memory, NegativeLogLikelihood(torch.tensor([[0, 1, 0], [1, 0, 1]])), trials=2)
        >>> as_perplexity(result).mean == math.exp(result.mean)
        True
    """
    values = tuple(map(perplexity, result.values))
    if isinstance(result, Yield):
        return replace(result, values=values)
    return replace(
        result,
        mean=perplexity(result.mean),
        low=perplexity(result.low),
        high=perplexity(result.high),
        reads_low=perplexity(result.reads_low),
        reads_high=perplexity(result.reads_high),
        values=values,
    )


def perplexity(nats: float) -> float:
    """Perplexity of a mean negative log-likelihood.

    Example:
        >>> round(perplexity(math.log(256)), 6)
        256.0
    """
    return math.exp(min(nats, _MOST_NATS))
