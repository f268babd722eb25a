"""A small byte-level language model, and its text: the sources of Python's standard library."""

import sysconfig
from pathlib import Path

import torch
from torch import nn

from qtaml import _checks
from qtaml._random import torch_generator

BYTES, LENGTH = 256, 128
_HEADS = 4
# Training windows make 600 steps of 16; every twelfth module, not the last ones, is for testing, so that the alphabet
# does not decide which modules those are.
_TRAIN_WINDOWS, _TEST_WINDOWS, _TEST_SHARE = 9_600, 64, 12


class _Block(nn.Module):
    """Pre-norm residual block: causal attention with linear biases (ALiBi), then a feed-forward layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before_attention, self.before_feed_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        samples, length, _ = hidden.shape
        heads = self.projections(self.before_attention(hidden)).reshape(samples, length, 3, _HEADS, -1)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        hidden = hidden + self.joined(mixed.transpose(1, 2).flatten(2))
        out: torch.Tensor = hidden + self.feed_forward(self.before_feed_forward(hidden))
        return out


class LanguageModel(nn.Module):
    """A decoder-only transformer of bytes: 1,818,624 weights, the head tied to the embedding.

    Pre-norm blocks with 4 heads and a feed-forward layer of four times the width. Positions enter by distance alone
    (ALiBi: Press, Smith, Lewis 2022), with which so small a model learns from little text.

    Args:
        width: hidden width, a multiple of 4.
        blocks: number of blocks.

    Example:
        >>> model = LanguageModel()
        >>> model(torch.zeros(2, 10, dtype=torch.int64)).shape
        torch.Size([2, 10, 256])
        >>> sum(p.numel() for p in model.parameters() if p.ndim > 1)
        1818624
    """

    def __init__(self, width: int = 192, blocks: int = 4) -> None:
        super().__init__()
        _checks.integer("width", width, 1)
        self.embedding = nn.Embedding(BYTES, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, BYTES, bias=False)
        # Small, because the head is the same tensor: with the default of 1, logits of width 192 would start far from 0.
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the next byte, shape (samples, length, 256), of bytes of shape (samples, length)."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        distance = places[:, None] - places
        # 1, 1/4, 1/16, 1/64 for four heads: from the neighbour alone to nearly the whole text.
        slopes = 4.0 ** -torch.arange(_HEADS, device=tokens.device)[:, None, None]
        bias = (-slopes * distance).masked_fill(distance < 0, -torch.inf)
        hidden = self.embedding(tokens)
        for block in self.blocks:
            hidden = block(hidden, bias)
        out: torch.Tensor = self.head(self.norm(hidden))
        return out


def python_sources() -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of 129 bytes from the modules of Python's standard library; training and test modules are disjoint.

    The text is that of the running Python: other versions have slightly different sources.

    Returns:
        Bytes, int64, of shape (9600, 129) and (64, 129), in random order of fixed seed.

    Example:
        >>> train, test = python_sources()
        >>> train.shape, test.shape
        (torch.Size([9600, 129]), torch.Size([64, 129]))
    """
    # Without the one module that says how and where this Python was built. Sorted: directories have no order.
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_bytes() for path in modules if not path.name.startswith("_sysconfigdata")]
    test = b"".join(texts[::_TEST_SHARE])
    train = b"".join(text for number, text in enumerate(texts) if number % _TEST_SHARE)
    return _windows(train, _TRAIN_WINDOWS, "training"), _windows(test, _TEST_WINDOWS, "test")


def _windows(text: bytes, count: int, label: str) -> torch.Tensor:
    whole = len(text) // (LENGTH + 1)
    windows = torch.frombuffer(bytearray(text), dtype=torch.uint8)[: whole * (LENGTH + 1)].reshape(whole, -1)
    return windows[torch.randperm(whole, generator=torch_generator(0, "python sources", label))[:count]].long()
