"""Large networks: time and peak memory of planning, storing, saving, loading, reading and evaluating; growth with size.

Every job runs in a process of its own, so that its peak memory is its own: `python -m benchmarks.large_networks JOB`
prints its steps.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import qtaml
from benchmarks.harness import Measurement, median_seconds, medians

VOCABULARY, WIDTH, HIDDEN, LAYERS = 30_522, 768, 3072, 12
TOKENS = 64
BILLION_LAYERS, BILLION_WIDTH = 60, 4096
P = 0.01
_MEGABYTE = 2**20


class Encoder(nn.Module):
    """A transformer encoder with a classifier, of the sizes of BERT if not told otherwise: 109 million weights."""

    def __init__(self, vocabulary: int = VOCABULARY, width: int = WIDTH, hidden: int = HIDDEN, layers: int = LAYERS):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(TOKENS, width))
        layer = nn.TransformerEncoderLayer(width, 12, hidden, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 4), of token numbers of shape (samples, TOKENS)."""
        return self.classifier(self.encoder(self.embedding(tokens) + self.positions)[:, 0])


def encoder(**sizes: int) -> nn.Module:
    """A seeded encoder with random weights, in evaluation mode."""
    torch.manual_seed(0)
    return Encoder(**sizes).eval()


def tokens(samples: int, vocabulary: int = VOCABULARY) -> torch.Tensor:
    """Seeded token numbers."""
    return torch.randint(vocabulary, (samples, TOKENS), generator=torch.Generator().manual_seed(1))


class Steps:
    """Time and peak memory of the steps of one job."""

    def __init__(self) -> None:
        self.steps: dict[str, tuple[float, int]] = {}

    def __call__(self, name: str, function: Callable[[], object]) -> object:
        """Do one step and note how long it took and the most memory that the process then held."""
        Path("/proc/self/clear_refs").write_text("5")
        start = time.perf_counter()
        result = function()
        seconds = time.perf_counter() - start
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        self.steps[name] = seconds, int(status["VmHWM"].split()[0]) * 1024
        print(name, self.steps[name], file=sys.stderr, flush=True)
        return result


def weights_of(model: nn.Module) -> int:
    """Number of stored weights."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.ndim > 1)


def use(step: Steps, model: nn.Module, vocabulary: int = VOCABULARY) -> None:
    """Store a network without much thought, save and load it, read it and evaluate it."""
    plan = step("plan (Uniform-MSP)", lambda: qtaml.uniform_msp(model, p=P, protected_bits=2))
    memory = step("store", lambda: qtaml.store(model, plan))
    with tempfile.TemporaryDirectory() as folder:
        step("save", lambda: memory.save(folder))
        del memory
        memory = step("load", lambda: qtaml.load(folder, model))
    step("read", lambda: memory.model(seed=0))
    metric = qtaml.Accuracy(tokens(8, vocabulary), torch.zeros(8, dtype=torch.int64))
    step("evaluate, 2 reads of 8 samples", lambda: qtaml.evaluate(memory, metric, trials=2))


def compensate(step: Steps, model: nn.Module, vocabulary: int = VOCABULARY) -> None:
    """Plan by TAC, and store."""
    plan = step(
        "plan (TAC, 4 samples, 4 passes)",
        lambda: qtaml.compensate(model, tokens(4, vocabulary), p=P, overhead=0.125, passes=4, trials=2),
    )
    step("store", lambda: qtaml.store(model, plan))


def billion(step: Steps, layers: int = BILLION_LAYERS, width: int = BILLION_WIDTH) -> None:
    """Store and save a billion bfloat16 weights."""
    model = nn.Sequential(*(nn.Linear(width, width, bias=False, dtype=torch.bfloat16) for _ in range(layers)))
    plan = step("plan (Uniform-MSP)", lambda: qtaml.uniform_msp(model, p=P, protected_bits=2))
    memory = step("store", lambda: qtaml.store(model, plan))
    with tempfile.TemporaryDirectory() as folder:
        step("save", lambda: memory.save(folder))


def main() -> None:
    """Do one job and print its steps as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    step = Steps()
    torch.manual_seed(0)
    JOBS[parser.parse_args().job](step)
    print(json.dumps(step.steps))


def _on_encoder(job):
    def run(step):
        model = step("model", encoder)
        step("copy of the model", lambda: __import__("copy").deepcopy(model))
        job(step, model)
    return run


JOBS = {"use": _on_encoder(use), "compensate": _on_encoder(compensate), "billion": billion}

if __name__ == "__main__":
    main()
