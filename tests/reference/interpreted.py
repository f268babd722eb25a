"""The kernel for CUDA on a CPU: in Triton's interpreter, in a process of its own.

Triton decides when it is imported whether kernels are compiled or interpreted, so no other test may share the process.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from qtaml.sampling import sampler

Words = np.ndarray
Read = Callable[..., Words]


def read_elsewhere(
    words: Words, p01: Sequence[float], p10: Sequence[float], seed: int, lanes: int = 2**14, in_place: bool = False
) -> Words:
    """Words as the sampler reads them on a CUDA device, by programs of `lanes` lanes: in here, few large ones pay."""
    from qtaml.sampling import triton_kernel as fused

    sampler.fused_kernel = lambda device: fused
    fused.LANES_OF_A_PROGRAM = lanes
    read = sampler._read_elsewhere(torch.from_numpy(words), tuple(p01), tuple(p10), seed, in_place)
    assert np.shares_memory(read.numpy(), words) == (in_place and words.size > 0)
    return read.numpy()


@contextmanager
def interpreter() -> Iterator[Read]:
    """`read_elsewhere`, called in a process that interprets kernels."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("TRITON_INTERPRET", "1")
            pool.submit(int).result()  # the process starts with the variable
        yield lambda *arguments, **options: pool.submit(read_elsewhere, *arguments, **options).result()
