"""What something costs: processor time, and memory that is really used."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def within(seconds: float = 1.0, megabytes: float = 200.0) -> Iterator[None]:
    """Check that a block takes less than this; memory where Linux tells it."""
    before = _resident("VmRSS") if _reset_peak() else None
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds
    if before is not None:
        assert _resident("VmHWM") - before < megabytes


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(name: str) -> float:
    """A line of the status of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith(name))
