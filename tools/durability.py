"""Kill writers and read beside them: is the old or the new always in place, whole?

    python -m tools.durability            # some minutes; the table in SECURITY.md

Each writer is a process of its own that `SIGKILL` ends at a random moment. What it leaves is read, then the next writer
runs to its end, and the folder that everything lies in must hold nothing else.
"""

import contextlib
import io
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

import qtaml
from qtaml.cli.main import main
from qtaml.memory import Memory, read_artifact

KILLS, LOADS = 70, 3000
_MODEL = ("tools.durability:network", "tools.durability:other")


def network() -> nn.Module:
    """A small network, the same every time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 10))


def other() -> nn.Module:
    """The same with other weights."""
    model = network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.neg_()
    return model


def _memory(model: nn.Module) -> Memory:
    return qtaml.store(model, qtaml.uniform_msp(model, p=0.1, protected_bits=2))


def _command(*arguments: str) -> None:
    sys.argv = ["qtaml", *arguments]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()


def _save(number: int) -> None:
    _memory((network, other)[number]()).save("out/deployed")


def _design(number: int) -> None:
    goal = ("--p", "0.1", "--cells", "1", "--decoders", "none", "--samples", "4")
    _command("design", _MODEL[number], "--calibration", "x.npz", *goal, "--out", "out/deployed")


def _export(number: int) -> None:
    _command("export", f"stored{number}", "out/deployed.safetensors", "--model", _MODEL[number])


def _state() -> object:
    """What is in place: the words of a stored network with every checksum right, or the bytes of a file."""
    (place,) = Path("out").glob("deployed*")
    if place.is_file():
        return place.read_bytes()
    artifact = read_artifact(place)
    return artifact.plan, {name: tensor.words.tolist() for name, tensor in artifact.tensors.items()}


@contextlib.contextmanager
def _writing(write: Callable[[int], None], first: int) -> Iterator[int]:
    """A process that writes the two in turn until it is killed."""
    if (child := os.fork()) == 0:
        try:
            while True:
                write(first)
                first = 1 - first
        finally:
            os._exit(1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _wait_for(write: Callable[[int], None], number: int) -> float:
    """Write in a process of its own, that this one may fork more; the time it takes."""
    start = time.monotonic()
    if (child := os.fork()) == 0:
        write(number)
        os._exit(0)
    os.waitpid(child, 0)
    return time.monotonic() - start


def kills(write: Callable[[int], None], count: int, seed: int = 0) -> str:
    """What killed writers left."""
    draw, whole, left = random.Random(seed), 0, 0
    states = []
    for number in (1, 0):
        seconds = _wait_for(write, number)
        states.append(_state())
    for _ in range(count):
        with _writing(write, 1):
            time.sleep(draw.uniform(0, 3 * seconds))
        whole += _state() in states
        left += len(list(Path("out").iterdir())) > 1
        _wait_for(write, 0)
        assert len(list(Path("out").iterdir())) == 1
        assert _state() == states[1]
    for place in Path("out").glob("*"):
        place.rename(Path(tempfile.mkdtemp(dir="."), place.name))
    return f"{count} | {whole} | {left} | 0"


def loads(count: int) -> str:
    """What a reader saw beside a writer that never rests."""
    states = []
    for number in (1, 0):
        _save(number)
        states.append(_state())
    seen = [0, 0]
    with _writing(_save, 1):
        for _ in range(count):
            seen[states.index(_state())] += 1
    return f"{count} loads beside a writer: {seen[0]} of one network, {seen[1]} of the other, 0 mixed, 0 'damaged'"


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path.cwd()))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("out").mkdir()
        np.savez("x.npz", x=np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32))
        for number, make in enumerate((network, other)):
            _memory(make()).save(f"stored{number}")
        print("| writer | kills | old or new in place | left something over | left after the next run |")
        print("|---|---|---|---|---|")
        for name, write in (("memory.save", _save), ("qtaml design --out", _design), ("qtaml export", _export)):
            print(f"| `{name}` | {kills(write, KILLS)} |", flush=True)
        print(loads(LOADS))
        os.chdir("/")
