"""What tests have worker processes do: modules of their own, since a worker imports them by name."""

import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

from qtaml.errors import BudgetError


class Tiny(nn.Module):
    """A network of 42 weights. TINY_PAUSE is a time that every pass takes, TINY_LOG a file of who made it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, inputs):
        time.sleep(float(os.environ.get("TINY_PAUSE", "0")))
        if log := os.environ.get("TINY_LOG"):
            with open(log, "a") as file:
                file.write(f"{os.getpid()}\n")
        return self.last(torch.tanh(self.first(inputs)))


def die_once(marker: str, value: int) -> int:
    """Kill this process when called for the first time, and give the value after that."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def miss_the_budget() -> None:
    """Raise an error that carries more than its text."""
    raise BudgetError("too little", -0.25)
