"""What an experiment is: rows of numbers, and how they are shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rich.table import Table

from qtaml.laboratory import Laboratory
from qtaml.laboratory.tasks import Loader
from qtaml.planning import Tac

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = TypeVar("Row")


def paper_tac(**asked: Any) -> Tac:
    """Settings of the paper's algorithm: first order at the trained weights, compared with no other plan."""
    return Tac(beyond_first_order=False, **asked)


@dataclass(frozen=True)
class Experiment(Generic[Row]):
    """A table or figure, of the paper or beyond it.

    Attributes:
        title: what it shows.
        compute: the rows, flat records with the interval of each estimate beside it, from a laboratory.
        table: the rows as a table.
        draw: the rows as a picture; None for a table only.
        load: makes the networks that are not built in, for the laboratory; None if there are none.
        page: the rows and how they came to be as a page in markdown, with a link to the picture; None if it has none.
    """

    title: str
    compute: Callable[[Laboratory], tuple[Row, ...]]
    table: Callable[[Sequence[Row]], Table]
    draw: "Callable[[Sequence[Row]], Figure] | None" = None
    load: Loader | None = None
    page: Callable[[Sequence[Row], Mapping[str, Any], str], str] | None = None
