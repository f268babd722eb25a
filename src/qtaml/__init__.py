"""How to store a neural network in a memory whose cells leak by quantum tunnelling.

    plan = qtaml.compensate(model, calibration, p=0.10, overhead=0.03)   # algorithm 1 of the paper
    memory = qtaml.store(model, plan)
    plan = qtaml.design(model, calibration, p=0.10, cells=0.75)          # all formats, every cell counted
    result = qtaml.evaluate(memory, metric, trials=30)                   # .mean .low .high .values

Each room answers one question; a room imports only from those before it:
`device`, `sampling`, `protections`, `model`, `networks`, `faults`, `sensitivity`, `formats`, `theory`, `planning`,
`memory`, `export`, `measuring`, `search`, `report`, `laboratory`, `cli`.
"""

from importlib.metadata import version

from qtaml import device, faults, formats, measuring, planning, protections, search, sensitivity, theory
from qtaml.errors import ArgumentError, BudgetError, ModelError, QtamlError, StoredFileError
from qtaml.measuring import Accuracy, Result, evaluate
from qtaml.memory import Memory, load, store
from qtaml.planning import Plan, compensate, predict, uniform_msp
from qtaml.search import design

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
    "compensate",
    "design",
    "device",
    "evaluate",
    "faults",
    "formats",
    "load",
    "measuring",
    "planning",
    "predict",
    "protections",
    "search",
    "sensitivity",
    "store",
    "theory",
    "uniform_msp",
]
