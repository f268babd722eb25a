"""How to store a neural network in a memory whose cells leak by quantum tunnelling.

    plan = qtaml.compensate(model, calibration, p=0.10, overhead=0.03)   # algorithm 1 of the paper
    memory = qtaml.store(model, plan)
    plan = qtaml.design(model, calibration, p=0.10, cells=0.75)          # all formats, every cell counted
    result = qtaml.evaluate(memory, metric, trials=30)                   # .mean .low .high .values

The folders hold one kind of thing each: `device`, `faults`, `formats`, `theory`, `model`, `sensitivity`, `planning`,
`memory`, `export`, `evaluate`, `networks`, `report`, `experiments`, `cli`. A folder imports only from those before it.
"""

from importlib.metadata import version

from qtaml import device, faults, formats, theory
from qtaml.errors import ArgumentError, BudgetError, ModelError, QtamlError, StoredFileError
from qtaml.evaluate import Accuracy, Result, design, evaluate
from qtaml.memory import Memory, load, store
from qtaml.planning import Plan, compensate, predict, uniform_msp

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
    "predict",
    "store",
    "theory",
    "uniform_msp",
]
