"""Large networks: time and peak memory of planning, storing, saving, loading, reading and evaluating; growth with size.

Every job runs in a process of its own, so that its peak memory is its own: `python -m benchmarks.large_networks JOB`
prints its steps. Peaks are those of the whole process, the caller's own model included, less what it held before.
"""

import argparse
import copy
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
from benchmarks.harness import Measurement, medians
from qtaml.model import stored_weights
from qtaml.sampling import error_mask

P = 0.01
TOKENS = 64
BERT = {"vocabulary": 30_522, "width": 768, "hidden": 3072, "layers": 12}
BILLION = {"layers": 60, "width": 4096}
SMALL = {"vocabulary": 500, "width": 48, "hidden": 96, "layers": 2}
WEIGHTS = (10**5, 10**6, 10**7, 10**8)


class Encoder(nn.Module):
    """A transformer encoder with a classifier."""

    def __init__(self, vocabulary: int, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(TOKENS, width))
        layer = nn.TransformerEncoderLayer(width, 12, hidden, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits, shape (samples, 4), of token numbers of shape (samples, TOKENS)."""
        return self.classifier(self.encoder(self.embedding(tokens) + self.positions)[:, 0])


class Steps:
    """Time and peak memory of the steps of a job, beyond what the interpreter and the libraries hold before it."""

    def __init__(self) -> None:
        error_mask((1,), [0.5] * 8, seed=0)  # brings the compiler of the kernels along
        self.before = memory_of_process("VmRSS")
        self.done: dict[str, tuple[float, int]] = {}

    def __call__(self, name: str, function: Callable[[], object]) -> object:
        """Do one step; note how long it took, and the most memory that the process held meanwhile."""
        Path("/proc/self/clear_refs").write_text("5")
        start = time.perf_counter()
        result = function()
        seconds = time.perf_counter() - start
        self.done[name] = seconds, memory_of_process("VmHWM") - self.before
        return result


def memory_of_process(what: str) -> int:
    """Bytes of memory that this process holds ("VmRSS") or held at most ("VmHWM")."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[what].split()[0]) * 1024


def tokens(samples: int, vocabulary: int) -> torch.Tensor:
    """Seeded token numbers."""
    return torch.randint(vocabulary, (samples, TOKENS), generator=torch.Generator().manual_seed(1))


def use(step: Steps, **sizes: int) -> int:
    """Plan without calibration, store, save, load, read and evaluate an encoder."""
    model = step("build", lambda: Encoder(**sizes).eval())
    plan = step("plan (Uniform-MSP)", lambda: qtaml.uniform_msp(model, p=P, protected_bits=2))
    memory = step("store", lambda: qtaml.store(model, plan))
    with tempfile.TemporaryDirectory() as folder:
        step("save", lambda: memory.save(folder))
        del memory
        memory = step("load", lambda: qtaml.load(folder, model))
    step("read", lambda: memory.model(seed=0))
    metric = qtaml.Accuracy(tokens(8, sizes["vocabulary"]), torch.zeros(8, dtype=torch.int64))
    step("evaluate (2 reads, 8 samples)", lambda: qtaml.evaluate(memory, metric, trials=2))
    step("copy", lambda: copy.deepcopy(model))
    return plan.weights


def compensate(step: Steps, **sizes: int) -> int:
    """Plan by TAC with a few calibration samples."""
    model = step("build", lambda: Encoder(**sizes).eval())
    batch = tokens(4, sizes["vocabulary"])
    step("plan (TAC)", lambda: qtaml.compensate(model, batch, p=P, overhead=0.125, passes=4, decision="predicted"))
    step("copy", lambda: copy.deepcopy(model))
    return sum(weight.numel() for weight in stored_weights(model).values())


def store_half(step: Steps, layers: int, width: int) -> int:
    """Store and save bfloat16 weights."""
    half = {"bias": False, "dtype": torch.bfloat16}
    model = step("build", lambda: nn.Sequential(*(nn.Linear(width, width, **half) for _ in range(layers))))
    plan = step("plan (Uniform-MSP)", lambda: qtaml.uniform_msp(model, p=P, protected_bits=2))
    memory = step("store", lambda: qtaml.store(model, plan))
    with tempfile.TemporaryDirectory() as folder:
        step("save", lambda: memory.save(folder))
    step("copy", lambda: copy.deepcopy(model[0]))
    return plan.weights


JOBS = {
    "bert": lambda step: use(step, **BERT),
    "bert-tac": lambda step: compensate(step, **BERT),
    "billion": lambda step: store_half(step, **BILLION),
    "small": lambda step: use(step, **SMALL),
}


def main() -> None:
    """Do one job and print the number of its weights and its steps as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    torch.manual_seed(0)
    step = Steps()
    weights = JOBS[parser.parse_args().job](step)
    print(json.dumps([weights, step.before, step.done]))


def apart(job: str) -> list[Measurement]:
    """The steps of a job that runs in a process of its own, next to a copy of its model there."""
    command = [sys.executable, "-m", "benchmarks.large_networks", job]
    weights, before, done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    copied, _ = done.pop("copy")
    del done["build"]
    return [
        Measurement(
            "large networks",
            f"{job}: {name}",
            weights,
            "weights",
            seconds,
            "copy of a layer" if job == "billion" else "copy of the model",
            copied,
            f"peak {peak / 1e6:,.0f} MB, {peak / (4 * weights):.2f} of the float32 weights (with the caller's model; "
            f"without {before / 1e6:,.0f} MB of the interpreter and libraries)",
        )
        for name, (seconds, peak) in done.items()
    ]


def growth(weights: int, repetitions: int) -> list[Measurement]:
    """Storing and reading one matrix of so many weights, next to a copy of it."""
    side = round(weights**0.5)
    model = nn.Linear(side, side, bias=False)
    plan = qtaml.uniform_msp(model, p=P, protected_bits=2)
    memory = qtaml.store(model, plan)
    read, copied = memory.copy_of_model(), torch.empty_like(model.weight)
    works = {
        "store": lambda: qtaml.store(model, plan),
        "read": lambda: memory.read_into(read, seed=0),
        "copy": lambda: copied.data.copy_(model.weight.data),
    }
    times = dict(zip(works, medians(list(works.values()), repetitions), strict=True))
    reference = times.pop("copy")
    return [
        Measurement("weights", name, side * side, "weights", seconds, "copy", reference)
        for name, seconds in times.items()
    ]


def measure(quick: bool = False) -> list[Measurement]:
    """Growth with the number of weights, and the steps of large networks."""
    rows = [row for weights in WEIGHTS[: 2 if quick else None] for row in growth(weights, 1 if weights > 10**7 else 5)]
    return rows + [row for job in (("small",) if quick else ("bert", "bert-tac", "billion")) for row in apart(job)]


if __name__ == "__main__":
    main()
