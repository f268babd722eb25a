"""What the writer of a chip knows of its cells, for a search: shares of bits that are held, and chips at random."""

from collections.abc import Sequence

import numpy as np
import torch

from qtaml._random import child_seed
from qtaml.faults import FaultModel
from qtaml.faults.static_cells import KnownCells
from qtaml.formats import WeakBits
from qtaml.formats.format import label_dtype
from qtaml.protections import Protection

Shares = Sequence[tuple[float, float]]
"""Share of the cells held at 0, and at 1, for each bit of a word."""


def held_at(fault: FaultModel, word: Sequence[Protection]) -> Shares:
    """What a writer's map holds of the bits of a word; nothing where there is no map."""
    return fault.held(word) if isinstance(fault, KnownCells) else ()


def drawn(shares: Shares, words: int, seed: int) -> WeakBits | None:
    """The words of a random chip, shape (words,); None where no bit is ever stuck."""
    if not any(map(any, shares)):
        return None
    random = np.random.default_rng(child_seed(seed, "chip"))
    zeros, ones = np.zeros(words, np.int32), np.zeros(words, np.int32)
    for bit, (low, high) in enumerate(shares):
        drawn = random.random(words)
        zeros |= (drawn < high).astype(np.int32) << bit
        ones |= ((drawn < high) | (drawn >= high + low)).astype(np.int32) << bit
    dtype = label_dtype(len(shares))
    return WeakBits(torch.from_numpy(zeros).to(dtype), torch.from_numpy(ones).to(dtype))
