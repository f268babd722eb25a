"""How to store a neural network in a memory whose cells leak by quantum tunnelling.

    plan = qtaml.compensate(model, calibration, p=0.10, overhead=0.03)   # algorithm 1 of the paper
    memory = qtaml.store(model, plan)
    plan = qtaml.design(model, calibration, p=0.10, cells=0.75)          # all formats, every cell counted
    result = qtaml.evaluate(memory, metric, trials=30)                   # .mean .low .high .values

Each room answers one question; a room imports only from those before it:
`device`, `sampling`, `protections`, `model`, `networks`, `faults`, `sensitivity`, `formats`, `cost`, `theory`,
`planning`, `memory`, `export`, `measuring`, `search`, `exploration`, `checkpoints`, `training`, `overview`, `showing`,
`laboratory`, `cli`.
"""

import random
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from qtaml.errors import ArgumentError, BudgetError, ModelError, QtamlError, StoredFileError

if TYPE_CHECKING:
    from qtaml import (
        checkpoints,
        cost,
        device,
        faults,
        formats,
        measuring,
        planning,
        protections,
        search,
        sensitivity,
        theory,
        training,
    )
    from qtaml.exploration import explore
    from qtaml.measuring import Accuracy, Result, Yield, evaluate
    from qtaml.memory import Memory, load, store
    from qtaml.planning import Plan, compensate, predict, uniform_msp
    from qtaml.search import Study, design
    from qtaml.showing import report
    from qtaml.training import codesign, noisy, tune

__version__ = version("qtaml")

__all__ = [
    "Accuracy",
    "ArgumentError",
    "BudgetError",
    "Memory",
    "ModelError",
    "Plan",
    "QtamlError",
    "Result",
    "StoredFileError",
    "Study",
    "Yield",
    "checkpoints",
    "codesign",
    "compensate",
    "cost",
    "design",
    "device",
    "evaluate",
    "explore",
    "faults",
    "formats",
    "load",
    "measuring",
    "noisy",
    "planning",
    "predict",
    "protections",
    "report",
    "search",
    "sensitivity",
    "store",
    "theory",
    "training",
    "tune",
    "uniform_msp",
]

# Rooms of the functions and classes above. They are imported at their first use, so that `import qtaml` costs little.
_ROOM_OF = {
    **dict.fromkeys(("Accuracy", "Result", "Yield", "evaluate"), "measuring"),
    **dict.fromkeys(("Memory", "load", "store"), "memory"),
    **dict.fromkeys(("Plan", "compensate", "predict", "uniform_msp"), "planning"),
    **dict.fromkeys(("Study", "design"), "search"),
    "explore": "exploration",
    "report": "showing",
    **dict.fromkeys(("codesign", "noisy", "tune"), "training"),
}

# Rich draws from the global generator when it is first imported: the caller's random numbers must not change by it.
_state = random.getstate()
import_module("rich.style")
random.setstate(_state)
del random, _state

# Type checkers see the imports above instead: a module __getattr__ would make every misspelt name valid for them.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a room, or the room of a function or class, at its first use (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module 'qtaml' has no attribute {name!r}")
        room = import_module(f"qtaml.{_ROOM_OF.get(name, name)}")
        # Kept, so that this function is called once for each name.
        value = globals()[name] = getattr(room, name) if name in _ROOM_OF else room
        return value

    def __dir__() -> list[str]:
        return sorted({*(name for name in globals() if name.startswith("__")), *__all__})
