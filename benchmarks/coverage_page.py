"""The page of the simulation of coverage: its records, and the tables of docs/coverage.md."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "coverage.md"
_FREELY = 0.1
"""Share of a cell without a caution from which on its coverage is looked at alone: of fewer it is mostly chance."""


@dataclass(frozen=True)
class Row:
    """How often one kind of interval held the truth.

    Attributes:
        kind: what was measured.
        drawn: how the scores were drawn.
        samples: number of test samples.
        reads: number of reads; for early stopping, how many there are on average.
        coverage: share of repetitions whose interval holds the truth.
        below: share whose truth lies below it.
        above: share whose truth lies above it.
        width: median width.
        least_width: least width.
        repetitions: how many tables were drawn.
        without_caution: share of repetitions with nothing to say against their interval (`Result.caution`).
        held_without: share of those whose interval holds the truth; None if there are none.
    """

    kind: str
    drawn: str
    samples: int
    reads: int
    coverage: float
    below: float
    above: float
    width: float
    least_width: float
    repetitions: int
    without_caution: float = 1.0
    held_without: float | None = None


@dataclass(frozen=True)
class Coverage:
    """All rows, and how they came to be."""

    command: str
    date: str
    seconds: float
    versions: dict[str, str]
    rows: tuple[Row, ...]


def table_of(found: list[Row], share: Callable[[Row], str]) -> str:
    """What is said of each row; a line for each kind and way of drawing, a column for each size."""
    columns = sorted({(row.samples, row.reads) for row in found})
    lines = [["kind", "drawn", *(f"{samples} x {reads}" for samples, reads in columns)]]
    lines.append(["---"] * 2 + ["---:"] * len(columns))
    shares = {(row.kind, row.drawn, row.samples, row.reads): share(row) for row in found}
    for line in dict.fromkeys((row.kind, row.drawn) for row in found):
        lines.append([*line, *(shares.get((*line, *size), "") for size in columns)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(coverage: Coverage) -> str:
    """The page, with the tables between its marks filled in."""
    endings = {"reads": ", reads only", "stopped": ", stopped early", "samples": ", one network"}
    parts = {name: [row for row in coverage.rows if row.kind.endswith(end)] for name, end in endings.items()}
    parts["both"] = [row for row in coverage.rows if not row.kind.endswith(tuple(endings.values()))]
    text, repetitions = PAGE.read_text(), coverage.rows[0].repetitions
    made = f"`{coverage.command}`, {coverage.date}; {coverage.seconds:.0f} s, {repetitions:,} repetitions a cell."
    for name, found in parts.items():
        before, mark, after = text.partition(f"<!-- coverage {name} -->\n")
        _, end, rest = after.partition("<!-- end -->")
        shown = stopped_table(found) if name == "stopped" else table_of(found, lambda row: f"{100 * row.coverage:.1f}")
        told = outliers(found) if name == "stopped" else f"{outliers(found)}\n\n{without_cautions(found)}"
        text = f"{before}{mark}{made}\n\n{shown}\n\n{told}\n{end}{rest}"
    return text


def without_cautions(found: list[Row]) -> str:
    """Coverage of the intervals without a caution, of what has intervals with one, and which of them lie low."""
    bare = {(row.kind, row.drawn) for row in found if row.without_caution < 1}
    some = [row for row in found if row.held_without is not None]
    left, missed = sum(row.without_caution for row in some), sum(map(silent_misses, some))
    worst = max(found, key=silent_misses)
    low = [row for row in some if row.without_caution >= _FREELY and (row.held_without or 0) < 0.93]
    named = "; ".join(
        f"{row.kind} ({row.drawn}), {row.samples} x {row.reads}: {100 * row.held_without:.1f}% of "
        f"{100 * row.without_caution:.0f}%"
        for row in low
    )
    table = table_of([row for row in found if (row.kind, row.drawn) in bare], free_share)
    of_worst = f"{worst.kind}, {worst.samples} x {worst.reads}"
    return (
        "Without a caution: coverage, and for what share of the repetitions nothing was said (where no line stands "
        f"here, for all).\n\n{table}\n\n"
        f"All intervals without a caution together: {100 * (1 - missed / left):.1f}%. Missed without a caution: at "
        f"most {100 * silent_misses(worst):.1f}% of the repetitions of a cell ({of_worst}). "
        f"Cells with {100 * _FREELY:.0f}% and more without a caution, and less than 93% coverage among these: "
        f"{len(low)}{': ' + named if low else ''}."
    )


def silent_misses(row: Row) -> float:
    """Share of the repetitions that missed the truth and had no caution."""
    return 0.0 if row.held_without is None else row.without_caution * (1 - row.held_without)


def free_share(row: Row) -> str:
    """Coverage of the intervals without a caution, and their share."""
    return "none" if row.held_without is None else f"{100 * row.held_without:.1f}% of {100 * row.without_caution:.0f}%"


def stopped_table(found: list[Row]) -> str:
    """A line for each row, with the mean number of reads."""
    lines = [["kind", "drawn", "reads", "coverage", "truth below", "truth above"], ["---"] * 2 + ["---:"] * 4]
    for row in found:
        shares = (f"{100 * share:.1f}" for share in (row.coverage, row.below, row.above))
        lines.append([row.kind, row.drawn, str(row.reads), *shares])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def outliers(found: list[Row]) -> str:
    """How many cells lie within 93 to 97 per cent and above, and which lie below."""
    low = [row for row in found if row.coverage < 0.93]
    high = sum(row.coverage > 0.97 for row in found)
    lines = []
    for kind, drawn in dict.fromkeys((row.kind, row.drawn) for row in low):
        shares = [100 * row.coverage for row in low if (row.kind, row.drawn) == (kind, drawn)]
        lines.append(f"{kind} ({drawn}): {len(shares)}, from {min(shares):.1f} to {max(shares):.1f}%")
    named = "; ".join(lines)
    inside = len(found) - len(low) - high
    least = min(row.least_width for row in found)
    text = f"Of {len(found)} cells {inside} lie within 93 to 97%, {high} above, {len(low)} below"
    return f"{text}{': ' + named if low else ''}. The narrowest of all intervals has a width of {least:.2g}."
