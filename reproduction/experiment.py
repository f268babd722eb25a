"""What an experiment is: rows of numbers, and how they are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.table import Table

from qtaml.laboratory import Laboratory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = TypeVar("Row")


@dataclass(frozen=True)
class Experiment(Generic[Row]):
    """A table or figure of the paper.

    Attributes:
        title: what it shows.
        compute: the rows, flat records with the interval of each estimate beside it, from a laboratory.
        table: the rows as a table.
        draw: the rows as a picture; None for a table only.
    """

    title: str
    compute: Callable[[Laboratory], tuple[Row, ...]]
    table: Callable[[Sequence[Row]], Table]
    draw: "Callable[[Sequence[Row]], Figure] | None" = None
