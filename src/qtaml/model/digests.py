"""Checksums of tensors, and of what holds them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def digest(value: Any) -> str:
    """SHA-256 of tensors, and of what holds them."""
    digest = hashlib.sha256()
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, torch.Tensor):
            digest.update(f"{one.dtype} {tuple(one.shape)}".encode())
            digest.update(one.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        elif isinstance(one, Mapping):
            left += [part for pair in one.items() for part in pair]
        elif isinstance(one, tuple | list):
            left += one
        else:
            digest.update(repr(one).encode())
    return digest.hexdigest()
