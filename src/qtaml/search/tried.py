"""What a search tries: an allocation of cells, and what it is expected to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qtaml.formats import TensorFormat
from qtaml.planning.allocation import Choice
from qtaml.search.expectation import Outlook
from qtaml.search.way import Way


@dataclass(frozen=True, eq=False)
class Tried:
    """An allocation, and what it is expected to do.

    Attributes:
        way: the menus that it chooses from.
        emphasis: on each tensor, by which cells were allocated.
        choices: what was allocated.
        storages: the same as formats of the tensors.
        outlook: what is expected of it; of one that is read, that of the one it is near to, but for the gains.
        error: what is to be least, expected or of reads.
    """

    way: Way
    emphasis: Mapping[str, float]
    choices: Sequence[Choice]
    storages: Mapping[str, TensorFormat]
    outlook: Outlook
    error: float


def error_of(one: Tried) -> float:
    """What is to be least."""
    return one.error
