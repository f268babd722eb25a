"""What whole protected bits cost over fractional ones, over random networks (table 7 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from scipy import stats

from qtaml._tables import captioned_table
from qtaml.laboratory.laboratory import Laboratory
from qtaml.measuring import Estimate
from qtaml.planning import ALLOCATIONS
from qtaml.showing import cell
from reproduction.experiment import Experiment
from reproduction.rounding_cost import PAPER_TENSORS, rounding_table

NETWORKS = 500
INTEGER_NETWORKS = 100
"""Fewer, as in the first edition of the rows, when an integer program took ten times as long as the others."""
_KINDS = (*((method, False) for method in ALLOCATIONS), ("greedy", True))


@dataclass(frozen=True)
class Row:
    """One way to allocate whole bits, over random networks of some tensors.

    Attributes:
        tensors: number of tensors L.
        allocation: "greedy" (the paper's), "integer" (exact) or "split".
        equal_sizes: all tensors of a network have the same size.
        networks: number of random networks; where there are fewer, they are the first of the same ones.
        worst: largest ratio of predicted errors found; more networks can only raise it, so it has no interval.
        mean: mean ratio, with its interval over networks.
        bound: 1.26374, the most that "split" can cost.
    """

    tensors: int
    allocation: str
    equal_sizes: bool
    networks: int
    worst: float
    mean: Estimate
    bound: float


def compute(
    laboratory: Laboratory,
    *,
    tensors: Sequence[int] = PAPER_TENSORS,
    networks: int = NETWORKS,
    integer_networks: int = INTEGER_NETWORKS,
) -> tuple[Row, ...]:
    """Allocate whole bits to random networks.

    Args:
        laboratory: whose seed the random networks have.
        tensors: numbers of tensors L.
        networks: random networks for each L.
        integer_networks: the same for the exact allocation.

    Returns:
        A row for each allocation and number of tensors, and for greedy with tensors of equal sizes.

    Source:
        paper A.13 and table 7; theory.md 1.6.
    """
    half = float(stats.norm.ppf(0.975))
    counts = {method: integer_networks if method == "integer" else networks for method in ALLOCATIONS}
    return tuple(
        Row(
            cost.tensors,
            method,
            equal_sizes,
            counts[method],
            cost.worst,
            Estimate(
                cost.mean,
                cost.mean - half * cost.standard_error,
                cost.mean + half * cost.standard_error,
                "random networks",
            ),
            cost.bound,
        )
        for method, equal_sizes in _KINDS
        for cost in rounding_table(
            tensors, networks=counts[method], method=method, equal_sizes=equal_sizes, seed=laboratory.seed
        )
    )


def table(rows: Sequence[Row]) -> Table:
    """Worst and mean cost by number of tensors."""
    grid = captioned_table(
        title=f"Error with whole protected bits over fractional ones; bound of a split tensor {rows[0].bound:.5f}",
        caption="worst (mean ± half a 95% interval); the more networks, the higher the worst",
    )
    by_kind = {
        kind: {row.tensors: row for row in rows if (row.allocation, row.equal_sizes) == kind}
        for kind in dict.fromkeys((row.allocation, row.equal_sizes) for row in rows)
    }
    grid.add_column("tensors", justify="right")
    for (allocation, equal_sizes), found in by_kind.items():
        kind = f"{allocation}, equal sizes" if equal_sizes else allocation
        grid.add_column(f"{kind}\n{next(iter(found.values())).networks} networks", justify="right", no_wrap=True)
    for tensors in dict.fromkeys(row.tensors for row in rows):
        grid.add_row(str(tensors), *(_cell(found[tensors]) for found in by_kind.values()))
    return grid


TABLE7 = Experiment("What whole protected bits cost over random networks", compute, table)


def _cell(row: Row) -> str:
    return f"{row.worst:.3f} ({cell(row.mean, '.3f')})"
