"""The transformer encoder of the paper, and its task: (first token + last token) modulo the vocabulary."""

import math

import torch
from torch import nn

from qtaml._random import torch_generator

VOCABULARY = 16
LENGTH = 8


class TransformerClassifier(nn.Module):
    """38,400 weights in 10 tensors: embedding, two blocks of joint projections and feed-forward, classifier.

    Hidden width 48, feed-forward width 96, 4 heads, sinusoidal positions. Vocabulary and length were lost from the
    paper's text; a vocabulary of 16 gives its total of about 38 thousand.

    Source:
        paper, section 5.6.

    Example:
        >>> sum(p.numel() for p in TransformerClassifier().parameters() if p.ndim > 1)
        38400
    """

    positions: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        width = 48
        self.embedding = nn.Embedding(VOCABULARY, width)
        layer = nn.TransformerEncoderLayer(width, 4, 96, dropout=0.0, batch_first=True)
        # Nested tensors are for padded batches, of which there are none.
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, VOCABULARY)
        angle = torch.arange(LENGTH)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(1e4) / width))
        # Sines and cosines in turn, as in the original transformer. A buffer: they are not weights to be stored.
        self.register_buffer("positions", torch.stack([angle.sin(), angle.cos()], 2).reshape(LENGTH, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 16), of token numbers of shape (samples, 8)."""
        out: torch.Tensor = self.classifier(self.encoder(self.embedding(tokens) + self.positions).mean(1))
        return out


def sum_of_ends(samples: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random sequences and (first token + last token) modulo the vocabulary.

    Args:
        samples: number of sequences.
        seed: seed of the tokens.

    Returns:
        Tokens of shape (samples, 8) and labels of shape (samples,), int64.

    Example:
        >>> tokens, labels = sum_of_ends(3)
        >>> bool(((tokens[:, 0] + tokens[:, -1]) % 16 == labels).all())
        True
    """
    tokens = torch.randint(VOCABULARY, (samples, LENGTH), generator=torch_generator(seed, "sum of ends"))
    return tokens, (tokens[:, 0] + tokens[:, -1]) % VOCABULARY
