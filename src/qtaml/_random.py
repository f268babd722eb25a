"""Child seeds: hashes of a seed and labels, independent of each other and of the order of calls."""

import hashlib

import torch

from qtaml import _checks


def child_seed(seed: int, *labels: int | str) -> int:
    """Seed of the stream that belongs to `labels`, in 0 .. 2**63 - 1.

    Two different (seed, labels) share a child only by a collision of 63 hash bits, so streams of trials, tensors
    and chunks are independent of each other and of the order, the chunking and the machine that draws them.

    Args:
        seed: whole number of at least 0.
        *labels: what the stream is for, for example ("read", trial, "conv1.weight").

    Returns:
        The child seed.

    Raises:
        ArgumentError: if `seed` is not a whole number of at least 0.

    Example:
        >>> child_seed(0, "read", 1) == child_seed(0, "read", 1)
        True
        >>> child_seed(0, "read", 1) == child_seed(0, "read", 2)
        False
    """
    # repr keeps 1 and "1" apart, and where one label ends. hash() would differ from process to process.
    text = repr((_checks.integer("seed", seed, 0), *labels))
    # One bit is dropped, so that every library takes the seed, also as a signed integer of 64 bits.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def torch_generator(seed: int, *labels: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator on `device`, seeded with `child_seed(seed, *labels)`."""
    return torch.Generator(device).manual_seed(child_seed(seed, *labels))
