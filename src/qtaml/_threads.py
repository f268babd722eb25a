"""How many threads compute."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

_LOCK = threading.Lock()
_limits: list[threadpool_limits] = []
"""NumPy's limit, which is one of the process, for each block that is open in any thread."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, so that sums are taken in one order whatever the number of processors.

    Operators of small networks gain nothing from a second thread either: with two a search takes as long and twice the
    processor time, and more than twice as long where another program wants the processor.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # torch's limit does not reach NumPy's BLAS, whose product of two vectors of 16,384 numbers differs in the last
    # bits between one thread and two.
    with _LOCK:
        _limits.append(_limits[0] if _limits else threadpool_limits(1))
    try:
        yield
    finally:
        with _LOCK:
            limit = _limits.pop()
            if not _limits:
                limit.restore_original_limits()
        # Last: that limit is one of OpenMP too, which torch computes with.
        torch.set_num_threads(threads)
