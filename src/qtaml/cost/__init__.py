"""What does it cost in silicon: area, energy and power of a stored network, each number with its source."""

from qtaml._kinds import guard_doors
from qtaml.cost.accelerators import timeloop_memory, zigzag_memory
from qtaml.cost.arrays import ARRAYS, Array, array_named
from qtaml.cost.figures import Figure
from qtaml.cost.logic import Latency, Logic, logic
from qtaml.cost.memory_cost import Contents, CostLine, CostTerms, Decode, MemoryCost, Quantity, memory_cost
from qtaml.cost.numbers_file import Numbers
from qtaml.cost.nvsim import MemoryCell, nvsim_cell, nvsim_config, read_nvsim

__all__ = [
    "ARRAYS",
    "Array",
    "Contents",
    "CostLine",
    "CostTerms",
    "Decode",
    "Figure",
    "Latency",
    "Logic",
    "MemoryCell",
    "MemoryCost",
    "Numbers",
    "Quantity",
    "array_named",
    "logic",
    "memory_cost",
    "nvsim_cell",
    "nvsim_config",
    "read_nvsim",
    "timeloop_memory",
    "zigzag_memory",
]

guard_doors(__name__)
