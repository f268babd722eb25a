"""Starting: what a process spends on `import qtaml`, beside `import torch`."""

import statistics
import subprocess
import sys

from benchmarks.harness import Measurement

_IMPORTS = {
    "import torch": "import torch",
    "import qtaml": "import torch, qtaml",
    "import qtaml and open every room": "import torch, qtaml; [getattr(qtaml, name) for name in qtaml.__all__]",
}


def measure(quick: bool = False) -> list[Measurement]:
    """Processor time of a process until all is imported, in turn.

    Args:
        quick: one process each instead of nine.
    """
    times: dict[str, list[float]] = {what: [] for what in _IMPORTS}
    for _ in range(1 if quick else 9):
        for what, code in _IMPORTS.items():
            times[what].append(_processor_seconds(code))
    torch_alone, *rest = ((what, statistics.median(own)) for what, own in times.items())
    return [
        Measurement("start", what, 1, "processes", seconds, *torch_alone, f"{seconds - torch_alone[1]:.2f} s more")
        for what, seconds in rest
    ]


def _processor_seconds(code: str) -> float:
    command = [sys.executable, "-c", f"import time; {code}; print(time.process_time())"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
