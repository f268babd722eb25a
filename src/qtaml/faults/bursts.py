"""Wrong bits that come a block of a code at a time."""

from collections.abc import Sequence

import numpy as np
import torch

from qtaml._random import torch_generator
from qtaml.protections import Bursts

# Data bits of wrong blocks that are drawn at once: bounds memory where every block is wrong.
_AT_ONCE = 1 << 20


def flip_bursts(words: torch.Tensor, bursts: Sequence[Bursts | None], *, seed: int) -> torch.Tensor:
    """Flip the wrong bits of blocks, in place.

    A block is one bit position of `data_bits` words beside each other; the last may be shorter. The bits drawn depend
    on the seed, the number of words and the position alone.

    Args:
        words: contiguous, uint8 or uint16, any shape.
        bursts: for each bit position, bit 0 first, how its errors come together; None where nothing is flipped.
        seed: the same seed gives the same errors, on every device.

    Returns:
        The words.
    """
    flat = words.view(-1)
    for bit, burst in enumerate(bursts):
        if burst:
            places = _wrong_places(flat.numel(), burst, torch_generator(seed, "bursts", bit))
            _flip(flat, places, 1 << bit)
    return words


def _wrong_places(words: int, burst: Bursts, generator: torch.Generator) -> torch.Tensor:
    """Indices of the words whose bit is wrong, ascending."""
    size = burst.data_bits
    blocks = (torch.rand(-(-words // size), dtype=torch.float64, generator=generator) < burst.wrong).nonzero()
    # Most reads find none.
    if not len(blocks):
        return blocks[:, 0]
    found = []
    for some in torch.split(blocks, max(1, _AT_ONCE // size)):
        block, place = (torch.rand(len(some), size, generator=generator) < burst.share).nonzero(as_tuple=True)
        found.append(some[block, 0] * size + place)
    places = torch.cat(found)
    return places[places < words]


def _flip(flat: torch.Tensor, places: torch.Tensor, mask: int) -> None:
    if flat.device.type == "cpu":
        flat.numpy()[places.numpy()] ^= np.array(mask, flat.numpy().dtype)
    else:
        # PyTorch has no operators for uint16: the same bits as signed integers.
        signed = flat.view(torch.int16) if flat.dtype == torch.uint16 else flat
        where = places.to(flat.device)
        signed[where] ^= mask - (1 << 16) if mask == 1 << 15 else mask
