"""Loops compiled by Numba; interpreted where that cannot be imported."""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])

try:
    from qtaml.sampling.numba_kernels import compiled
except ImportError:

    def compiled(function: Function) -> Function:
        """Without Numba the loop is interpreted: the same words, a thousand times slower."""
        return function
