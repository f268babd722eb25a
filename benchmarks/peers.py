"""The fault injectors that install here, MRFI and PyTorchFI, against the plain reference and qtaml in one process each.

They are installed into a folder of their own, which only the processes that time them see.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Measurement

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".venv-peers"
REQUIREMENTS = ("MRFI==2.1.0", "pytorchfi==0.6.0", "PyYAML==6.0.3")
RATES = (0.01, 0.1)
WEIGHTS = {"MRFI": 10_000_000, "PyTorchFI": 1_000_000}
"""PyTorchFI takes up to three minutes for as many as MRFI; its time is in proportion to the number of weights."""


def measure(quick: bool = False) -> list[Measurement]:
    """Time error masks of 8-bit weights by each peer on one thread, and count the errors.

    Args:
        quick: small tensors.
    """
    install()
    sizes = dict.fromkeys(WEIGHTS, 10_000) if quick else WEIGHTS
    return [row for peer, weights in sizes.items() for p in RATES for row in compare(peer, weights, p)]


def install() -> bool:
    """Install the peers where they are not there yet; whether they are there now."""
    if FOLDER.exists():
        return True
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(FOLDER), *REQUIREMENTS]
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=300).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def compare(peer: str, weights: int, p: float) -> Sequence[Measurement]:
    """Rows of one peer at one flip probability; only that of qtaml where the peer is not installed."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "src", FOLDER)))
    command = [sys.executable, "-m", "benchmarks.peers_inside", peer, str(weights), str(p)]
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    name = f"{peer} {seen['version']}" if "version" in seen else peer

    def row(what: str, key: str, reference: str, reference_key: str) -> Measurement:
        note = (
            f"asked {p:g}, observed {seen[key]['rate']:.5f} (standard error {(p * (1 - p) / weights / 8) ** 0.5:.1g})"
        )
        times = seen[key]["seconds"], seen[reference_key]["seconds"]
        return Measurement("peers", f"{what}, p = {p:g}", weights, "words", times[0], reference, times[1], note)

    if "peer" not in seen:
        return [row(f"qtaml ({peer} not installed)", "qtaml", "plain reference", "plain")]
    return [row(name, "peer", "plain reference", "plain"), row("qtaml", "qtaml", name, "peer")]
