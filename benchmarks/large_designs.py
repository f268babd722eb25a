"""How long `design` takes, and how much memory: over the weights of a network, and over its tensors at equal weights.

Each network is planned in a process of its own, so that its peak memory is its own: `python -m benchmarks.large_designs
WIDTH HIDDEN LAYERS VOCABULARY` prints what was found. Times are those of the processor, on one thread.
"""

import json
import subprocess
import sys
import time
from functools import cache
from typing import NamedTuple

import torch

import qtaml
from benchmarks.harness import Measurement, threads
from benchmarks.large_networks import TOKENS, Encoder, Steps, tokens
from qtaml.model import stored_weights

P, CELLS, SAMPLES = 0.01, 0.6, 4
DECODERS = ("none", "table", "majority")
OVER_WEIGHTS = ((120, 480, 4, 2000), (240, 960, 4, 2000), (480, 1920, 4, 2000))
OVER_TENSORS = ((480, 1920, 1, 1000), (240, 960, 4, 2000), (120, 480, 16, 4000))
"""Width, hidden width, layers and vocabulary of encoders: of growing numbers of weights, and of tensors."""
QUICK = ((48, 96, 1, 200),)


class Planned(NamedTuple):
    """An encoder, its design, and a forward and a backward pass beside it."""

    weights: int
    tensors: int
    seconds: float
    peak: int
    passed: float


def planned(width: int, hidden: int, layers: int, vocabulary: int) -> Planned:
    """Seconds and peak bytes of the design of an encoder, and seconds of a pass and its gradient."""
    torch.manual_seed(0)
    model = Encoder(vocabulary, width, hidden, layers).eval()
    batch = tokens(SAMPLES, vocabulary)
    stored = stored_weights(model)
    with threads(1):
        # Brings along what is imported and compiled once.
        small = QUICK[0]
        design(Encoder(small[3], *small[:3]).eval(), tokens(SAMPLES, small[3]))
        step, start = Steps(), time.process_time()
        step("design", lambda: design(model, batch))
        seconds = time.process_time() - start
        model(batch).sum().backward()
        start = time.process_time()
        model(batch).sum().backward()
        passed = time.process_time() - start
    return Planned(
        sum(weight.numel() for weight in stored.values()), len(stored), seconds, step.done["design"][1], passed
    )


def design(model: Encoder, batch: torch.Tensor) -> qtaml.planning.Plan:
    """The plan that is timed."""
    return qtaml.design(model, batch, p=P, cells=CELLS, decoders=DECODERS)


@cache
def apart(sizes: tuple[int, int, int, int]) -> Planned:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.large_designs", *map(str, sizes)]
    return Planned(*json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def measure(quick: bool = False) -> list[Measurement]:
    """Designs of encoders of growing numbers of weights, and of tensors, next to a forward and a backward pass."""
    rows = []
    for unit, networks in (("weights", OVER_WEIGHTS), ("tensors", OVER_TENSORS)):
        for sizes in QUICK if quick else networks:
            found = apart(sizes)
            note = (
                f"{found.weights:,} weights in {found.tensors} tensors; {SAMPLES} samples of {TOKENS} tokens; peak "
                f"{found.peak / 1e6:,.0f} MB besides the model, {found.peak / (4 * found.weights):.1f} of its weights"
            )
            size = found.weights if unit == "weights" else found.tensors
            reference = "pass and gradient", found.passed
            rows.append(Measurement(f"design over {unit}", "design", size, unit, found.seconds, *reference, note))
    return rows


if __name__ == "__main__":
    width, hidden, layers, vocabulary = map(int, sys.argv[1:])
    print(json.dumps(planned(width, hidden, layers, vocabulary)))
